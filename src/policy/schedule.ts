/**
 * Which schedule windows are open at a moment, and when that changes next. Takes a generation and an instant; pure but
 * for the time zone data. The state is computed from the clock alone, so that a daemon started inside a window finds
 * it open.
 *
 * A window is [start, start + for) **on the wall clock of its zone**: 20:00 for 10h ends at 06:00, also in the nights
 * in which the clock is put forward or back (it then lasts 9 or 11 hours). Starts and ends are moments of the zone's
 * *forward clock* ({@link ZoneClock}): a start that does not exist moves, with its whole window, to the end of the gap; a
 * repeated hour counts at its first showing, for starts and for ends, and while it runs again nothing opens or closes.
 * Two windows that meet on paper therefore meet on every day of the year.
 *
 * Package cron finds the starts. It looks only forward, so an open window is searched from now − for. Near clock
 * changes its answers are wrong (kelektiv/node-cron#1087: a "next" date before the one asked from), so it is only ever
 * asked about UTC, where there are none; {@link zoneClock} does the zone.
 */
import { CronTime } from 'cron';
import type { Generation, Schedule } from './types.js';
import { type ZoneClock, zoneClock } from './zone.js';

const MINUTE_MS = 60_000;
/**
 * Windows that meet are one stretch. After so many links the search for its end is given up and the end of the last
 * link returned: looking again there finds nothing changed and goes on.
 */
const LINKS_MAX = 64;

export interface Scheduler {
  /** The schedules with an open window, in their order: where two set the same key, the later wins. */
  open(nowMs: number): readonly Schedule[];
  /** The first instant after `afterMs` at which a window opens or closes, or where it is worth looking; null for never. */
  nextBoundary(afterMs: number): number | null;
}

/** State of one schedule at an instant; `untilMs` is the first instant at which it may differ. */
interface State {
  readonly open: boolean;
  readonly untilMs: number | null;
}

const SCHEDULERS = new WeakMap<Generation, Scheduler>();

/** The schedules that are open, in the order in which they win. */
export function openSchedules(generation: Generation, nowMs: number): readonly Schedule[] {
  return schedulerOf(generation).open(nowMs);
}

/** When the next window of any schedule opens or closes; null without schedules. */
export function nextBoundary(generation: Generation, afterMs: number): number | null {
  return schedulerOf(generation).nextBoundary(afterMs);
}

function schedulerOf(generation: Generation): Scheduler {
  let scheduler = SCHEDULERS.get(generation);
  if (scheduler === undefined) {
    scheduler = makeScheduler(generation.schedules);
    SCHEDULERS.set(generation, scheduler);
  }
  return scheduler;
}

/** Remembers the last answer and how long it holds: asking again before that costs a comparison. */
export function makeScheduler(schedules: readonly Schedule[]): Scheduler {
  const timelines = schedules.map(timeline);
  let answer: { readonly fromMs: number; readonly untilMs: number | null; readonly open: readonly Schedule[] } | null =
    null;
  const at = (nowMs: number) => {
    const holds = answer !== null && answer.fromMs <= nowMs && (answer.untilMs === null || nowMs < answer.untilMs);
    if (answer === null || !holds) {
      const states = timelines.map((state) => state(nowMs));
      const changes = states.flatMap((state) => (state.untilMs === null ? [] : [state.untilMs]));
      answer = {
        fromMs: nowMs,
        untilMs: changes.length === 0 ? null : Math.min(...changes),
        open: schedules.filter((_, index) => states[index]?.open === true),
      };
    }
    return answer;
  };
  return { open: (nowMs) => at(nowMs).open, nextBoundary: (afterMs) => at(afterMs).untilMs };
}

function timeline(schedule: Schedule): (nowMs: number) => State {
  const zone = zoneClock(schedule.timezone);
  const starts = startsOf(schedule, zone);
  const lengthMs = schedule.forSeconds * 1000;

  /** Whether a window is open when the forward clock shows `wallMs`. */
  const openAt = (wallMs: number): boolean => {
    const start = starts(wallMs - lengthMs);
    return start !== null && start <= wallMs;
  };

  /** End of the stretch of windows around `wallMs`, at which one is open. */
  const endOfStretch = (wallMs: number): number => {
    let end = wallMs;
    for (let link = 0; link < LINKS_MAX && openAt(end); link++) {
      // The latest start up to `end` carries furthest. Starts can only be searched forward: look back ever further.
      for (let back = MINUTE_MS; ; back = Math.min(back * 2, lengthMs)) {
        const start = starts(end - Math.min(back, lengthMs));
        if (start !== null && start <= end) {
          // The clock never shows a time inside a gap: what ends there ends with the gap.
          end = zone.gap(start + lengthMs)?.to ?? start + lengthMs;
          break;
        }
      }
    }
    return end;
  };

  return (nowMs) => {
    const wallMs = zone.forward(nowMs);
    if (openAt(wallMs)) return { open: true, untilMs: zone.instant(endOfStretch(wallMs)) };
    const start = starts(wallMs);
    return { open: false, untilMs: start === null ? null : zone.instant(start) };
  };
}

/** The first start after a wall time, gaps heeded; null when there is none. */
function startsOf(schedule: Schedule, zone: ZoneClock): (afterWallMs: number) => number | null {
  const cron = new CronTime(schedule.cron, 'UTC');
  const next = (afterWallMs: number): number | null => {
    try {
      return cron.getNextDateFrom(new Date(afterWallMs), 'UTC').toMillis();
    } catch {
      // The package gives up eight years from today.
      return null;
    }
  };
  return (afterWallMs) => {
    // Inside a gap, starts that came earlier in the gap are still ahead: they move to its end.
    const from = zone.gap(afterWallMs)?.from;
    const start = next(from === undefined ? afterWallMs : from - 1000);
    if (start === null) return null;
    return zone.gap(start)?.to ?? start;
  };
}
