/**
 * Latency histograms of one disk: what QEMU has counted since they were set, read in rounds, in; counters that only rise and
 * what came to each bin over the last round, out. Pure. Flushes are left out: their time is that of data written before.
 */
import type { DiskHistograms, LatencyHistogram } from '../host/libvirt/client.js';
import { type Histogram, histogramRise } from '../slo/slice.js';
import type { DiskHistogramSignals, DiskSignals, HistogramTotals } from '../snapshot/signals.js';

export interface HistogramAccount {
  readonly signals: DiskHistogramSignals;
  readonly read: LatencyHistogram;
  readonly write: LatencyHistogram;
  /** A round went by without a reading: the next rise is over more than one. */
  readonly gap: boolean;
}

/**
 * The account after one more round; null where there is none, or reads and writes are not counted alike. `anew`: the disk's
 * other counters began anew, so it is another one.
 */
export function accountHistogram(
  before: HistogramAccount | null,
  now: DiskHistograms | undefined,
  anew: boolean,
): HistogramAccount | null {
  if (now === undefined) {
    return before === null ? null : { ...before, signals: { ...before.signals, round: null }, gap: true };
  }
  const { reads: read, writes: write } = now;
  if (read === null || write === null || !isAlike(read, write)) return null;
  const boundsSeconds = read.boundariesNs.map((bound) => bound / 1e9);
  if (before === null || !isAlike(before.read, read)) {
    const none = { bins: read.bins.map(() => 0), seconds: 0 };
    return { read, write, gap: false, signals: { boundsSeconds, round: null, read: none, write: none } };
  }
  const [reads, writes] = anew ? [null, null] : [riseOf(before.read, read), riseOf(before.write, write)];
  if (reads === null || writes === null) {
    return { read, write, gap: false, signals: { ...before.signals, round: null } };
  }
  const round = before.gap ? null : reads.bins.map((count, bin) => count + (writes.bins[bin] ?? 0));
  const totals = { read: sum(before.signals.read, reads), write: sum(before.signals.write, writes) };
  return { read, write, gap: false, signals: { boundsSeconds, round, ...totals } };
}

/** Disk target → its histogram over the last round, where there is one. */
export function roundHistograms(disks: readonly DiskSignals[]): ReadonlyMap<string, Histogram> {
  return new Map(
    disks.flatMap(({ target, histogram }) =>
      histogram?.round == null ? [] : [[target, byBound(histogram.boundsSeconds, histogram.round)] as const],
    ),
  );
}

function byBound(bounds: readonly number[], bins: readonly number[]): Histogram {
  return bins.map((count, bin) => [bounds[bin] ?? Number.POSITIVE_INFINITY, count] as const);
}

function isAlike(one: LatencyHistogram, other: LatencyHistogram): boolean {
  return one.boundariesNs.join() === other.boundariesNs.join();
}

/** Null when it was set anew meanwhile. */
function riseOf(before: LatencyHistogram, now: LatencyHistogram): HistogramTotals | null {
  const rise = histogramRise(byBound(before.boundariesNs, before.bins), byBound(now.boundariesNs, now.bins));
  const ns = now.totalNs - before.totalNs;
  return rise === null || ns < 0 ? null : { bins: rise.map(([, count]) => count), seconds: ns / 1e9 };
}

function sum(one: HistogramTotals, other: HistogramTotals): HistogramTotals {
  return {
    bins: one.bins.map((count, bin) => count + (other.bins[bin] ?? 0)),
    seconds: one.seconds + other.seconds,
  };
}
