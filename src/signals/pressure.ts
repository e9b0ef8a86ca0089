/**
 * Pressure stall information (PSI) of one guest's group or of the host: texts of the kernel's pressure files in,
 * monotone seconds and shares of time out. Pure. Source: Documentation/accounting/psi.rst.
 */
import type { PressureResource, PressureSignals, ResourcePressure } from '../snapshot/signals.js';
import { type Rising, rising } from './rising.js';

export const PRESSURE_RESOURCES: readonly PressureResource[] = ['cpu', 'memory', 'io'];

/** Seconds stalled since the group was made or the host was started. */
export interface StallSeconds {
  readonly someSeconds: number;
  /** Null: the file has no `full` line, as that of the CPU before kernel 5.13. */
  readonly fullSeconds: number | null;
}

export interface PressureReading {
  readonly atMonotonicMs: number;
  /** A resource that is missing could not be read. */
  readonly resources: Readonly<Partial<Record<PressureResource, StallSeconds>>>;
}

export interface PressureAccount {
  readonly resources: Readonly<Partial<Record<PressureResource, OneResource>>>;
  readonly signals: PressureSignals;
}

interface OneResource {
  readonly atMonotonicMs: number;
  readonly counts: Rising<StallSeconds>;
  readonly shown: ResourcePressure;
}

/** Text of a pressure file: `some avg10=0.00 avg60=0.00 avg300=0.00 total=1234`, total in µs, then a line `full`. */
export function parsePressure(text: string): StallSeconds | null {
  const some = totalOf('some', text);
  return some === null ? null : { someSeconds: some, fullSeconds: totalOf('full', text) };
}

/** The account after one more reading. */
export function accountPressure(account: PressureAccount | null, reading: PressureReading): PressureAccount {
  const resources: Partial<Record<PressureResource, OneResource>> = { ...account?.resources };
  const signals: Record<PressureResource, ResourcePressure | null> = { cpu: null, memory: null, io: null };
  for (const resource of PRESSURE_RESOURCES) {
    const now = reading.resources[resource];
    if (now === undefined) continue;
    const one = accountOne(resources[resource] ?? null, now, reading.atMonotonicMs);
    resources[resource] = one;
    signals[resource] = one.shown;
  }
  return { resources, signals };
}

function accountOne(before: OneResource | null, now: StallSeconds, atMonotonicMs: number): OneResource {
  const elapsed = before === null ? 0 : (atMonotonicMs - before.atMonotonicMs) / 1000;
  if (before !== null && elapsed <= 0) return before;
  const counts = rising(before?.counts ?? null, now);
  const { totals, rises } = counts;
  const [someShare, fullShare] = [shareOf(rises?.someSeconds, elapsed), shareOf(rises?.fullSeconds, elapsed)];
  return { atMonotonicMs, counts, shown: { ...totals, someShare, fullShare } };
}

function totalOf(line: 'some' | 'full', text: string): number | null {
  const match = (line === 'some' ? /^some .*\btotal=(\d+)$/m : /^full .*\btotal=(\d+)$/m).exec(text);
  return match === null ? null : Number(match[1]) / 1e6;
}

/** The kernel brings its totals up to date every two seconds: the share of a shorter time may come out over 1. */
function shareOf(rise: number | null | undefined, elapsedSeconds: number): number | null {
  return rise === null || rise === undefined ? null : Math.min(1, rise / elapsedSeconds);
}
