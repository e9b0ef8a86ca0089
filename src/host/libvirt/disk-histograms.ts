/**
 * The latency histograms that QEMU keeps of each virtual disk: set by `block-latency-histogram-set`, read with
 * `query-blockstats`. Synchronous, for a worker thread. A reading makes no monitor command where nobody has made one since the
 * guest started: nobody can have set a histogram then, and the domain stays untainted. Source: qapi/block-core.json; QEMU 7.2
 * takes the device's own path for an id, and no block node of libvirt's.
 */
import type { Pointer } from '../ffi.js';
import { blockStatsOf, diskAliases } from './block-stats.js';
import type { DiskHistograms, DiskReading, DisksOptions, LibvirtOutcome, TuneCall } from './client.js';
import { type Connection, failed } from './domain-call.js';
import { askMonitor, isMonitorUsed, monitorProblem } from './monitor.js';

const SET = 'block-latency-histogram-set';
const DONE: LibvirtOutcome<null> = { ok: true, value: null };
const NONE: DiskHistograms = { reads: null, writes: null, flushes: null };

/** The readings with what is known of histograms; as they were where nothing is asked or can be learnt. */
export function withHistograms(
  connection: Connection,
  domain: Pointer,
  readings: readonly DiskReading[],
  { monitorUsed }: DisksOptions,
): LibvirtOutcome<readonly DiskReading[]> {
  const problem = monitorProblem();
  if (problem !== null) return { ok: true, value: readings.map((one) => ({ ...one, histogramProblem: problem })) };
  const used = isMonitorUsed(connection, domain);
  if (!used.ok) return lenient(used, readings);
  if (!used.value && !monitorUsed) return { ok: true, value: readings.map((one) => known(one, NONE)) };
  const aliases = aliasesOf(connection, domain);
  if (!aliases.ok) return lenient(aliases, readings);
  const stats = askMonitor(connection, domain, 'query-blockstats');
  if (!stats.ok) return lenient(stats, readings);
  const found = readings.map((one): DiskReading => {
    const alias = aliases.value.get(one.target);
    const disk = alias === undefined ? null : blockStatsOf(stats.value, alias);
    return disk === null
      ? { ...one, histogramProblem: 'QEMU counts nothing of this disk' }
      : known(one, disk.histograms);
  });
  if (found.some(({ histograms }) => histograms !== undefined && histograms.reads !== null)) {
    return { ok: true, value: found };
  }
  const commands = askMonitor(connection, domain, 'query-commands');
  if (!commands.ok) return lenient(commands, readings);
  const lacks = `this QEMU has no ${SET} (it came with 4.0)`;
  return {
    ok: true,
    value: knowsSet(commands.value) ? found : found.map((one) => ({ ...one, histogramProblem: lacks })),
  };
}

/** Makes the command only where it changes something, for it begins to count anew. */
export function setHistogram(
  connection: Connection,
  domain: Pointer,
  { disk, boundariesNs }: Extract<TuneCall, { call: 'histogram' }>,
): LibvirtOutcome<null> {
  const aliases = aliasesOf(connection, domain);
  if (!aliases.ok) return aliases;
  const alias = aliases.value.get(disk);
  const stats = askMonitor(connection, domain, 'query-blockstats');
  if (!stats.ok) return stats;
  const found = alias === undefined ? null : blockStatsOf(stats.value, alias);
  if (found === null) return { ok: false, failure: 'refused', message: 'QEMU counts nothing of this disk' };
  const { reads, writes, flushes } = found.histograms;
  const wanted = JSON.stringify(boundariesNs);
  if ([reads, writes, flushes].every((one) => JSON.stringify(one?.boundariesNs ?? null) === wanted)) return DONE;
  const args = { id: found.qdev, ...(boundariesNs !== null && { boundaries: boundariesNs }) };
  const set = askMonitor(connection, domain, SET, args);
  return set.ok ? DONE : set;
}

function known(reading: DiskReading, histograms: DiskHistograms): DiskReading {
  return { ...reading, histograms, histogramProblem: null };
}

/** The histograms are not worth the other figures: those are given without. */
function lenient(
  outcome: Extract<LibvirtOutcome<unknown>, { ok: false }>,
  readings: readonly DiskReading[],
): LibvirtOutcome<readonly DiskReading[]> {
  return outcome.failure === 'refused' ? { ok: true, value: readings } : outcome;
}

function aliasesOf(connection: Connection, domain: Pointer): LibvirtOutcome<ReadonlyMap<string, string>> {
  const xml = connection.libvirt.virDomainGetXMLDesc(domain, 0);
  return xml === null ? failed(connection) : { ok: true, value: diskAliases(xml) };
}

function knowsSet(commands: unknown): boolean {
  return Array.isArray(commands) && commands.some((one: { readonly name?: unknown } | null) => one?.name === SET);
}
