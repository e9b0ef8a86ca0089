/**
 * The calls that the daemon makes, one function each: takes libvirt's functions and an open connection, gives an
 * outcome. Synchronous, for a worker thread: libvirt's last error belongs to the thread, so only there is it exact.
 */
import type { DomainFacts, DomainState } from '../../domains/types.js';
import { freeMemory, readPointers } from '../ffi.js';
import * as c from './bindings.js';
import type { LibvirtOutcome, ListedDomain } from './client.js';
import {
  type Connection,
  done,
  type Failed,
  failed,
  idOf,
  pointerOf,
  readStatsRecords,
  uuidOf,
  withDomain,
  withInstance,
} from './domain-call.js';
import { ORIGINALS, parseDefinition, parseDomainXml } from './domain-xml.js';
import type { FactsReading } from './protocol.js';

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
    const value = readStatsRecords(records, count).map(({ domain, parameters }): ListedDomain => {
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
      const definition = persistent ? parseDefinition(inactiveText) : null;
      const facts: DomainFacts = {
        ...live,
        // Of one that does not run it would be those of its definition, or of an image that could not be restored.
        seclabels: live.id === null ? [] : live.seclabels,
        state: domainState(state[0] ?? 0, state[1] ?? 0, live.id),
        persistent: persistent > 0,
        definition: definition?.tuning ?? null,
        definitionSeclabels: definition?.seclabels ?? null,
        // Of one that runs, libvirt's answer is about what a save that was cut short left behind.
        managedSave: live.id === null && libvirt.virDomainHasManagedSaveImage(domain, 0) > 0,
      };
      return { ok: true, value: { facts, metadataProblem } };
    } catch (error) {
      return { ok: false, failure: 'refused', message: error instanceof Error ? error.message : String(error) };
    }
  });
}

/** libvirt puts our prefix and namespace on the root element of `xml`; null removes what is there. */
export function setOriginals(
  connection: Connection,
  uuid: string,
  id: number,
  xml: string | null,
): LibvirtOutcome<null> {
  return withInstance(connection, uuid, id, (domain) =>
    done(
      connection,
      connection.libvirt.virDomainSetMetadata(
        domain,
        c.VIR_DOMAIN_METADATA_ELEMENT,
        xml,
        // A key makes sense only with an element; libvirt refuses it otherwise.
        xml === null ? null : ORIGINALS.prefix,
        ORIGINALS.namespace,
        c.VIR_DOMAIN_AFFECT_LIVE,
      ),
    ),
  );
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
