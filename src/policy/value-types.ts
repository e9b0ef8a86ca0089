/**
 * The kinds of leaf values in a policy, as zod schemas: text or number as the YAML file has it in, base units out.
 * A failure carries, for the error line, the reason (`is over 100 %`), the error code and what to write instead.
 * `.meta()` on each is its JSON Schema. Imports no control and not the registry, since those import this.
 */
import * as z from 'zod';
import type { ErrorCode } from '../errors.js';
import {
  type Parsed,
  parseCpuAmount,
  parseCpuList,
  parseDuration,
  parseNetworkRate,
  parsePercent,
  parseRate,
  parseSize,
} from '../units.js';
import type { CpuAmount } from './types.js';

/** `params` of the zod issues raised here; the issue's message is the reason. */
export interface ValueIssueParams {
  readonly problem: ErrorCode;
  readonly fix: string;
}

/** Why a value is refused; with `range` it was well formed but outside what the key accepts. */
export interface Refusal {
  readonly ok: false;
  readonly reason: string;
  readonly fix: string;
  readonly range?: true;
}

export type Checked<T> = Parsed<T> | Refusal;

/** JSON Schema of what an operator may write, for the editor. */
type Json = Readonly<Record<string, unknown>>;

/** Builds a leaf schema from a function that gives the value or says why not. */
export function leafType<T>(check: (input: unknown) => Checked<T>, json: Json): z.ZodType<T> {
  return z
    .unknown()
    .transform((input, context): T => {
      const result = check(input);
      if (result.ok) return result.value;
      const problem: ErrorCode = 'range' in result && result.range ? 'POLICY_VALUE_RANGE' : 'POLICY_VALUE_SYNTAX';
      const params: ValueIssueParams = { problem, fix: result.fix };
      context.addIssue({ code: 'custom', message: result.reason, params: { ...params } });
      return z.NEVER;
    })
    .meta(json);
}

/** A value outside the range; reads `"200%" is over 100 %; write …`. */
export function outOfRange(reason: string, fix: string): Refusal {
  return { ok: false, reason, fix, range: true };
}

/** A value of the wrong form. */
export function malformed(reason: string, fix: string): Refusal {
  return { ok: false, reason, fix };
}

/** Text of a scalar that takes a unit: a number without one is told so, anything else is named by its type. */
export function unitText(input: unknown, fix: string): Parsed<string> {
  if (typeof input === 'string') return { ok: true, value: input };
  // Plain decimals only: what YAML reads from 1e3 or 0x10 is not something that an operator should rely on here.
  if (typeof input === 'number' && Number.isFinite(input)) return { ok: true, value: String(input) };
  return { ok: false, reason: typeReason(input), fix };
}

/** What a value of the wrong type is, in words. */
export function typeReason(input: unknown): string {
  if (input === null || input === undefined) return 'has no value';
  if (Array.isArray(input)) return 'is a list';
  if (typeof input === 'object') return 'is a map';
  if (typeof input === 'boolean') return 'is true or false';
  if (typeof input === 'number') return 'is a number';
  return 'is text';
}

/** A schema for one number with a unit; `check` bounds the parsed value. */
export function withUnit<T>(
  fix: string,
  parse: (text: string) => Parsed<T>,
  json: Json,
  check: (value: T) => Checked<T> = (value) => ({ ok: true, value }),
): z.ZodType<T> {
  return leafType((input) => {
    const text = unitText(input, fix);
    if (!text.ok) return text;
    const parsed = parse(text.value);
    return parsed.ok ? check(parsed.value) : parsed;
  }, json);
}

