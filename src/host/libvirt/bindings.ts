/**
 * Every C signature and struct layout of libvirt that we use, in this one file: a wrong one crashes the daemon.
 * Takes nothing, gives the functions under their C names. Source: libvirt's include/libvirt/libvirt-{host,domain,event}.h
 * and virterror.h; `test/libvirt/bindings.test.ts` exercises each against the built-in test driver.
 */
import { loadLibrary, type NativeLibrary, type NativeType, type Pointer } from '../ffi.js';

/** Parameters, result: as in the headers. Pointers to structs are opaque unless a layout is given below. */
const SIGNATURES = {
  virInitialize: ['int', []],
  virGetVersion: ['int', ['void *', 'str', 'void *']],
  virSetErrorFunc: ['void', ['void *', 'void *']],
  virResetLastError: ['void', []],
  virGetLastErrorCode: ['int', []],
  virGetLastErrorMessage: ['str', []],

  virEventRegisterDefaultImpl: ['int', []],
  virEventRunDefaultImpl: ['int', []],
  virEventAddTimeout: ['int', ['int', 'void *', 'void *', 'void *']],
  virEventRemoveTimeout: ['int', ['int']],

  virConnectOpen: ['void *', ['str']],
  virConnectClose: ['int', ['void *']],
  virConnectIsAlive: ['int', ['void *']],
  virConnectSetKeepAlive: ['int', ['void *', 'int', 'uint']],
  virConnectGetLibVersion: ['int', ['void *', 'void *']],
  virConnectRegisterCloseCallback: ['int', ['void *', 'void *', 'void *', 'void *']],
  virConnectUnregisterCloseCallback: ['int', ['void *', 'void *']],
  virConnectDomainEventRegisterAny: ['int', ['void *', 'void *', 'int', 'void *', 'void *', 'void *']],
  virConnectDomainEventDeregisterAny: ['int', ['void *', 'int']],
  virConnectListAllDomains: ['int', ['void *', 'void *', 'uint']],
  virConnectGetAllDomainStats: ['int', ['void *', 'uint', 'void *', 'uint']],
  virDomainListGetStats: ['int', ['void *', 'uint', 'void *', 'uint']],
  virDomainStatsRecordListFree: ['void', ['void *']],

  virDomainLookupByUUIDString: ['void *', ['void *', 'str']],
  virDomainFree: ['int', ['void *']],
  virDomainGetID: ['uint', ['void *']],
  virDomainGetName: ['str', ['void *']],
  virDomainGetUUIDString: ['int', ['void *', 'void *']],
  virDomainGetState: ['int', ['void *', 'void *', 'void *', 'uint']],
  virDomainIsActive: ['int', ['void *']],
  virDomainIsPersistent: ['int', ['void *']],
  virDomainGetXMLDesc: ['owned string', ['void *', 'uint']],
  virDomainSetSchedulerParametersFlags: ['int', ['void *', 'void *', 'int', 'uint']],
  virDomainSetMemoryParameters: ['int', ['void *', 'void *', 'int', 'uint']],
  virDomainSetBlkioParameters: ['int', ['void *', 'void *', 'int', 'uint']],
  virDomainSetBlockIoTune: ['int', ['void *', 'str', 'void *', 'int', 'uint']],
  virDomainGetBlockIoTune: ['int', ['void *', 'str', 'void *', 'void *', 'uint']],
  virDomainSetInterfaceParameters: ['int', ['void *', 'str', 'void *', 'int', 'uint']],
  virDomainPinVcpuFlags: ['int', ['void *', 'uint', 'void *', 'int', 'uint']],
  virTypedParamsClear: ['void', ['void *', 'int']],
  virDomainDefineXMLFlags: ['void *', ['void *', 'str', 'uint']],
  virDomainManagedSave: ['int', ['void *', 'uint']],
  virDomainHasManagedSaveImage: ['int', ['void *', 'uint']],
  virDomainManagedSaveGetXMLDesc: ['owned string', ['void *', 'uint']],
  virDomainManagedSaveDefineXML: ['int', ['void *', 'str', 'uint']],
  virDomainCreateWithFlags: ['int', ['void *', 'uint']],
  virDomainSuspend: ['int', ['void *']],
  virDomainResume: ['int', ['void *']],
  virDomainAbortJob: ['int', ['void *']],
  virDomainSetMetadata: ['int', ['void *', 'int', 'str', 'str', 'str', 'uint']],
} as const satisfies Signatures;

/** Of libvirt-qemu.so.0 (libvirt-qemu.h): not on every host. */
const QEMU_SIGNATURES = {
  virDomainQemuMonitorCommand: ['int', ['void *', 'str', 'void *', 'uint']],
} as const satisfies Signatures;

/** Of libvirt.so.0 since 7.1. */
const MESSAGE_SIGNATURES = {
  virDomainGetMessages: ['int', ['void *', 'void *', 'uint']],
} as const satisfies Signatures;

type Signatures = Record<string, readonly [NativeType, readonly NativeType[]]>;

type Value<T extends NativeType> = T extends 'void'
  ? undefined
  : T extends 'str' | 'owned string'
    ? string | null
    : T extends 'void *'
      ? Pointer
      : number;
/** Memory that C fills is passed as a typed array: `uint *` as Uint32Array(1), `T **` as BigUint64Array(1). */
type Argument<T extends NativeType> = T extends 'void *' ? Pointer | ArrayBufferView : Value<T>;
type Arguments<T extends readonly NativeType[]> = { -readonly [K in keyof T]: Argument<T[K]> };

type Library<S extends Signatures> = {
  readonly [K in keyof S]: (...args: Arguments<S[K][1]>) => Value<S[K][0]>;
};

