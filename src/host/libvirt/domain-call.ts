/**
 * What calls about one domain have in common: takes a connection and a uuid, finds the domain, turns libvirt's last error
 * into an outcome. Synchronous, for a worker thread: libvirt's last error belongs to the thread.
 */
import { type Pointer, readBytes, readPointers } from '../ffi.js';
import * as c from './bindings.js';
import type { LibvirtOutcome } from './client.js';
import { decodeTypedParameters, type TypedValues } from './typed-parameters.js';

/** An open connection on this thread. */
export interface Connection {
  readonly libvirt: c.LibvirtLibrary;
  readonly handle: Pointer;
}

export type Failed = Extract<LibvirtOutcome<never>, { ok: false }>;

/** What a call that has just failed on this thread says, as one of our failures. */
export function failed(connection: Connection): Failed {
  const code = connection.libvirt.virGetLastErrorCode();
  // Of a command that libvirt ran, such as tc, the message has all the output.
  const message = connection.libvirt.virGetLastErrorMessage()?.split('\n', 1)[0] ?? 'unknown error';
  // The message of a broken connection varies; that it is broken does not.
  const alive = connection.libvirt.virConnectIsAlive(connection.handle) === 1;
  if (!alive || code === c.VIR_ERR.invalidConn) return { ok: false, failure: 'disconnected', message };
  return { ok: false, failure: code === c.VIR_ERR.noDomain ? 'vanished' : 'refused', message };
}

/** The outcome of a set call from its result: negative when it failed. */
export function done(connection: Connection, result: number): LibvirtOutcome<null> {
  return result < 0 ? failed(connection) : { ok: true, value: null };
}

export function withDomain<T>(
  connection: Connection,
  uuid: string,
  use: (domain: Pointer) => LibvirtOutcome<T>,
): LibvirtOutcome<T> {
  const domain = connection.libvirt.virDomainLookupByUUIDString(connection.handle, uuid);
  if (domain === null) return failed(connection);
  try {
    return use(domain);
  } finally {
    connection.libvirt.virDomainFree(domain);
  }
}

/** `use` on the running instance `id`, and on no later one of the same domain. */
export function withInstance<T>(
  connection: Connection,
  uuid: string,
  id: number,
  use: (domain: Pointer) => LibvirtOutcome<T>,
): LibvirtOutcome<T> {
  const { libvirt } = connection;
  return withDomain(connection, uuid, (domain) => {
    const now = idOf(libvirt, domain);
    if (now !== id) {
      const message = now === null ? 'the domain does not run' : `the domain runs as ${now}, not as ${id}`;
      return { ok: false, failure: 'vanished', message };
    }
    const outcome = use(domain);
    if (outcome.ok || outcome.failure !== 'refused') return outcome;
    // A domain that has stopped is refused in the words of whatever could not be done then.
    const active = libvirt.virDomainIsActive(domain);
    const gone = active === 0 || (active < 0 && libvirt.virGetLastErrorCode() === c.VIR_ERR.noDomain);
    return gone ? { ...outcome, failure: 'vanished' } : outcome;
  });
}

export interface StatsRecord {
  readonly domain: Pointer;
  readonly parameters: TypedValues;
}

/** Copies `count` records of virDomainStatsRecord; their domains live as long as the list in C. */
export function readStatsRecords(list: Pointer, count: number): StatsRecord[] {
  return readPointers(list, count).map((record) => {
    const bytes = readBytes(record, c.STATS_RECORD.size);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const parameters = view.getBigUint64(c.STATS_RECORD.paramsOffset, true) || null;
    return {
      domain: view.getBigUint64(c.STATS_RECORD.domainOffset, true),
      parameters: decodeTypedParameters(parameters, view.getInt32(c.STATS_RECORD.countOffset, true)),
    };
  });
}

export function uuidOf(libvirt: c.LibvirtLibrary, domain: Pointer): string {
  const buffer = new Uint8Array(new ArrayBuffer(c.UUID_STRING_BYTES));
  libvirt.virDomainGetUUIDString(domain, buffer);
  return Buffer.from(buffer.subarray(0, c.UUID_STRING_BYTES - 1)).toString('latin1');
}

export function idOf(libvirt: c.LibvirtLibrary, domain: Pointer): number | null {
  const id = libvirt.virDomainGetID(domain);
  return id === c.VIR_DOMAIN_NO_ID ? null : id;
}

/** The pointer that C has written into `out`. */
export function pointerOf(out: BigUint64Array): Pointer {
  return out[0] || null;
}
