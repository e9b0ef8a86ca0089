/**
 * cpu.delivered: of the CPU time that the guest was entitled to, the share that it got. Entitled is what it wanted as far as
 * it was guaranteed, so a guest that idles, is held by its own limit or has no guarantee is never short.
 *
 * A shortfall under 1 % of one core over the slice is none: a guest that seldom asks and waits a few milliseconds for its
 * turn has lost no computing time to speak of. How long it waits is what cpu.wait is for.
 */
import type { Sli, Slice } from '../types.js';
import { NEGLIGIBLE_CORES, reaches } from '../verdict.js';

export const cpuDelivered = {
  name: 'cpu.delivered',
  bound: 'at-least',
  unit: 'share',
  help:
    'Share of the CPU time the guest was entitled to that it got: what it wanted, up to its guarantee. Bad below `at-least`, ' +
    'unless less than 1 % of one core was missing. Time taken by its own limit counts against nobody.',
  judge(slice, objective) {
    if (slice.cpu === null) return 'unknown';
    const { entitledSeconds, shortfallSeconds } = slice.cpu;
    if (entitledSeconds === 0 || shortfallSeconds < NEGLIGIBLE_CORES * slice.seconds) return 'good';
    return reaches(shareOf(slice), objective);
  },
  figure: shareOf,
} as const satisfies Sli;

function shareOf({ cpu }: Slice): number | null {
  if (cpu === null || cpu.entitledSeconds === 0) return null;
  return 1 - cpu.shortfallSeconds / cpu.entitledSeconds;
}
