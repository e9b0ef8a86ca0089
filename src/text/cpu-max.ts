/**
 * The text of a `cpu.max` value, the form in which CPU limits are compared, journaled and shown on both cgroup
 * versions. Source: Documentation/admin-guide/cgroup-v2.rst, section cpu.max.
 */

/** The kernel's and libvirt's default period. */
export const DEFAULT_PERIOD_USEC = 100_000;

export interface CpuMax {
  /** null: no quota. */
  readonly quotaUsec: number | null;
  readonly periodUsec: number;
}

export function formatCpuMax(value: CpuMax): string {
  return `${value.quotaUsec ?? 'max'} ${value.periodUsec}`;
}

/** Null for a text that is no cpu.max value. */
export function parseCpuMax(text: string): CpuMax | null {
  const match = /^(max|\d+) (\d+)$/.exec(text);
  if (match === null) return null;
  const periodUsec = Number(match[2]);
  const quotaUsec = match[1] === 'max' ? null : Number(match[1]);
  if (periodUsec <= 0 || !Number.isSafeInteger(periodUsec)) return null;
  return quotaUsec === null || Number.isSafeInteger(quotaUsec) ? { quotaUsec, periodUsec } : null;
}

/** Share of one core that the text allows; Infinity without a quota, null for an unreadable text. */
export function coresAllowed(text: string | null): number | null {
  const parsed = text === null ? null : parseCpuMax(text);
  if (parsed === null) return null;
  return parsed.quotaUsec === null ? Number.POSITIVE_INFINITY : parsed.quotaUsec / parsed.periodUsec;
}
