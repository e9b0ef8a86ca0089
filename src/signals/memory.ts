/**
 * Memory of one guest: a reading of its memory group in; use, monotone counters and rates out. Pure. What is charged to
 * the group is the guest's RAM as far as it was touched, QEMU's own memory and the page cache of images opened with
 * host caching. Pages of hugetlbfs are not in it.
 */
import type { MemoryRates, MemorySignals } from '../snapshot/signals.js';
import { perSecond, type Rising, rising } from './rising.js';

/** In bytes and numbers of events; null: the host's kernel or cgroup version has no such figure. */
export interface MemoryReading {
  readonly atMonotonicMs: number;
  readonly levels: MemoryLevels;
  readonly counts: MemoryCounts;
}

export type MemoryLevels = Pick<
  MemorySignals,
  'usedBytes' | 'peakBytes' | 'anonBytes' | 'fileBytes' | 'sharedBytes' | 'swapBytes'
>;

export type MemoryCounts = Pick<
  MemorySignals,
  'reclaimedBytes' | 'refaultedBytes' | 'majorFaults' | 'highEvents' | 'limitEvents' | 'oomKills'
>;

export interface MemoryAccount {
  readonly atMonotonicMs: number;
  readonly counts: Rising<MemoryCounts>;
  readonly signals: MemorySignals;
}

/** The account after one more reading. */
export function accountMemory(account: MemoryAccount | null, reading: MemoryReading): MemoryAccount {
  const { atMonotonicMs, levels } = reading;
  const elapsed = account === null ? 0 : (atMonotonicMs - account.atMonotonicMs) / 1000;
  if (account !== null && elapsed <= 0) return account;
  const counts = rising(account?.counts ?? null, reading.counts);
  return { atMonotonicMs, counts, signals: { ...levels, ...counts.totals, rates: ratesOf(counts.rises, elapsed) } };
}

function ratesOf(rises: MemoryCounts | null, elapsedSeconds: number): MemoryRates | null {
  if (rises === null) return null;
  return {
    reclaimedBytesPerSecond: perSecond(rises.reclaimedBytes, elapsedSeconds),
    refaultedBytesPerSecond: perSecond(rises.refaultedBytes, elapsedSeconds),
    majorFaultsPerSecond: perSecond(rises.majorFaults, elapsedSeconds),
  };
}
