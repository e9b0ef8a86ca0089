/**
 * Text ↔ base units for everything an operator writes with a unit: sizes, rates, network rates, durations, percentages,
 * CPU amounts and Linux CPU lists. Pure and strict: a wrong text gives a reason and what to write instead, never a guess.
 * One number and one unit, the unit case-sensitive, blanks between them allowed; no sign, exponent or separator.
 */
import type { CpuAmount } from './policy/types.js';

/** A value in base units, or why the text is none. `reason` continues the sentence «"12 parsecs" …». */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string; readonly fix: string };

type UnitTable = Readonly<Record<string, number>>;

/** Bytes per unit; decimal (kB) and binary (KiB) are told apart, as IEC 80000-13 does. */
const SIZE_UNITS: UnitTable = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Bytes per second per unit. */
const RATE_UNITS: UnitTable = Object.fromEntries(
  Object.entries(SIZE_UNITS).map(([unit, bytes]) => [`${unit}/s`, bytes]),
);

/** Bytes per second per unit; bits are what network people speak. */
const BIT_RATE_UNITS: UnitTable = { 'kbit/s': 125, 'Mbit/s': 125e3, 'Gbit/s': 125e6 };
const NETWORK_RATE_UNITS: UnitTable = { ...BIT_RATE_UNITS, ...RATE_UNITS };

/** Microseconds per unit. */
const DURATION_UNITS: UnitTable = { us: 1, ms: 1e3, s: 1e6, m: 60e6, h: 3_600e6, d: 86_400e6 };

const PERCENT = 0.01;

const SIZE_HELP = 'write a size such as 512MiB or 4GiB (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)';
const RATE_HELP = 'write a rate such as 400MiB/s (B/s, kB/s, MB/s, GB/s, TB/s, KiB/s, MiB/s, GiB/s, TiB/s)';
const NETWORK_RATE_HELP = 'write a rate such as 100Mbit/s or 1Gbit/s (kbit/s, Mbit/s, Gbit/s, or bytes as in 10MiB/s)';
const DURATION_HELP = 'write a duration such as 30s or 10h (us, ms, s, m, h, d)';
const PERCENT_HELP = 'write a percentage such as 50%';
const CPU_AMOUNT_HELP = 'write a percentage of the vCPUs such as 50%, or host cores such as 2.5 cores';
const CPU_LIST_HELP = 'write CPU numbers and ranges such as 0-3,8';

/** The highest CPU number a list may hold; Linux is built for at most 8192 CPUs (CONFIG_NR_CPUS). */
const MAX_CPU_NUMBER = 8191;

/** Bytes, a whole number up to 2^53 − 1. `0` needs no unit. */
export function parseSize(text: string): Parsed<number> {
  return whole(parseQuantity(text, SIZE_UNITS, SIZE_HELP), 'byte', SIZE_HELP);
}

/** Bytes per second, a whole number. */
export function parseRate(text: string): Parsed<number> {
  return whole(parseQuantity(text, RATE_UNITS, RATE_HELP), 'byte per second', RATE_HELP);
}

/** Bytes per second, a whole number; accepts bits too: 1kbit/s is 125. */
export function parseNetworkRate(text: string): Parsed<number> {
  return whole(parseQuantity(text, NETWORK_RATE_UNITS, NETWORK_RATE_HELP), 'byte per second', NETWORK_RATE_HELP);
}

/** Seconds, with a resolution of a microsecond. */
export function parseDuration(text: string): Parsed<number> {
  const usec = whole(parseQuantity(text, DURATION_UNITS, DURATION_HELP), 'microsecond', DURATION_HELP);
  return usec.ok ? { ok: true, value: usec.value / 1e6 } : usec;
}

/** A fraction: `50%` is 0.5. Not bounded above. */
export function parsePercent(text: string): Parsed<number> {
  return parseQuantity(text, { '%': PERCENT }, PERCENT_HELP);
}

