/**
 * The page size of this kernel, bytes: memory limits are rounded down to it (4096 on x86-64, up to 65536 on ARM and
 * POWER). Source: AT_PAGESZ of the auxiliary vector, getauxval(3).
 */
import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';

const AT_PAGESZ = 6n;
const PAIR_BYTES = 16;

let known: number | null = null;

export function pageBytes(): number {
  known ??= pageBytesIn(readFileSync('/proc/self/auxv'));
  return known;
}

/** Pairs of 64-bit words, a key and its value. @throws when the vector names no page size */
function pageBytesIn(vector: Buffer): number {
  const little = endianness() === 'LE';
  const word = (at: number): bigint => (little ? vector.readBigUInt64LE(at) : vector.readBigUInt64BE(at));
  for (let at = 0; at + PAIR_BYTES <= vector.length; at += PAIR_BYTES) {
    if (word(at) === AT_PAGESZ) return Number(word(at + PAIR_BYTES / 2));
  }
  throw new Error('the auxiliary vector names no page size');
}

/** A memory value as the kernel keeps it. */
export function wholePages(bytes: number, page: number): number {
  return Math.floor(bytes / page) * page;
}
