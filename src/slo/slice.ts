/**
 * The slice of one guest from two looks at it, a cycle apart: pure. Counters that began anew, figures that were not read
 * again, and another instance of the guest give null, never a negative or a spike.
 */
import type { GuestSignals } from '../domains/accounts.js';
import type { DomainState, ProcessIdentity } from '../domains/types.js';
import type { DiskRates, DiskSignals, InterfaceSignals } from '../snapshot/signals.js';
import type { CpuSlice, DiskPromise, DiskSlice, InterfaceSlice, MemorySlice, Slice } from './types.js';

/** What is known of a guest at one moment. */
export interface Look {
  readonly atMonotonicMs: number;
  /** Wall clock: readings of disks are stamped by it. */
  readonly atMs: number;
  readonly state: DomainState;
  /** Null: it does not run. */
  readonly process: ProcessIdentity | null;
  /** The account's own slice. What was not read again since the look before is the same object as then. */
  readonly cpu: CpuSlice | null;
  readonly signals: Pick<GuestSignals, 'memory' | 'disks' | 'interfaces' | 'pressure'>;
}

/** What is promised to the guest, and what the signals do not say of it. */
export interface SliceTerms {
  readonly meantToRun: boolean;
  readonly labelCompliant: boolean | null;
  readonly guaranteedBytes: number | null;
  /** Disk target → what the class lets it have. */
  readonly promised: ReadonlyMap<string, DiskPromise>;
  /** When those promises last changed, wall clock: rounds that began before cannot be held to them. Null: not since it started. */
  readonly promisedSinceMs: number | null;
  /** Disk target → its histogram over the last round; see `histogramRise`. */
  readonly histograms: ReadonlyMap<string, Histogram>;
}

/** Upper bound in seconds → requests, ascending. */
export type Histogram = readonly (readonly [number, number])[];

/** A round of disks stands at most this many times as long as it was, as the next one may be late. */
const ROUND_STANDS = 1.5;

/** Null when no time has passed between the two. */
export function sliceOf(before: Look, now: Look, terms: SliceTerms): Slice | null {
  const seconds = (now.atMonotonicMs - before.atMonotonicMs) / 1000;
  if (!(seconds > 0)) return null;
  const { state } = now;
  const { meantToRun, labelCompliant } = terms;
  const slice = { seconds, state, meantToRun, labelCompliant };
  if (!isSameInstance(before.process, now.process)) {
    return { ...slice, cpu: null, memory: null, disks: null, interfaces: null };
  }
  return {
    ...slice,
    cpu: now.cpu === before.cpu ? null : now.cpu,
    memory: memoryOver(before, now, terms.guaranteedBytes),
    disks: disksOver(now, terms),
    // A guest that stood still for a part of the slice let packets drop for that part.
    interfaces: before.state === state ? interfacesOver(before.signals.interfaces, now.signals.interfaces) : null,
  };
}

/** What came to each bucket between two readings; null when the counts or the bounds began anew. */
export function histogramRise(before: Histogram, now: Histogram): Histogram | null {
  if (before.length !== now.length) return null;
  const rise = now.map(([upTo, count], bucket) => {
    const was = before[bucket];
    return [upTo, was?.[0] === upTo ? count - was[1] : Number.NaN] as const;
  });
  return rise.every(([, count]) => count >= 0) ? rise : null;
}

function isSameInstance(before: ProcessIdentity | null, now: ProcessIdentity | null): boolean {
  return before !== null && now !== null && before.pid === now.pid && before.startTicks === now.startTicks;
}

function memoryOver(before: Look, now: Look, guaranteedBytes: number | null): MemorySlice | null {
  const [was, is] = [before.signals.memory, now.signals.memory];
  if (is === null || is === was) return null;
  const [stalled, stalls] = [before.signals.pressure?.memory, now.signals.pressure?.memory];
  const stallsKnown = stalls?.someShare != null && stalls !== stalled;
  return {
    guaranteedBytes,
    usedBytes: is.usedBytes,
    swapBytes: is.swapBytes,
    // Without a rate there is nothing to compare with.
    refaultedBytes: is.rates?.refaultedBytesPerSecond == null ? null : rise(was?.refaultedBytes, is.refaultedBytes),
    waitedSeconds: stallsKnown ? rise(stalled?.someSeconds, stalls.someSeconds) : null,
  };
}

/** Null as soon as one disk has no round that stands: nobody can say then that all are well. */
function disksOver({ atMs, signals }: Look, terms: SliceTerms): readonly DiskSlice[] | null {
  const slices: DiskSlice[] = [];
  for (const disk of signals.disks) {
    const { rates } = disk;
    if (rates === null) return null;
    const age = atMs - disk.atMs;
    const began = disk.atMs - rates.overSeconds * 1000;
    if (age > ROUND_STANDS * rates.overSeconds * 1000 || began < (terms.promisedSinceMs ?? began)) return null;
    slices.push(diskOver(disk, rates, terms));
  }
  return slices;
}

function diskOver({ target, limited }: DiskSignals, rates: DiskRates, terms: SliceTerms): DiskSlice {
  const { overSeconds } = rates;
  const traffic = (iops: number, bytesPerSecond: number, latencySeconds: number | null) => {
    const requests = Math.round(iops * overSeconds);
    return { requests, bytes: bytesPerSecond * overSeconds, requestSeconds: requests * (latencySeconds ?? 0) };
  };
  return {
    target,
    overSeconds,
    read: traffic(rates.readIops, rates.readBytesPerSecond, rates.readLatencySeconds),
    write: traffic(rates.writeIops, rates.writeBytesPerSecond, rates.writeLatencySeconds),
    limited,
    histogram: terms.histograms.get(target) ?? null,
    promised: terms.promised.get(target) ?? null,
  };
}

/** Null as soon as one interface has nothing to compare with. */
function interfacesOver(
  before: readonly InterfaceSignals[],
  now: readonly InterfaceSignals[],
): readonly InterfaceSlice[] | null {
  const slices: InterfaceSlice[] = [];
  for (const one of now) {
    const was = before.find(({ mac, device }) => mac === one.mac && device === one.device);
    if (was === undefined || was === one || one.rates === null) return null;
    const [from, to] = [was.counters, one.counters];
    const packets = rise(from.receivedPackets + from.sentPackets, to.receivedPackets + to.sentPackets);
    const dropped = rise(from.receivedDropped + from.sentDropped, to.receivedDropped + to.sentDropped);
    if (packets === null || dropped === null) return null;
    slices.push({ device: one.device, packets, dropped });
  }
  return slices;
}

function rise(before: number | null | undefined, now: number | null): number | null {
  return before == null || now === null || now < before ? null : now - before;
}
