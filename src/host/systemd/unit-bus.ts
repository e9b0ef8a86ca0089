/**
 * A connection to systemd on the system bus: takes a call, gives its outcome, synchronously. Source:
 * org.freedesktop.systemd1(5) and sd-bus(3).
 */
import { getSystemErrorName } from 'node:util';
import { type Pointer, readString } from '../ffi.js';
import type { SystemdFailed, SystemdFailure, UnitProperty, UnitPropertyValue } from './properties.js';
import type { BusCall, BusOutcome, BusThreadData } from './properties-thread.js';
import { bindSdBus, SD_BUS_ERROR_WORDS, type SdBus, TYPE } from './sd-bus.js';

const SYSTEM_BUS = 'unix:path=/run/dbus/system_bus_socket';
const SYSTEMD = 'org.freedesktop.systemd1';
const MANAGER_PATH = '/org/freedesktop/systemd1';
const MANAGER = 'org.freedesktop.systemd1.Manager';

/** Names of errors that are not a plain refusal. */
const FAILURES: Readonly<Record<string, SystemdFailure>> = {
  'org.freedesktop.systemd1.NoSuchUnit': 'vanished',
  'org.freedesktop.DBus.Error.UnknownObject': 'vanished',
  'org.freedesktop.DBus.Error.ServiceUnknown': 'absent',
  'org.freedesktop.DBus.Error.NameHasNoOwner': 'absent',
  'org.freedesktop.DBus.Error.Disconnected': 'absent',
  'org.freedesktop.DBus.Error.NoReply': 'timeout',
  'org.freedesktop.DBus.Error.Timeout': 'timeout',
};
/** The bus would start systemd, which is not there to be started. */
const SPAWN = 'org.freedesktop.DBus.Error.Spawn.';
/** There is no bus, or it has gone. As the name of an error sd-bus puts `System.Error.` before it. */
const DISCONNECTED = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTCONN', 'ECONNRESET', 'EPIPE', 'ESHUTDOWN']);
const ERRNO = 'System.Error.';

export class UnitBus {
  readonly #address: string;
  readonly #timeoutUsec: number;
  #sdBus: SdBus | null = null;
  #bus: Pointer = null;

  constructor({ address, timeoutMs }: BusThreadData) {
    this.#address = address ?? process.env.DBUS_SYSTEM_BUS_ADDRESS ?? SYSTEM_BUS;
    this.#timeoutUsec = timeoutMs * 1000;
  }

  make(call: BusCall): BusOutcome {
    const kept = this.#bus !== null;
    const outcome = this.#attempt(call);
    // A kept connection may have died unnoticed, as when the bus was restarted. Every call may be made twice.
    return kept && !outcome.ok && outcome.failure === 'absent' ? this.#attempt(call) : outcome;
  }

