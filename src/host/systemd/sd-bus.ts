/**
 * Every C signature of libsystemd's sd-bus that we use: a wrong one crashes the daemon. Takes nothing, gives the
 * functions under their C names. Messages are put together piece by piece, so that no variadic function is called.
 * Source: systemd's src/systemd/sd-bus.h; a negative result is -errno. Needs systemd 240.
 */
import { loadLibrary, type NativeLibrary, type NativeType, type Pointer } from '../ffi.js';

const SIGNATURES = {
  sd_bus_new: ['int', ['void *']],
  sd_bus_set_address: ['int', ['void *', 'str']],
  sd_bus_set_bus_client: ['int', ['void *', 'int']],
  sd_bus_set_method_call_timeout: ['int', ['void *', 'ulong']],
  sd_bus_start: ['int', ['void *']],
  sd_bus_close: ['void', ['void *']],
  sd_bus_unref: ['void *', ['void *']],
  sd_bus_call: ['int', ['void *', 'void *', 'ulong', 'void *', 'void *']],
  sd_bus_get_property_trivial: ['int', ['void *', 'str', 'str', 'str', 'str', 'void *', 'int', 'void *']],
  sd_bus_error_free: ['void', ['void *']],
  sd_bus_message_new_method_call: ['int', ['void *', 'void *', 'str', 'str', 'str', 'str']],
  sd_bus_message_open_container: ['int', ['void *', 'int', 'str']],
  sd_bus_message_close_container: ['int', ['void *']],
  sd_bus_message_append_basic: ['int', ['void *', 'int', 'void *']],
  sd_bus_message_read_basic: ['int', ['void *', 'int', 'void *']],
  sd_bus_message_unref: ['void *', ['void *']],
} as const satisfies Record<string, readonly [NativeType, readonly NativeType[]]>;

type Value<T extends NativeType> = T extends 'void'
  ? undefined
  : T extends 'str'
    ? string
    : T extends 'void *'
      ? Pointer
      : T extends 'ulong'
        ? number | bigint
        : number;
/** Memory that C reads or fills is passed as a typed array: `uint64_t *`, `sd_bus **` as BigUint64Array(1). */
type Argument<T extends NativeType> = T extends 'void *' ? Pointer | ArrayBufferView : Value<T>;
type Arguments<T extends readonly NativeType[]> = { -readonly [K in keyof T]: Argument<T[K]> };

export type SdBus = {
  readonly [K in keyof typeof SIGNATURES]: (
    ...args: Arguments<(typeof SIGNATURES)[K][1]>
  ) => Value<(typeof SIGNATURES)[K][0]>;
};

/** `const char *name; const char *message; int _need_free`: three words. All zero is SD_BUS_ERROR_NULL. */
export const SD_BUS_ERROR_WORDS = 3;

/** D-Bus type codes, a `char` in C. */
export const TYPE = {
  array: 97,
  boolean: 98,
  struct: 114,
  variant: 118,
  string: 115,
  uint64: 116,
  objectPath: 111,
} as const;

/** Loads libsystemd and binds everything above, or says why it cannot. */
export function bindSdBus(): { readonly ok: true; readonly sdBus: SdBus } | { readonly ok: false; reason: string } {
  const loaded = loadLibrary('libsystemd.so.0');
  if (!loaded.ok) return loaded;
  try {
    return { ok: true, sdBus: bindAll(loaded.library) };
  } catch (error) {
    const lacking = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    return { ok: false, reason: `libsystemd.so.0 is older than systemd 240: ${lacking}` };
  }
}

function bindAll(library: NativeLibrary): SdBus {
  const functions: Record<string, unknown> = {};
  for (const [name, [result, parameters]] of Object.entries(SIGNATURES)) {
    functions[name] = library.bind(name, result, parameters);
  }
  return functions as SdBus;
}
