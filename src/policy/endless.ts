/**
 * Whether windows that recur ever leave a gap. A cron expression and a length in; on the wall clock, as windows are
 * counted, so that what meets on paper meets on every day ({@link import('./schedule.js')}). Pure; no clock is read.
 */
import { cronFields, fallsOn } from './cron-fields.js';

const DAY_MINUTES = 1440;
/** Weekdays and leap years come round in 28 years, from 1 January 2000 on. */
const FIRST_DAY = 10_957;
const CYCLE_DAYS = 28 * 365 + 7;

/** True when, once open, it is open for ever. False for a cron expression that is malformed or never fires. */
export function neverCloses(cron: string, forSeconds: number): boolean {
  const fields = cronFields(cron);
  if (fields === null) return false;
  const lengthMinutes = forSeconds / 60;
  const starts = [...fields.hours].flatMap((hour) => [...fields.minutes].map((minute) => hour * 60 + minute));
  starts.sort((a, b) => a - b);
  const meet = (from: number, to: number): boolean => to - from <= lengthMinutes;
  if (starts.some((start, index) => index > 0 && !meet(starts[index - 1] as number, start))) return false;
  const [first, last] = [starts[0] as number, starts.at(-1) as number];
  // Most schedules end this walk at their first gap, after a day or a month.
  let latest: number | null = null;
  for (let day = FIRST_DAY; day <= FIRST_DAY + 2 * CYCLE_DAYS; day++) {
    if (!fallsOn(fields, day)) continue;
    if (latest !== null && !meet(latest, day * DAY_MINUTES + first)) return false;
    latest = day * DAY_MINUTES + last;
    if (day > FIRST_DAY + CYCLE_DAYS) return true;
  }
  return false;
}
