/**
 * A systemd scope of this process's own, made while it still is the launcher: StartTransientUnit moves the process before
 * it answers the job. systemd removes the scope when the guest has ended. Synchronous: a launcher has nothing else to do.
 * Source: org.freedesktop.systemd1(5), systemd.scope(5).
 */
import { getSystemErrorName } from 'node:util';
import { type Pointer, readString } from '../ffi.js';
import { bindSdBus, SD_BUS_ERROR_WORDS, type SdBus, TYPE } from '../systemd/sd-bus.js';

export type ScopeStarted = { readonly ok: true } | { readonly ok: false; readonly reason: string };

const SYSTEM_BUS = 'unix:path=/run/dbus/system_bus_socket';
const SYSTEMD = 'org.freedesktop.systemd1';
const PATH = '/org/freedesktop/systemd1';
const MANAGER = 'org.freedesktop.systemd1.Manager';
const UINT32 = 117;
const TIMEOUT_USEC = 5_000_000;

export interface ScopeRequest {
  /** `machine-virtslad\x2d….scope` */
  readonly unit: string;
  readonly description: string;
  readonly pid: number;
}

export function startScope(request: ScopeRequest, address: string = SYSTEM_BUS): ScopeStarted {
  const bound = bindSdBus();
  if (!bound.ok) return bound;
  const { sdBus } = bound;
  const created = new BigUint64Array(1);
  const steps = [
    () => sdBus.sd_bus_new(created),
    () => sdBus.sd_bus_set_address(created[0] ?? null, address),
    () => sdBus.sd_bus_set_bus_client(created[0] ?? null, 1),
    () => sdBus.sd_bus_set_method_call_timeout(created[0] ?? null, TIMEOUT_USEC),
    () => sdBus.sd_bus_start(created[0] ?? null),
  ];
  try {
    for (const step of steps) {
      const result = step();
      if (result < 0) return { ok: false, reason: `no connection to ${address}: ${getSystemErrorName(result)}` };
    }
    return call(sdBus, created[0] ?? null, request);
  } finally {
    if (created[0] !== 0n) {
      sdBus.sd_bus_close(created[0] ?? null);
      sdBus.sd_bus_unref(created[0] ?? null);
    }
  }
}

function call(sdBus: SdBus, bus: Pointer, request: ScopeRequest): ScopeStarted {
  const [message, reply] = [new BigUint64Array(1), new BigUint64Array(1)];
  const error = new BigUint64Array(SD_BUS_ERROR_WORDS);
  try {
    const made = sdBus.sd_bus_message_new_method_call(bus, message, SYSTEMD, PATH, MANAGER, 'StartTransientUnit');
    if (made < 0) return { ok: false, reason: `StartTransientUnit: ${getSystemErrorName(made)}` };
    const refused = fill(sdBus, message[0] ?? null, request).find((result) => result < 0);
    if (refused !== undefined) return { ok: false, reason: `StartTransientUnit: ${getSystemErrorName(refused)}` };
    const result = sdBus.sd_bus_call(bus, message[0] ?? null, 0, error, reply);
    if (result >= 0) return { ok: true };
    return { ok: false, reason: `systemd: ${error[1] ? readString(error[1]) : getSystemErrorName(result)}` };
  } finally {
    sdBus.sd_bus_error_free(error);
    if (message[0] !== 0n) sdBus.sd_bus_message_unref(message[0] ?? null);
    if (reply[0] !== 0n) sdBus.sd_bus_message_unref(reply[0] ?? null);
  }
}

/** `ssa(sv)a(sa(sv))`: name, mode, properties, auxiliary units. The results of each step. */
function fill(sdBus: SdBus, message: Pointer, { unit, description, pid }: ScopeRequest): number[] {
  const open = (type: number, contents: string) => sdBus.sd_bus_message_open_container(message, type, contents);
  const close = () => sdBus.sd_bus_message_close_container(message);
  const text = (value: string) =>
    sdBus.sd_bus_message_append_basic(message, TYPE.string, Buffer.from(`${value}\0`, 'utf8'));
  const property = (name: string, signature: string, value: () => number[]) => [
    open(TYPE.struct, 'sv'),
    text(name),
    open(TYPE.variant, signature),
    ...value(),
    close(),
    close(),
  ];
  const on = () => [sdBus.sd_bus_message_append_basic(message, TYPE.boolean, new Int32Array([1]))];
  return [
    text(unit),
    text('fail'),
    open(TYPE.array, '(sv)'),
    ...property('Description', 's', () => [text(description)]),
    ...property('Slice', 's', () => [text('machine.slice')]),
    ...property('Delegate', 'b', on),
    // What a limit needs is there from the start, whichever controllers others have asked for.
    ...property('CPUAccounting', 'b', on),
    ...property('MemoryAccounting', 'b', on),
    ...property('IOAccounting', 'b', on),
    ...property('CollectMode', 's', () => [text('inactive-or-failed')]),
    ...property('PIDs', 'au', () => [
      open(TYPE.array, 'u'),
      sdBus.sd_bus_message_append_basic(message, UINT32, new Uint32Array([pid])),
      close(),
    ]),
    close(),
    open(TYPE.array, '(sa(sv))'),
    close(),
  ];
}