export type LibvirtLibrary = Library<typeof SIGNATURES>;
export type MonitorLibrary = Library<typeof QEMU_SIGNATURES> & Library<typeof MESSAGE_SIGNATURES>;

/** virTypedParameter: `char field[80]; int type; union { … char *s; } value`. */
export const TYPED_PARAMETER = { size: 96, fieldLength: 80, typeOffset: 80, valueOffset: 88 } as const;
/** virDomainStatsRecord: `virDomainPtr dom; virTypedParameterPtr params; int nparams`. */
export const STATS_RECORD = { size: 24, domainOffset: 0, paramsOffset: 8, countOffset: 16 } as const;
/** VIR_UUID_STRING_BUFLEN */
export const UUID_STRING_BYTES = 37;

export const TYPED = { int: 1, uint: 2, llong: 3, ullong: 4, double: 5, boolean: 6, string: 7 } as const;
export const VIR_DOMAIN_AFFECT_LIVE = 1;
/** With passwords: a definition written back without them would have none. */
export const VIR_DOMAIN_XML_SECURE = 1;
export const VIR_DOMAIN_XML_INACTIVE = 2;
export const VIR_DOMAIN_SAVE_IMAGE_XML_SECURE = 1;
export const VIR_DOMAIN_SAVE_PAUSED = 1 << 2;
export const VIR_DOMAIN_START_PAUSED = 1;
export const VIR_DOMAIN_METADATA_ELEMENT = 2;
export const VIR_DOMAIN_MESSAGE_TAINTING = 1 << 1;
export const VIR_DOMAIN_STATS_STATE = 1;
export const VIR_DOMAIN_STATS_BLOCK = 1 << 5;
export const VIR_CONNECT_LIST_DOMAINS_PERSISTENT = 1 << 2;
export const VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT = 1 << 29;
/** virDomainGetID of a domain that does not run: (unsigned int)-1. */
export const VIR_DOMAIN_NO_ID = 0xffff_ffff;

/** virErrorNumber */
export const VIR_ERR = { invalidConn: 6, noDomain: 42 } as const;

/** virDomainEventID */
export const VIR_DOMAIN_EVENT_ID = {
  lifecycle: 0,
  deviceRemoved: 15,
  tunable: 17,
  deviceAdded: 19,
  metadataChange: 23,
} as const;
/** Parameters of the callbacks, `void *opaque` last. */
export const EVENT_CALLBACK_PARAMETERS = {
  lifecycle: ['void *', 'void *', 'int', 'int', 'void *'],
  deviceRemoved: ['void *', 'void *', 'str', 'void *'],
  tunable: ['void *', 'void *', 'void *', 'int', 'void *'],
  deviceAdded: ['void *', 'void *', 'str', 'void *'],
  metadataChange: ['void *', 'void *', 'int', 'str', 'void *'],
} as const satisfies Record<keyof typeof VIR_DOMAIN_EVENT_ID, readonly NativeType[]>;
/** virConnectCloseFunc(conn, reason, opaque) */
export const CLOSE_CALLBACK_PARAMETERS = ['void *', 'int', 'void *'] as const satisfies readonly NativeType[];
/** virEventTimeoutCallback(timer, opaque) */
export const TIMEOUT_CALLBACK_PARAMETERS = ['int', 'void *'] as const satisfies readonly NativeType[];

/**
 * Loads libvirt.so.0 and silences its messages on stderr.
 * @returns the functions, or why there are none.
 */
export function bindLibvirt():
  | { readonly ok: true; readonly libvirt: LibvirtLibrary }
  | { readonly ok: false; readonly reason: string } {
  const loaded = loadLibrary('libvirt.so.0');
  if (!loaded.ok) return loaded;
  const libc = loadLibrary('libc.so.6');
  if (!libc.ok) return libc;
  try {
    const libvirt = bindAll(loaded.library, SIGNATURES);
    // The handler is global to the process and runs on whichever thread fails, so it must not be JavaScript (koffi
    // aborts). labs(3) does as a C function without effect: it gets userData, here 0, as its argument.
    libvirt.virSetErrorFunc(null, libc.library.address('labs'));
    return libvirt.virInitialize() === 0 ? { ok: true, libvirt } : { ok: false, reason: 'virInitialize failed' };
  } catch (error) {
    return { ok: false, reason: `libvirt.so.0 lacks a function: ${error instanceof Error ? error.message : error}` };
  }
}

/**
 * What takes to a guest's monitor and tells whether anybody has been there. Call `bindLibvirt` first.
 * @returns the functions, or why there are none.
 */
export function bindMonitor():
  | { readonly ok: true; readonly monitor: MonitorLibrary }
  | { readonly ok: false; readonly reason: string } {
  const qemu = loadLibrary('libvirt-qemu.so.0');
  if (!qemu.ok) return qemu;
  const libvirt = loadLibrary('libvirt.so.0');
  if (!libvirt.ok) return libvirt;
  try {
    const messages = bindAll(libvirt.library, MESSAGE_SIGNATURES);
    return { ok: true, monitor: { ...bindAll(qemu.library, QEMU_SIGNATURES), ...messages } };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ok: false, reason: `libvirt is too old to say whether a guest's monitor was used: ${reason}` };
  }
}

function bindAll<S extends Signatures>(library: NativeLibrary, signatures: S): Library<S> {
  const bound: Record<string, unknown> = {};
  for (const [name, [result, parameters]] of Object.entries(signatures)) {
    bound[name] = library.bind(name, result, parameters);
  }
  return bound as Library<S>;
}
