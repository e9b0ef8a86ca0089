/**
 * Disks of one guest: what QEMU has counted, read in rounds at irregular times, in; monotone counters, rates over the
 * last round, and whether a disk ran at its limit, out. Pure. A disk that is plugged again under an old name goes on with
 * the counters of that name.
 */
import type { DiskThrottle } from '../domains/types.js';
import type { DiskCounters, DiskHistograms } from '../host/libvirt/client.js';
import type { DiskRates, DiskSignals, DiskTotals } from '../snapshot/signals.js';
import { accountHistogram, type HistogramAccount } from './disk-histogram.js';
import { isAtLimit } from './disk-limit.js';
import { type Rising, rising } from './rising.js';

export interface DisksReading {
  readonly atMonotonicMs: number;
  readonly atMs: number;
  /** Every disk that the guest has now. */
  readonly disks: readonly ReadDisk[];
}

/** `DiskReading` of the libvirt client is one. */
export interface ReadDisk {
  readonly target: string;
  /** The throttle in force; null when that is not known. */
  readonly throttle: DiskThrottle | null;
  /** Null: could not be read this time. */
  readonly counters: DiskCounters | null;
  /** Undefined: not asked for, or could not be read. */
  readonly histograms?: DiskHistograms;
}

export interface DisksAccount {
  /** By target, those of disks that were unplugged too. */
  readonly disks: ReadonlyMap<string, OneDisk>;
  /** Of the disks that the guest has. */
  readonly signals: readonly DiskSignals[];
}

interface OneDisk {
  readonly atMonotonicMs: number;
  readonly atMs: number;
  readonly counts: Rising<DiskTotals>;
  readonly rates: DiskRates | null;
  readonly histogram: HistogramAccount | null;
  readonly throttle: string;
  /** It was the same throttle at both ends of the round. */
  readonly steady: boolean;
}

/** The account after one more round. */
export function accountDisks(account: DisksAccount | null, reading: DisksReading): DisksAccount {
  const disks = new Map(account?.disks);
  for (const { target, counters, throttle, histograms } of reading.disks) {
    const before = disks.get(target) ?? null;
    const elapsed = before === null ? 0 : (reading.atMonotonicMs - before.atMonotonicMs) / 1000;
    if (counters === null || (before !== null && elapsed <= 0)) continue;
    const counts = rising(before?.counts ?? null, totalsOf(counters));
    const rates = counts.rises === null ? null : ratesOf(counts.rises, elapsed);
    const inForce = JSON.stringify(throttle);
    disks.set(target, {
      atMonotonicMs: reading.atMonotonicMs,
      atMs: reading.atMs,
      counts,
      rates,
      histogram: accountHistogram(before?.histogram ?? null, histograms, counts.rises === null),
      throttle: inForce,
      steady: before?.throttle === inForce,
    });
  }
  const signals = reading.disks.flatMap(({ target, throttle }): DiskSignals[] => {
    const disk = disks.get(target);
    if (disk === undefined) return [];
    const { atMs, counts, rates, histogram } = disk;
    const limited = limitedOf(target, throttle, reading, disks);
    const signals = { target, atMs, counters: counts.totals, rates, limited };
    return [{ ...signals, ...(histogram !== null && { histogram: histogram.signals }) }];
  });
  return { disks, signals };
}

/** Disks of one throttle group share its limit: their rates count together. */
function limitedOf(
  target: string,
  throttle: DiskThrottle | null,
  reading: DisksReading,
  disks: ReadonlyMap<string, OneDisk>,
): boolean | null {
  if (throttle === null) return null;
  const members =
    throttle.group === null
      ? [target]
      : reading.disks.filter((other) => other.throttle?.group === throttle.group).map((other) => other.target);
  const rates: DiskRates[] = [];
  for (const member of members) {
    const disk = disks.get(member);
    if (disk?.atMonotonicMs !== reading.atMonotonicMs || disk.rates === null || !disk.steady) return null;
    rates.push(disk.rates);
  }
  return isAtLimit(throttle.fields, rates);
}

function totalsOf(counters: DiskCounters): DiskTotals {
  return {
    readRequests: Number(counters.readRequests),
    readBytes: Number(counters.readBytes),
    readSeconds: Number(counters.readNs) / 1e9,
    writeRequests: Number(counters.writeRequests),
    writeBytes: Number(counters.writeBytes),
    writeSeconds: Number(counters.writeNs) / 1e9,
    flushRequests: Number(counters.flushRequests),
    flushSeconds: Number(counters.flushNs) / 1e9,
  };
}

function ratesOf(rises: DiskTotals, overSeconds: number): DiskRates {
  const latency = (seconds: number, requests: number): number | null => (requests === 0 ? null : seconds / requests);
  return {
    overSeconds,
    readIops: rises.readRequests / overSeconds,
    writeIops: rises.writeRequests / overSeconds,
    flushIops: rises.flushRequests / overSeconds,
    readBytesPerSecond: rises.readBytes / overSeconds,
    writeBytesPerSecond: rises.writeBytes / overSeconds,
    readLatencySeconds: latency(rises.readSeconds, rises.readRequests),
    writeLatencySeconds: latency(rises.writeSeconds, rises.writeRequests),
    flushLatencySeconds: latency(rises.flushSeconds, rises.flushRequests),
  };
}