  close(): void {
    if (this.#sdBus === null || this.#bus === null) return;
    this.#sdBus.sd_bus_close(this.#bus);
    this.#sdBus.sd_bus_unref(this.#bus);
    this.#bus = null;
  }

  #attempt(call: BusCall): BusOutcome {
    if (this.#sdBus === null) {
      const bound = bindSdBus();
      if (!bound.ok) return failed('absent', bound.reason);
      this.#sdBus = bound.sdBus;
    }
    const refusal = this.#bus === null ? this.#open(this.#sdBus) : null;
    if (refusal !== null) return refusal;
    const connection = { sdBus: this.#sdBus, bus: this.#bus };
    const outcome =
      call.op === 'set'
        ? setProperties(connection, call.unit, call.properties)
        : getProperties(connection, call.unit, call.names);
    // A reply that comes late would wait in the connection for ever.
    if (!outcome.ok && (outcome.failure === 'absent' || outcome.failure === 'timeout')) this.close();
    return outcome;
  }

  /** Not sd_bus_open_system, which greets the bus before a time limit can be set. */
  #open(sdBus: SdBus): SystemdFailed | null {
    const created = new BigUint64Array(1);
    let result = sdBus.sd_bus_new(created);
    if (result < 0) return failedStep('sd_bus_new', result);
    this.#bus = created[0] ?? null;
    result = sdBus.sd_bus_set_address(this.#bus, this.#address);
    if (result >= 0) result = sdBus.sd_bus_set_bus_client(this.#bus, 1);
    if (result >= 0) result = sdBus.sd_bus_set_method_call_timeout(this.#bus, this.#timeoutUsec);
    if (result >= 0) result = sdBus.sd_bus_start(this.#bus);
    if (result >= 0) return null;
    this.close();
    return failedStep(`no connection to ${this.#address}`, result);
  }
}

interface Connection {
  readonly sdBus: SdBus;
  readonly bus: Pointer;
}

/**
 * SetUnitProperties(unit, runtime, a(sv)): all of them or, should one be refused, none. Only for a unit that is loaded:
 * a slice that is not would be made, and its files left in /run.
 */
function setProperties(connection: Connection, unit: string, properties: readonly UnitPropertyValue[]): BusOutcome {
  const { sdBus } = connection;
  const path = unitPath(connection, unit);
  if (typeof path !== 'string') return path;
  return callManager(
    connection,
    'SetUnitProperties',
    (message) => [
      sdBus.sd_bus_message_append_basic(message, TYPE.string, cString(unit)),
      sdBus.sd_bus_message_append_basic(message, TYPE.boolean, new Int32Array([1])),
      sdBus.sd_bus_message_open_container(message, TYPE.array, '(sv)'),
      ...properties.flatMap(({ name, value }) => [
        sdBus.sd_bus_message_open_container(message, TYPE.struct, 'sv'),
        sdBus.sd_bus_message_append_basic(message, TYPE.string, cString(name)),
        sdBus.sd_bus_message_open_container(message, TYPE.variant, 't'),
        sdBus.sd_bus_message_append_basic(message, TYPE.uint64, new BigUint64Array([value])),
        sdBus.sd_bus_message_close_container(message),
        sdBus.sd_bus_message_close_container(message),
      ]),
      sdBus.sd_bus_message_close_container(message),
    ],
    (): BusOutcome => ({ ok: true, values: [] }),
  );
}

function getProperties(connection: Connection, unit: string, names: readonly UnitProperty[]): BusOutcome {
  const { sdBus, bus } = connection;
  const path = unitPath(connection, unit);
  if (typeof path !== 'string') return path;
  const values: bigint[] = [];
  for (const name of names) {
    const value = new BigUint64Array(1);
    const error = new BigUint64Array(SD_BUS_ERROR_WORDS);
    const into = [error, TYPE.uint64, value] as const;
    const result = sdBus.sd_bus_get_property_trivial(bus, SYSTEMD, path, interfaceOf(unit), name, ...into);
    if (result < 0) return explain(sdBus, result, error, name);
    values.push(value[0] ?? 0n);
  }
  return { ok: true, values };
}

/** The object of a unit that is loaded; that of another would give defaults instead of an error. */
function unitPath(connection: Connection, unit: string): string | SystemdFailed {
  const { sdBus } = connection;
  return callManager(
    connection,
    'GetUnit',
    (message) => [sdBus.sd_bus_message_append_basic(message, TYPE.string, cString(unit))],
    (reply) => {
      const path = new BigUint64Array(1);
      const result = sdBus.sd_bus_message_read_basic(reply, TYPE.objectPath, path);
      return result > 0 ? readString(path[0] ?? null) : failedStep('GetUnit', result);
    },
  );
}

/** `x.scope` → `org.freedesktop.systemd1.Scope`. */
function interfaceOf(unit: string): string {
  const suffix = unit.slice(unit.lastIndexOf('.') + 1);
  return `${SYSTEMD}.${suffix.charAt(0).toUpperCase()}${suffix.slice(1)}`;
}

/** `build` gives the results of what it called, of which none may be negative; `read` has the reply while it lives. */
function callManager<T>(
  { sdBus, bus }: Connection,
  method: string,
  build: (message: Pointer) => readonly number[],
  read: (reply: Pointer) => T,
): T | SystemdFailed {
  const message = new BigUint64Array(1);
  const reply = new BigUint64Array(1);
  const error = new BigUint64Array(SD_BUS_ERROR_WORDS);
  try {
    const made = sdBus.sd_bus_message_new_method_call(bus, message, SYSTEMD, MANAGER_PATH, MANAGER, method);
    if (made < 0) return failedStep(method, made);
    const built = build(message[0] ?? null).find((result) => result < 0);
    if (built !== undefined) return failedStep(method, built);
    const result = sdBus.sd_bus_call(bus, message[0] ?? null, 0, error, reply);
    return result < 0 ? explain(sdBus, result, error, method) : read(reply[0] ?? null);
  } finally {
    if (message[0] !== 0n) sdBus.sd_bus_message_unref(message[0] ?? null);
    if (reply[0] !== 0n) sdBus.sd_bus_message_unref(reply[0] ?? null);
  }
}

/** What an `sd_bus_error` says; frees it. */
function explain(sdBus: SdBus, result: number, error: BigUint64Array, what: string): SystemdFailed {
  const name = error[0] ? readString(error[0]) : `${ERRNO}${errnoName(result)}`;
  const message = error[1] ? readString(error[1]) : name;
  sdBus.sd_bus_error_free(error);
  const gone = name.startsWith(SPAWN) || (name.startsWith(ERRNO) && DISCONNECTED.has(name.slice(ERRNO.length)));
  return failed(FAILURES[name] ?? (gone ? 'absent' : 'refused'), `${what}: ${message}`);
}

/** Of a step that has no `sd_bus_error`. */
function failedStep(what: string, result: number): SystemdFailed {
  const errno = errnoName(result);
  return failed(DISCONNECTED.has(errno) ? 'absent' : 'refused', `${what}: ${errno}`);
}

/** -2 → `ENOENT`; what is not negative is no error, but not what was expected either. */
function errnoName(result: number): string {
  return result < 0 ? getSystemErrorName(result) : 'no data';
}

function cString(text: string): Uint8Array {
  return Buffer.from(`${text}\0`, 'utf8');
}

function failed(failure: SystemdFailure, message: string): SystemdFailed {
  return { ok: false, failure, message };
}