export const NUMBER = '\\d+(\\.\\d+)?';
const SIZE_UNIT = '([kMGT]?B|[KMGT]iB)';
export const PERCENT_JSON: Json = { type: 'string', pattern: `^${NUMBER} *%$`, examples: ['50%'] };
export const SIZE_JSON: Json = { anyOf: [{ const: 0 }, { type: 'string', pattern: `^(0|${NUMBER} *${SIZE_UNIT})$` }] };
const RATE_JSON: Json = { type: 'string', pattern: `^${NUMBER} *${SIZE_UNIT}/s$`, examples: ['400MiB/s'] };
export const NETWORK_RATE_JSON: Json = {
  type: 'string',
  pattern: `^${NUMBER} *([kMG]bit|${SIZE_UNIT})/s$`,
  examples: ['1Gbit/s'],
};
const DURATION_JSON: Json = { type: 'string', pattern: `^${NUMBER} *(us|ms|s|m|h|d)$`, examples: ['30s'] };
const CPU_AMOUNT_JSON: Json = { type: 'string', pattern: `^${NUMBER} *(%|cores?)$`, examples: ['50%', '2.5 cores'] };

const CPU_AMOUNT_FIX = 'write a percentage of the vCPUs such as 50%, or host cores such as 2.5 cores';
/** No host that Linux runs on has more CPUs (CONFIG_NR_CPUS). */
const MAX_CORES = 8192;

function cpuAmountFrom(minimumFraction: number): z.ZodType<CpuAmount> {
  return withUnit(CPU_AMOUNT_FIX, parseCpuAmount, CPU_AMOUNT_JSON, (amount) => {
    const fraction = amount.unit === 'percent' ? amount.fraction : amount.cores;
    if (fraction < minimumFraction) {
      return amount.unit === 'percent'
        ? outOfRange('is under 1 % of the vCPUs', 'write 1% or more')
        : outOfRange('is under 1 % of a vCPU', 'write 0.01 cores or more');
    }
    if (amount.unit === 'percent' && amount.fraction > 1) {
      return outOfRange('is over 100 %', '100% is all vCPUs all the time, write 100% or less, or an amount in cores');
    }
    if (amount.unit === 'cores' && amount.cores > MAX_CORES) {
      return outOfRange('is more cores than any host has', `write ${MAX_CORES} cores or less`);
    }
    return { ok: true, value: amount };
  });
}

/** 1 % to 100 % of the vCPUs, or at least 0.01 host cores. Less is refused: the kernel cannot enforce it evenly. */
export const cpuAmount: z.ZodType<CpuAmount> = cpuAmountFrom(0.01);

/** As {@link cpuAmount}, and 0% for "nothing is promised". */
export const cpuGuaranteeAmount: z.ZodType<CpuAmount> = cpuAmountFrom(0);

/** cgroup v2 weight, 1–10000, or `auto`: from the guarantee. */
export const cpuWeight: z.ZodType<'auto' | number> = wordOr(
  'auto',
  { minimum: 1, maximum: 10000 },
  'write auto, or a whole number from 1 to 10000 (100 is normal)',
);

/** cgroup v2 io.weight, 1–10000 (100 is normal). */
export const diskWeight: z.ZodType<number> = integer(1, 10000, 'write a whole number from 1 to 10000 (100 is normal)');

/** A whole number within bounds, without unit. */
export function integer(minimum: number, maximum: number, fix?: string): z.ZodType<number> {
  const help = fix ?? `write a whole number from ${minimum} to ${maximum}`;
  return leafType((input) => checkInteger(input, minimum, maximum, help), { type: 'integer', minimum, maximum });
}

function wordOr<W extends string>(
  word: W,
  range: { readonly minimum: number; readonly maximum: number },
  fix: string,
): z.ZodType<W | number> {
  return leafType<W | number>(
    (input) => (input === word ? { ok: true, value: word } : checkInteger(input, range.minimum, range.maximum, fix)),
    { anyOf: [{ const: word }, { type: 'integer', ...range }] },
  );
}

function checkInteger(input: unknown, minimum: number, maximum: number, fix: string): Checked<number> {
  // A number in quotes is text to YAML; what was meant is beyond doubt, the file is still made right.
  if (typeof input !== 'number')
    return malformed(typeof input === 'string' ? 'is not a number' : typeReason(input), fix);
  if (!Number.isInteger(input)) return malformed('is not a whole number', fix);
  if (input < minimum) return outOfRange(`is under ${minimum}`, fix);
  if (input > maximum) return outOfRange(`is over ${maximum}`, fix);
  return { ok: true, value: input };
}

