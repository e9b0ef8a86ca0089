/**
 * disk.latency: how long reads and writes of a disk take, in seconds, from the guest's request to QEMU's answer. The mean
 * over the round; with QEMU's histogram the time that 95 % of the requests stayed within, evenly spread inside a bucket.
 * No requests: good. Of several disks the worst counts. Flushes are left out, their time is that of data written before.
 *
 * A guest that runs at its own limit waits for that and not for the host: its slow disk is good. Where nobody can tell
 * whether a limit was what made it wait, a slow disk is unknown; a quick one is good all the same.
 */
import { reachedPromise } from '../disk-promise.js';
import type { DiskSlice, Sli, Slice, SliObjective, Verdict } from '../types.js';
import { staysWithin, worstOf } from '../verdict.js';

/** Of the requests in a histogram. */
const WITHIN = 0.95;

export const diskLatency = {
  name: 'disk.latency',
  bound: 'at-most-duration',
  unit: 'seconds',
  help:
    'Mean time of reads and writes over a round; with `disk.histogram` the time that 95 % of them stayed within. Bad when a ' +
    'disk is above `at-most` and did not run at its own limit.',
  judge({ disks }, objective) {
    return disks === null ? 'unknown' : worstOf(disks.map((disk) => judgeDisk(disk, objective)));
  },
  figure({ disks }: Slice) {
    const known = (disks ?? []).map(latencyOf).filter((seconds) => seconds !== null);
    return known.length === 0 ? null : Math.max(...known);
  },
} as const satisfies Sli;

function judgeDisk(disk: DiskSlice, objective: SliObjective): Verdict {
  const seconds = latencyOf(disk);
  if (seconds === null) return 'good';
  const verdict = staysWithin(seconds, objective);
  if (verdict !== 'bad') return verdict;
  if (reachedPromise(disk)) return 'good';
  if (disk.limited === false) return 'bad';
  // At a limit, and not at the promised one as far as its rates tell: one shared with another disk, or somebody else's.
  return disk.limited === true && disk.promised === null ? 'good' : 'unknown';
}

/** Null: no requests. */
function latencyOf({ read, write, histogram }: DiskSlice): number | null {
  if (histogram?.some(([, requests]) => requests > 0)) return quantile(histogram);
  const requests = read.requests + write.requests;
  return requests === 0 ? null : (read.requestSeconds + write.requestSeconds) / requests;
}

function quantile(buckets: readonly (readonly [number, number])[]): number {
  const wanted = WITHIN * buckets.reduce((sum, [, requests]) => sum + requests, 0);
  let [below, from] = [0, 0];
  for (const [upTo, requests] of buckets) {
    if (requests > 0 && below + requests >= wanted) {
      return upTo === Number.POSITIVE_INFINITY ? upTo : from + ((upTo - from) * (wanted - below)) / requests;
    }
    below += requests;
    from = upTo;
  }
  return Number.POSITIVE_INFINITY;
}
