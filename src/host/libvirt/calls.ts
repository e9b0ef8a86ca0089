/**
 * The calls that the daemon makes, one function each: takes libvirt's functions and an open connection, gives an
 * outcome. Synchronous, for a worker thread: libvirt's last error belongs to the thread, so only there is it exact.
 */
import type { DomainFacts, DomainState } from '../../domains/types.js';
import { freeMemory, type Pointer, readBytes, readPointers } from '../ffi.js';
import * as c from './bindings.js';
import type { LibvirtOutcome, ListedDomain, SchedulerParameters } from './client.js';
import { ORIGINALS, parseDomainXml } from './domain-xml.js';
import type { FactsReading } from './protocol.js';
import { decodeTypedParameters, encodeTypedParameters } from './typed-parameters.js';

/** An open connection on this thread. */
export interface Connection {
  readonly libvirt: c.LibvirtLibrary;
  readonly handle: Pointer;
}

type Failed = Extract<LibvirtOutcome<never>, { ok: false }>;

/**
 * Two calls to libvirtd however many domains there are. Neither takes a job on a domain nor asks a monitor: the state
 * group of the statistics is libvirtd's own knowledge.
 */
export function listDomains(connection: Connection): LibvirtOutcome<readonly ListedDomain[]> {
  const { libvirt, handle } = connection;
  const out = new BigUint64Array(1);
  const flags = c.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;
  const count = libvirt.virConnectGetAllDomainStats(handle, c.VIR_DOMAIN_STATS_STATE, out, flags);
  if (count < 0) return failed(connection);
  const records = pointerOf(out);
  try {
    const persistent = persistentUuids(connection);
    if (!(persistent instanceof Set)) return persistent;
    const value = readPointers(records, count).map((record): ListedDomain => {
      const bytes = readBytes(record, c.STATS_RECORD.size);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const domain = view.getBigUint64(c.STATS_RECORD.domainOffset, true);
      const parameters = decodeTypedParameters(
        view.getBigUint64(c.STATS_RECORD.paramsOffset, true) || null,
        view.getInt32(c.STATS_RECORD.countOffset, true),
      );
      const uuid = uuidOf(libvirt, domain);
      const id = idOf(libvirt, domain);
      return {
        uuid,
        name: libvirt.virDomainGetName(domain) ?? '',
        id,
        state: domainState(Number(parameters.get('state.state') ?? 0), Number(parameters.get('state.reason') ?? 0), id),
        persistent: persistent.has(uuid),
      };
    });
    return { ok: true, value };
  } finally {
    libvirt.virDomainStatsRecordListFree(records);
  }
}

/** State, live XML and, of a persistent domain, the persistent XML. None of them waits for the guest's monitor. */
export function readFacts(connection: Connection, uuid: string): LibvirtOutcome<FactsReading> {
  const { libvirt } = connection;
  return withDomain(connection, uuid, (domain) => {
    const state = new Int32Array(2);
    if (libvirt.virDomainGetState(domain, state.subarray(0, 1), state.subarray(1, 2), 0) < 0) return failed(connection);
    const persistent = libvirt.virDomainIsPersistent(domain);
    if (persistent < 0) return failed(connection);
    const liveText = libvirt.virDomainGetXMLDesc(domain, 0);
    if (liveText === null) return failed(connection);
    const inactiveText = persistent ? libvirt.virDomainGetXMLDesc(domain, c.VIR_DOMAIN_XML_INACTIVE) : '';
    if (inactiveText === null) return failed(connection);
    try {
      const { metadataProblem, ...live } = parseDomainXml(liveText);
      const facts: DomainFacts = {
        ...live,
        state: domainState(state[0] ?? 0, state[1] ?? 0, live.id),
        persistent: persistent > 0,
        persistentCputune: persistent ? parseDomainXml(inactiveText).cputune : null,
      };
      return { ok: true, value: { facts, metadataProblem } };
    } catch (error) {
      return { ok: false, failure: 'refused', message: error instanceof Error ? error.message : String(error) };
    }
  });
}

export function setScheduler(
  connection: Connection,
  uuid: string,
  id: number,
  parameters: SchedulerParameters,
): LibvirtOutcome<null> {
  const { libvirt } = connection;
  const list = [
    { name: 'cpu_shares', type: 'ullong' as const, value: parameters.cpu_shares },
    { name: 'vcpu_period', type: 'ullong' as const, value: parameters.vcpu_period },
    { name: 'vcpu_quota', type: 'llong' as const, value: parameters.vcpu_quota },
  ].flatMap(({ value, ...rest }) => (value === undefined ? [] : [{ ...rest, value }]));
  if (list.length === 0) return { ok: true, value: null };
  return withInstance(connection, uuid, id, (domain) =>
    libvirt.virDomainSetSchedulerParametersFlags(
      domain,
      encodeTypedParameters(list),
      list.length,
      c.VIR_DOMAIN_AFFECT_LIVE,
    ),
  );
}

