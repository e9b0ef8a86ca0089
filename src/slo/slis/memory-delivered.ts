/**
 * memory.delivered: of the memory that the guest was entitled to, the share that it had in RAM over the whole slice. It
 * wants what it has touched, in RAM or in swap; it is entitled to that up to its guarantee. Not delivered are bytes in swap
 * while less than that is in RAM, and bytes that were needed again after they had been taken (refaults), which the guest
 * waited for a disk to get back. What was taken above the guarantee breaks no promise: a guest with its guarantee in RAM
 * is good whatever it has in swap, and one that never touched its memory asked for nothing.
 *
 * Pages of hugetlbfs are in no such figure: they cannot be taken, and such a guest is good.
 */
import type { Sli, Slice } from '../types.js';
import { reaches } from '../verdict.js';

export const memoryDelivered = {
  name: 'memory.delivered',
  bound: 'at-least',
  unit: 'share',
  help:
    'Share of the memory the guest was entitled to (what it has touched, up to its guarantee) that was in RAM: neither in ' +
    'swap nor taken back and needed again. Bad below `at-least`.',
  judge(slice, objective) {
    if (slice.memory === null) return 'unknown';
    const { guaranteedBytes, usedBytes, swapBytes, refaultedBytes } = slice.memory;
    if (guaranteedBytes === null || guaranteedBytes === 0 || usedBytes >= guaranteedBytes) return 'good';
    const seen = reaches(shareOf(slice) ?? 1, objective);
    // What is not known can only make it less.
    return seen === 'good' && (swapBytes === null || refaultedBytes === null) ? 'unknown' : seen;
  },
  figure: shareOf,
} as const satisfies Sli;

function shareOf({ memory }: Slice): number | null {
  if (memory === null || memory.guaranteedBytes === null) return null;
  const { guaranteedBytes, usedBytes, swapBytes, refaultedBytes } = memory;
  const entitled = Math.min(guaranteedBytes, usedBytes + (swapBytes ?? 0));
  if (entitled <= 0) return null;
  if (usedBytes >= guaranteedBytes) return 1;
  const missing = entitled - usedBytes + Math.min(refaultedBytes ?? 0, usedBytes);
  return 1 - Math.min(1, missing / entitled);
}