/** `50%` of the guest's vCPUs, or host cores: `2.5 cores`, `1 core`. Not bounded above. */
export function parseCpuAmount(text: string): Parsed<CpuAmount> {
  const amount = parseQuantity(text, { '%': PERCENT, cores: 1, core: 1 }, CPU_AMOUNT_HELP);
  if (!amount.ok) return amount;
  return text.trimEnd().endsWith('%')
    ? { ok: true, value: { unit: 'percent', fraction: amount.value } }
    : { ok: true, value: { unit: 'cores', cores: amount.value } };
}

/** CPU numbers, ascending and without duplicates, from Linux's list format (cpuset(7), "List format"). */
export function parseCpuList(text: string): Parsed<readonly number[]> {
  const fail = (reason: string, fix = CPU_LIST_HELP): Parsed<never> => ({ ok: false, reason, fix });
  if (text.trim() === '') return fail('is an empty CPU list');
  const cpus = new Set<number>();
  for (const part of text.split(',')) {
    const range = /^\s*(\d{1,6})(?:-(\d{1,6}))?\s*$/.exec(part);
    if (range === null) return fail(`is not a CPU list: "${part.trim()}" is neither a number nor a range`);
    const first = Number(range[1]);
    const last = Number(range[2] ?? range[1]);
    if (first > last) return fail(`has the range ${first}-${last} backwards`, `write ${last}-${first}`);
    if (last > MAX_CPU_NUMBER) return fail(`has CPU ${last}`, `write CPU numbers from 0 to ${MAX_CPU_NUMBER}`);
    for (let cpu = first; cpu <= last; cpu++) cpus.add(cpu);
  }
  return { ok: true, value: [...cpus].sort((a, b) => a - b) };
}

/** Inverse of {@link parseSize}: the largest unit that gives a whole number, `1536MiB`. */
export function formatSize(bytes: number): string {
  return formatWhole(bytes, SIZE_UNITS, 'B');
}