/** libvirt puts our prefix and namespace on the root element of `xml`; null removes what is there. */
export function setOriginals(
  connection: Connection,
  uuid: string,
  id: number,
  xml: string | null,
): LibvirtOutcome<null> {
  return withInstance(connection, uuid, id, (domain) =>
    connection.libvirt.virDomainSetMetadata(
      domain,
      c.VIR_DOMAIN_METADATA_ELEMENT,
      xml,
      // A key makes sense only with an element; libvirt refuses it otherwise.
      xml === null ? null : ORIGINALS.prefix,
      ORIGINALS.namespace,
      c.VIR_DOMAIN_AFFECT_LIVE,
    ),
  );
}

export function uuidOf(libvirt: c.LibvirtLibrary, domain: Pointer): string {
  const buffer = new Uint8Array(new ArrayBuffer(c.UUID_STRING_BYTES));
  libvirt.virDomainGetUUIDString(domain, buffer);
  return Buffer.from(buffer.subarray(0, c.UUID_STRING_BYTES - 1)).toString('latin1');
}

/** What a call that has just failed on this thread says, as one of our failures. */
export function failed(connection: Connection): Failed {
  const code = connection.libvirt.virGetLastErrorCode();
  const message = connection.libvirt.virGetLastErrorMessage() ?? 'unknown error';
  // The message of a broken connection varies; that it is broken does not.
  const alive = connection.libvirt.virConnectIsAlive(connection.handle) === 1;
  if (!alive || code === c.VIR_ERR.invalidConn) return { ok: false, failure: 'disconnected', message };
  return { ok: false, failure: code === c.VIR_ERR.noDomain ? 'vanished' : 'refused', message };
}

function withDomain<T>(
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

/** `call` on the running instance `id`, and on no later one of the same domain. */
function withInstance(
  connection: Connection,
  uuid: string,
  id: number,
  call: (domain: Pointer) => number,
): LibvirtOutcome<null> {
  const { libvirt } = connection;
  return withDomain(connection, uuid, (domain) => {
    const now = idOf(libvirt, domain);
    if (now !== id) {
      const message = now === null ? 'the domain does not run' : `the domain runs as ${now}, not as ${id}`;
      return { ok: false, failure: 'vanished', message };
    }
    if (call(domain) >= 0) return { ok: true, value: null };
    const code = libvirt.virGetLastErrorCode();
    const failure = failed(connection);
    // Said of a domain that has stopped, and of a host without the cgroup controller: ask which.
    const stopped = code === c.VIR_ERR.operationInvalid && libvirt.virDomainIsActive(domain) !== 1;
    return failure.failure === 'refused' && stopped ? { ...failure, failure: 'vanished' } : failure;
  });
}

function persistentUuids(connection: Connection): Set<string> | Failed {
  const { libvirt, handle } = connection;
  const out = new BigUint64Array(1);
  const count = libvirt.virConnectListAllDomains(handle, out, c.VIR_CONNECT_LIST_DOMAINS_PERSISTENT);
  if (count < 0) return failed(connection);
  const array = pointerOf(out);
  const domains = readPointers(array, count);
  freeMemory(array);
  const uuids = new Set<string>();
  for (const domain of domains) {
    uuids.add(uuidOf(libvirt, domain));
    libvirt.virDomainFree(domain);
  }
  return uuids;
}

function idOf(libvirt: c.LibvirtLibrary, domain: Pointer): number | null {
  const id = libvirt.virDomainGetID(domain);
  return id === c.VIR_DOMAIN_NO_ID ? null : id;
}

function pointerOf(out: BigUint64Array): Pointer {
  return out[0] || null;
}

/** virDomainState, with VIR_DOMAIN_PAUSED_STARTING_UP told apart. */
function domainState(state: number, reason: number, id: number | null): DomainState {
  const STARTING_UP = 11;
  switch (state) {
    case 1: // running
    case 2: // blocked on a resource (Xen)
      return 'running';
    case 3:
      return reason === STARTING_UP ? 'starting' : 'paused';
    case 4:
      return 'shutdown';
    case 5:
      return 'shutoff';
    case 6:
      return 'crashed';
    case 7:
      return 'pmsuspended';
    default: // 0: the driver does not say
      return id === null ? 'shutoff' : 'running';
  }
}