/** `true` or `false`; YAML 1.1's yes, no, on and off are text. */
export const flag: z.ZodType<boolean> = leafType(
  (input) =>
    typeof input === 'boolean'
      ? { ok: true, value: input }
      : malformed(input === null ? 'has no value' : 'is not true or false', 'write true or false'),
  { type: 'boolean' },
);

/** One of the given words. */
export function oneOf<W extends string>(...words: readonly [W, ...W[]]): z.ZodType<W> {
  const fix = `write ${words.join(' or ')}`;
  return leafType<W>(
    (input) => {
      const found = words.find((word) => word === input);
      if (found !== undefined) return { ok: true, value: found };
      return malformed(typeof input === 'string' ? 'is none of the known words' : typeReason(input), fix);
    },
    { enum: words },
  );
}

/** Text within a length, on one line unless said otherwise. */
export function textUpTo(maximum: number, options: { readonly multiline?: boolean } = {}): z.ZodType<string> {
  return leafType(
    (input) => {
      if (typeof input !== 'string')
        return malformed(typeReason(input), 'write text, in quotes if it looks like a number');
      if (input.length > maximum) return outOfRange(`is longer than ${maximum} characters`, 'shorten it');
      if (!options.multiline && /[\r\n]/.test(input)) return malformed('has a line break', 'write one line');
      return { ok: true, value: input };
    },
    { type: 'string', maxLength: maximum },
  );
}

/** Bytes. */
export const size: z.ZodType<number> = withUnit('write a size such as 512MiB or 4GiB', parseSize, SIZE_JSON);

/** Bytes per second, at least 1. */
export const rate: z.ZodType<number> = withUnit('write a rate such as 400MiB/s', parseRate, RATE_JSON, positive);

/** Bytes per second, at least 1; bits are understood. */
export const networkRate: z.ZodType<number> = withUnit(
  'write a rate such as 100Mbit/s or 1Gbit/s',
  parseNetworkRate,
  NETWORK_RATE_JSON,
  positive,
);

function positive(value: number): Checked<number> {
  if (value > 0) return { ok: true, value };
  return outOfRange('is zero', 'write more than zero, or leave the key out so that it is not managed');
}

/** Seconds within bounds, both given as an operator would write them. */
export function duration(minimum: string, maximum: string): z.ZodType<number> {
  const bounds = [parseDuration(minimum), parseDuration(maximum)].map((bound) => (bound.ok ? bound.value : Number.NaN));
  const [least = 0, most = 0] = bounds;
  return withUnit('write a duration such as 30s or 10h', parseDuration, DURATION_JSON, (seconds) => {
    if (seconds < least) return outOfRange(`is under ${minimum}`, `write ${minimum} or more`);
    if (seconds > most) return outOfRange(`is over ${maximum}`, `write ${maximum} or less`);
    return { ok: true, value: seconds };
  });
}

/** A fraction from 0 to 1. */
export const percent: z.ZodType<number> = withUnit(
  'write a percentage such as 50%',
  parsePercent,
  PERCENT_JSON,
  (value) => (value <= 1 ? { ok: true, value } : outOfRange('is over 100 %', 'write 100% or less')),
);

/** Strictly between 0 and 100 %: an objective of 100 % leaves no error budget, one of 0 % asks for nothing. */
export const objectiveShare: z.ZodType<number> = withUnit(
  'write a percentage such as 99.9%',
  parsePercent,
  PERCENT_JSON,
  (value) =>
    value > 0 && value < 1
      ? { ok: true, value }
      : outOfRange('is not between 0 % and 100 %', 'write a percentage above 0% and below 100%, such as 99.9%'),
);

/** Ascending CPU numbers from a Linux CPU list, `0-3,8`. A single CPU may be written as a number. */
export const cpuList: z.ZodType<readonly number[]> = leafType(
  (input) => {
    const list = unitText(input, 'write CPU numbers and ranges such as 0-3,8');
    return list.ok ? parseCpuList(list.value) : list;
  },
  {
    anyOf: [
      { type: 'integer', minimum: 0, maximum: 8191 },
      { type: 'string', pattern: '^\\d+(-\\d+)?(, *\\d+(-\\d+)?)*$', examples: ['0-3,8'] },
    ],
  },
);