/** For a figure that was measured: three digits, `1.23 GiB`. No inverse. */
export function roundedSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${Number((bytes / 1024 ** step).toPrecision(3))} ${units[step]}`;
}

/** Inverse of {@link parseRate}. */
export function formatRate(bytesPerSecond: number): string {
  return formatWhole(bytesPerSecond, RATE_UNITS, 'B/s');
}

/** Inverse of {@link parseNetworkRate}: in bits, the field's unit, when it is whole kilobits, else in bytes. */
export function formatNetworkRate(bytesPerSecond: number): string {
  // In bits, as interfaces are sold, wherever that gives a whole number.
  return formatWhole(bytesPerSecond, bytesPerSecond % 125 === 0 ? BIT_RATE_UNITS : RATE_UNITS, 'B/s');
}

/** Inverse of {@link parseDuration}: the largest unit that gives a whole number, `90m`. */
export function formatDuration(seconds: number): string {
  const usec = Math.round(seconds * 1e6);
  return usec === 0 ? '0s' : formatWhole(usec, DURATION_UNITS, 'us');
}

/** Inverse of {@link parsePercent}: the shortest text that gives the fraction back. */
export function formatPercent(fraction: number): string {
  for (let digits = 1; digits <= 16; digits++) {
    const text = plain(Number((fraction * 100).toPrecision(digits)));
    if (hundredth(text) === fraction) return `${text}%`;
  }
  return `${plain(fraction * 100)}%`;
}

/** Inverse of {@link parseCpuAmount}: `50%`, `1 core`, `2.5 cores`. */
export function formatCpuAmount(amount: CpuAmount): string {
  if (amount.unit === 'percent') return formatPercent(amount.fraction);
  return amount.cores === 1 ? '1 core' : `${plain(amount.cores)} cores`;
}

/** Inverse of {@link parseCpuList}: `0-3,8`. Takes ascending numbers. */
export function formatCpuList(cpus: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < cpus.length; ) {
    let end = i;
    while (cpus[end + 1] === (cpus[end] as number) + 1) end++;
    parts.push(end === i ? `${cpus[i]}` : `${cpus[i]}-${cpus[end]}`);
    i = end + 1;
  }
  return parts.join(',');
}

/** The number times the unit's factor. */
function parseQuantity(text: string, units: UnitTable, help: string): Parsed<number> {
  const fail = (reason: string, fix = help): Parsed<never> => ({ ok: false, reason, fix });
  const trimmed = text.trim();
  if (trimmed === '') return fail('is empty');
  const match = /^(\d+(?:\.\d+)?)\s*([^\d\s.].*)?$/.exec(trimmed);
  if (match === null) {
    if (/^-/.test(trimmed)) return fail('is negative');
    return fail('is not a number with a unit');
  }
  const digits = match[1] as string;
  const unit = match[2];
  // 15 significant digits survive the way through a double and back.
  if (digits.replace(/^0+|\./g, '').length > 15) return fail('has more than 15 digits');
  const number = Number(digits);
  if (unit === undefined) return number === 0 && !('%' in units) ? { ok: true, value: 0 } : fail('has no unit');
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
  if (factor === undefined) {
    const meant = nearUnit(unit, units);
    const blank = /^cores?$/.test(meant[0] ?? '') ? ' ' : '';
    return fail(
      `has the unknown unit "${unit}"`,
      meant.length > 0 ? `write ${meant.map((name) => `${digits}${blank}${name}`).join(' or ')}` : help,
    );
  }
  return { ok: true, value: factor === PERCENT ? hundredth(digits) : number * factor };
}

/** Correctly rounded, as 99.9 / 100 is not. */
function hundredth(digits: string): number {
  return Number(`${digits}e-2`);
}

/** Units that someone may have meant: other case, a missing `/s` or `B`, a word for the sign. */
function nearUnit(unit: string, units: UnitTable): string[] {
  const wanted = unit.toLowerCase();
  const spelled: Readonly<Record<string, readonly string[]>> = {
    k: ['kB', 'KiB'],
    kb: ['kB', 'KiB'],
    m: ['MB', 'MiB'],
    mb: ['MB', 'MiB'],
    g: ['GB', 'GiB'],
    gb: ['GB', 'GiB'],
    t: ['TB', 'TiB'],
    tb: ['TB', 'TiB'],
    kbps: ['kbit/s', 'kB/s'],
    mbps: ['Mbit/s', 'MB/s'],
    gbps: ['Gbit/s', 'GB/s'],
    percent: ['%'],
    cpu: ['cores'],
    cpus: ['cores'],
    vcpu: ['cores'],
    vcpus: ['cores'],
    sec: ['s'],
    secs: ['s'],
    second: ['s'],
    seconds: ['s'],
    min: ['m'],
    mins: ['m'],
    minute: ['m'],
    minutes: ['m'],
    hour: ['h'],
    hours: ['h'],
    day: ['d'],
    days: ['d'],
    µs: ['us'],
    μs: ['us'],
  };
  const known = (name: string): boolean => Object.hasOwn(units, name);
  const listed = Object.hasOwn(spelled, wanted) ? (spelled[wanted] ?? []) : [];
  const candidates = [...listed, ...listed.map((name) => `${name}/s`)].filter(known);
  if (candidates.length > 0) return candidates;
  return Object.keys(units).filter((name) => [wanted, `${wanted}/s`].includes(name.toLowerCase()));
}

/** Rounds to whole base units; refuses what would round to nothing or cannot be held exactly. */
function whole(parsed: Parsed<number>, unit: string, help: string): Parsed<number> {
  if (!parsed.ok) return parsed;
  const value = Math.round(parsed.value);
  if (value === 0 && parsed.value > 0) return { ok: false, reason: `is less than one ${unit}`, fix: help };
  if (!Number.isSafeInteger(value)) return { ok: false, reason: 'is too large', fix: help };
  return { ok: true, value };
}

function formatWhole(value: number, units: UnitTable, smallest: string): string {
  if (value === 0) return `0${smallest}`;
  let best = smallest;
  let bestFactor = 1;
  for (const [unit, factor] of Object.entries(units)) {
    if (value % factor === 0 && factor > bestFactor) [best, bestFactor] = [unit, factor];
  }
  return `${value / bestFactor}${best}`;
}

/** Decimal without exponent. */
function plain(value: number): string {
  const text = String(value);
  return text.includes('e') ? value.toFixed(15).replace(/\.?0+$/, '') : text;
}
