/**
 * What QEMU says of a domain's disks: counters by virDomainListGetStats, throttles by virDomainGetBlockIoTune. Both ask its
 * monitor. Synchronous, for a worker thread.
 */
import { type DiskThrottle, THROTTLE_FIELDS, type ThrottleField } from '../../domains/types.js';
import type { Pointer } from '../ffi.js';
import * as c from './bindings.js';
import type { DiskCounters, DiskReading, DisksOptions, LibvirtOutcome } from './client.js';
import { withHistograms } from './disk-histograms.js';
import { type Connection, failed, pointerOf, readStatsRecords, withInstance } from './domain-call.js';
import { mayNameGroup, parseTuning } from './domain-xml.js';
import { decodeTypedParameters, type TypedValues } from './typed-parameters.js';

/** All fields and the group's name are 20; libvirt's protocol passes 32 at most. */
const PARAMETERS_MAX = 32;

/**
 * Waits for QEMU, but not for anyone else who waits for it: refused for a guest that libvirt is busy with.
 */
export function readDisks(
  connection: Connection,
  uuid: string,
  id: number,
  options: DisksOptions = { histograms: false, monitorUsed: false },
): LibvirtOutcome<readonly DiskReading[]> {
  return withInstance(connection, uuid, id, (domain) => {
    const read = readAll(connection, domain);
    return read.ok && options.histograms && read.value.length > 0
      ? withHistograms(connection, domain, read.value, options)
      : read;
  });
}

function readAll(connection: Connection, domain: Pointer): LibvirtOutcome<readonly DiskReading[]> {
  const counted = readCounters(connection, domain);
  if (!counted.ok) return counted;
  const disks = [...counted.value];
  if (disks.length === 0) return { ok: true, value: [] };
  if (disks.every(([, counters]) => counters === null)) return withoutAsking(connection, domain);
  const readings: DiskReading[] = [];
  for (const [target, counters] of disks) {
    const throttle = readThrottle(connection, domain, target);
    if (!throttle.ok && throttle.failure !== 'refused') return throttle;
    readings.push({
      target,
      throttle: throttle.ok ? throttle.value : null,
      throttleProblem: throttle.ok ? null : throttle.message,
      counters,
    });
  }
  // QEMU names a group for every disk that has a limit.
  if (readings.every(({ throttle }) => (throttle?.group ?? null) === null)) return { ok: true, value: readings };
  const groups = readGroups(connection, domain);
  return groups.ok ? { ok: true, value: readings.map((reading) => named(reading, groups.value)) } : groups;
}

/** Target → counters, in libvirt's order; null where QEMU has none, or was not asked. */
function readCounters(
  connection: Connection,
  domain: Pointer,
): LibvirtOutcome<ReadonlyMap<string, DiskCounters | null>> {
  const { libvirt } = connection;
  const out = new BigUint64Array(1);
  const count = libvirt.virDomainListGetStats(
    // An array of domains, ended by NULL.
    new BigUint64Array([domain ?? 0n, 0n]),
    c.VIR_DOMAIN_STATS_BLOCK,
    out,
    c.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT,
  );
  if (count < 0) return failed(connection);
  try {
    const stats = readStatsRecords(pointerOf(out), count)[0]?.parameters ?? new Map();
    const counters = new Map<string, DiskCounters | null>();
    for (let index = 0; index < Number(stats.get('block.count') ?? 0); index++) {
      const name = stats.get(`block.${index}.name`);
      if (name !== undefined) counters.set(String(name), countersAt(stats, `block.${index}`));
    }
    return { ok: true, value: counters };
  } finally {
    libvirt.virDomainStatsRecordListFree(pointerOf(out));
  }
}

function countersAt(stats: TypedValues, prefix: string): DiskCounters | null {
  if (!stats.has(`${prefix}.rd.reqs`)) return null;
  const value = (name: string) => BigInt(stats.get(`${prefix}.${name}`) ?? 0);
  return {
    readRequests: value('rd.reqs'),
    readBytes: value('rd.bytes'),
    readNs: value('rd.times'),
    writeRequests: value('wr.reqs'),
    writeBytes: value('wr.bytes'),
    writeNs: value('wr.times'),
    flushRequests: value('fl.reqs'),
    flushNs: value('fl.times'),
  };
}

/** With the group as QEMU names it: one without a name of its own has that of the disk's device. */
function readThrottle(connection: Connection, domain: Pointer, target: string): LibvirtOutcome<DiskThrottle> {
  const { libvirt } = connection;
  const block = new Uint8Array(PARAMETERS_MAX * c.TYPED_PARAMETER.size);
  const count = new Int32Array([PARAMETERS_MAX]);
  if (libvirt.virDomainGetBlockIoTune(domain, target, block, count, c.VIR_DOMAIN_AFFECT_LIVE) < 0) {
    return failed(connection);
  }
  const [length = 0] = count;
  const values = decodeTypedParameters(block, length);
  libvirt.virTypedParamsClear(block, length);
  const fields: Partial<Record<ThrottleField, number>> = {};
  for (const name of THROTTLE_FIELDS) {
    const value = Number(values.get(name) ?? 0);
    if (value > 0) fields[name] = value;
  }
  return { ok: true, value: { fields, group: String(values.get('group_name') ?? '') || null } };
}

/** A group is another than the disk's own when the XML names it. */
function named(reading: DiskReading, groups: ReadonlyMap<string, string | null>): DiskReading {
  const { target, throttle } = reading;
  if (throttle === null) return reading;
  const group = groups.get(target) ?? null;
  return { ...reading, throttle: { fields: throttle.fields, group: group === throttle.group ? group : null } };
}

/** Target → the group that the live XML names. */
function readGroups(connection: Connection, domain: Pointer): LibvirtOutcome<ReadonlyMap<string, string | null>> {
  const xml = connection.libvirt.virDomainGetXMLDesc(domain, 0);
  if (xml === null) return failed(connection);
  const disks = mayNameGroup(xml) ? parseTuning(xml).disks : [];
  return { ok: true, value: new Map(disks.map(({ target, throttle }) => [target, throttle.group])) };
}

/** No disk has counters: none of them can have, or libvirt is busy with another call about this guest. */
function withoutAsking(connection: Connection, domain: Pointer): LibvirtOutcome<readonly DiskReading[]> {
  const xml = connection.libvirt.virDomainGetXMLDesc(domain, 0);
  if (xml === null) return failed(connection);
  const { disks } = parseTuning(xml);
  // What is not known now says nothing of what QEMU can do: the last answer stands.
  if (disks.some(({ sourceType, empty }) => sourceType !== 'vhostuser' && !empty)) {
    return { ok: false, failure: 'refused', message: 'libvirt is busy with another call about this guest' };
  }
  const value = disks.map(({ target, sourceType }) => {
    const throttleProblem =
      sourceType === 'vhostuser' ? 'QEMU neither counts nor throttles a vhostuser disk' : 'there is no medium in it';
    return { target, throttle: null, throttleProblem, counters: null };
  });
  return { ok: true, value };
}
