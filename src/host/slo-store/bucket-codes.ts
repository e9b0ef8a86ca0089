/**
 * One bucket of one objective in two bytes: a number for each pair of good and bad seconds that fits a bucket. What is left
 * of the bucket is unknown. Many of them in a row are packed: `length × 2 + 1` and that many codes, or `length × 2` and the
 * one code that all of them have; lengths as LEB128. Before them stands how many there are.
 */
import { BUCKET_SECONDS } from '../../slo/buckets.js';

/** The objective was not judged in this bucket. */
export const ABSENT = 0xffff;
const LAST_CODE = pairCode(0, BUCKET_SECONDS);
/** A shorter repetition is cheaper written out. */
const SHORTEST_RUN = 3;
const MOST_CODES = 1_000_000;

/** Both whole, from 0, and together at most a bucket. */
export function pairCode(good: number, bad: number): number {
  const sum = good + bad;
  return (sum * (sum + 1)) / 2 + bad;
}

export function goodAndBad(code: number): readonly [good: number, bad: number] {
  const sum = Math.floor((Math.sqrt(8 * code + 1) - 1) / 2);
  const bad = code - (sum * (sum + 1)) / 2;
  return [sum - bad, bad];
}

export function packCodes(codes: Uint16Array): Buffer {
  // The longest that it may get: a length of up to five bytes for each repetition, and for what stands between them.
  const packed = Buffer.allocUnsafe(16 + codes.length * 2 + Math.ceil((codes.length * 2) / SHORTEST_RUN) * 5);
  let size = packed.writeUInt32LE(codes.length);
  const put = (from: number, to: number, isRun: boolean): void => {
    if (to === from) return;
    for (let rest = (to - from) * 2 + (isRun ? 0 : 1); ; rest = Math.floor(rest / 128)) {
      size = packed.writeUInt8(rest < 128 ? rest : (rest % 128) + 128, size);
      if (rest < 128) break;
    }
    for (let at = from; at < (isRun ? from + 1 : to); at += 1) {
      size = packed.writeUInt16LE(codes[at] ?? ABSENT, size);
    }
  };
  let literalFrom = 0;
  for (let at = 0; at < codes.length; ) {
    let end = at + 1;
    while (end < codes.length && codes[end] === codes[at]) end += 1;
    if (end - at >= SHORTEST_RUN) {
      put(literalFrom, at, false);
      put(at, end, true);
      literalFrom = end;
    }
    at = end;
  }
  put(literalFrom, codes.length, false);
  return packed.subarray(0, size);
}

/** How many codes a payload says that it has. */
export function packedCount(payload: Buffer): number {
  return payload.length < 4 ? 0 : Math.min(MOST_CODES, payload.readUInt32LE(0));
}

/** Null for what was not written by {@link packCodes}. */
export function unpackCodes(payload: Buffer): Uint16Array | null {
  if (payload.length < 4 || payload.readUInt32LE(0) > MOST_CODES) return null;
  const codes = new Uint16Array(payload.readUInt32LE(0));
  let [filled, at] = [0, 4];
  while (at < payload.length) {
    let [head, scale] = [0, 1];
    for (let more = true; more; scale *= 128) {
      const byte = payload[at++];
      if (byte === undefined || scale > 2 ** 28) return null;
      head += (byte & 0x7f) * scale;
      more = byte >= 128;
    }
    const length = Math.floor(head / 2);
    const isRun = head % 2 === 0;
    if (filled + length > codes.length || at + (isRun ? 1 : length) * 2 > payload.length) return null;
    if (isRun) codes.fill(payload.readUInt16LE(at), filled, filled + length);
    else for (let i = 0; i < length; i += 1) codes[filled + i] = payload.readUInt16LE(at + 2 * i);
    at += (isRun ? 1 : length) * 2;
    filled += length;
  }
  return filled === codes.length && areCodes(codes) ? codes : null;
}

function areCodes(codes: Uint16Array): boolean {
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at] ?? ABSENT;
    if (code > LAST_CODE && code !== ABSENT) return false;
  }
  return true;
}
