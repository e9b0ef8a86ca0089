/**
 * memory.stall: share of the slice in which at least one thread of the guest waited for memory: reclaim, swap in, a page
 * that had been taken back (PSI, `some` of memory.pressure of its group). Unknown on a kernel or cgroup version without PSI.
 * The kernel brings its figures up to date every two seconds, so a short slice may come out over its length: cut to 1.
 */
import type { Sli, Slice } from '../types.js';
import { staysWithin } from '../verdict.js';

export const memoryStall = {
  name: 'memory.stall',
  bound: 'at-most-share',
  unit: 'share',
  help:
    'Share of time in which at least one thread of the guest waited for memory (pressure stall information). Bad above ' +
    '`at-most`.',
  judge: (slice, objective) => staysWithin(shareOf(slice), objective),
  figure: shareOf,
} as const satisfies Sli;

function shareOf({ memory, seconds }: Slice): number | null {
  const waited = memory?.waitedSeconds ?? null;
  return waited === null ? null : Math.min(1, waited / seconds);
}
