/**
 * Leaf values of the memory keys: sizes, or percentages of the guest's maximum memory. Text in, {@link MemoryAmount} out.
 */
import type { z } from 'zod';
import { parsePercent, parseSize } from '../units.js';
import { type Checked, leafType, NUMBER, outOfRange, PERCENT_JSON, SIZE_JSON, unitText } from './value-types.js';

/** Bytes, or a fraction of the guest's maximum memory (1 = 100 %). */
export type MemoryAmount =
  | { readonly unit: 'bytes'; readonly bytes: number }
  | { readonly unit: 'percent'; readonly fraction: number };

/** Above this a percentage is a mistake: QEMU's own overhead is never nine times the guest's memory. */
const MAX_FRACTION = 10;

const AMOUNT_JSON = [PERCENT_JSON, { type: 'string', pattern: `^${NUMBER} *([kMGT]?B|[KMGT]iB)$` }];
const AMOUNT_FIX = 'write a size such as 4GiB, or a percentage of the guest memory such as 100%';

function parseMemoryAmount(input: unknown, fix: string): Checked<MemoryAmount> {
  const text = unitText(input, fix);
  if (!text.ok) return text;
  if (text.value.trimEnd().endsWith('%')) {
    const percent = parsePercent(text.value);
    return percent.ok ? { ok: true, value: { unit: 'percent', fraction: percent.value } } : percent;
  }
  const size = parseSize(text.value);
  if (size.ok) return { ok: true, value: { unit: 'bytes', bytes: size.value } };
  return size.fix.includes('such as') ? { ...size, fix } : size;
}

function bounded(amount: MemoryAmount, maximum: number): Checked<MemoryAmount> {
  const value = amount.unit === 'percent' ? amount.fraction : amount.bytes;
  if (value === 0) return outOfRange('is zero', 'write more than zero, or leave the key out so that it is not managed');
  if (amount.unit === 'percent' && amount.fraction > maximum) {
    return outOfRange(
      `is over ${maximum * 100} %`,
      `100% is all of the guest's memory, write ${maximum * 100}% or less, or a size`,
    );
  }
  return { ok: true, value: amount };
}

/** More than zero and at most the guest's maximum memory. */
export const memoryGuarantee: z.ZodType<MemoryAmount> = leafType(
  (input) => {
    const amount = parseMemoryAmount(input, AMOUNT_FIX);
    return amount.ok ? bounded(amount.value, 1) : amount;
  },
  { anyOf: AMOUNT_JSON },
);

/** `none`, or more than zero. Whether a limit is safe depends on the guest and is judged there. */
export const memoryLimit: z.ZodType<'none' | MemoryAmount> = leafType<'none' | MemoryAmount>(
  (input) => {
    if (input === 'none') return { ok: true, value: 'none' };
    const amount = parseMemoryAmount(input, `write none, or ${AMOUNT_FIX.slice('write '.length)}`);
    return amount.ok ? bounded(amount.value, MAX_FRACTION) : amount;
  },
  { anyOf: [{ const: 'none' }, ...AMOUNT_JSON] },
);

/** `none` for as much as there is, or a size; 0 for no swap at all. Bytes out. */
export const memorySwap: z.ZodType<'none' | number> = leafType<'none' | number>(
  (input) => {
    if (input === 'none') return { ok: true, value: 'none' };
    const text = unitText(input, 'write 0, none, or a size such as 1GiB');
    return text.ok ? parseSize(text.value) : text;
  },
  { anyOf: [{ const: 'none' }, SIZE_JSON] },
);
