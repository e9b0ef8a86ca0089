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
import type { CalendarWindow, Generation, Schedule } from './types.js';
import { type ZoneClock, zoneClock } from './zone.js';

const MINUTE_MS = 60_000;
/**
 * Windows that meet are one stretch. After so many links the search for its end is given up and the end of the last
 * link returned: looking again there finds nothing changed and goes on.
 */
const LINKS_MAX = 32;
/** The package takes up to a millisecond for an answer, and the same are needed several times over. */
const KNOWN_STARTS_MAX = 8;

export interface Scheduler<W extends CalendarWindow> {
  /** Those with an open window, in their order: of schedules that set the same key, the later wins. */
  open(nowMs: number): readonly W[];
  /** The first instant after `afterMs` at which a window opens or closes, or where it is worth looking; null for never. */
  nextBoundary(afterMs: number): number | null;
}

/** State of one schedule or maintenance window at an instant; `untilMs` is the first instant at which it may differ. */
interface State {
  readonly open: boolean;
  readonly untilMs: number | null;
}

const SCHEDULERS = new WeakMap<readonly CalendarWindow[], Scheduler<CalendarWindow>>();

/** The schedules that are open, in the order in which they win. */
export function openSchedules(generation: Generation, nowMs: number): readonly Schedule[] {
  return schedulerOf(generation.schedules).open(nowMs);
}

/** When the next window of any schedule opens or closes; null without schedules. */
export function nextBoundary(generation: Generation, afterMs: number): number | null {
  return schedulerOf(generation.schedules).nextBoundary(afterMs);
}

/** One for each list of windows: those of a generation are asked in every cycle. */
export function schedulerOf<W extends CalendarWindow>(windows: readonly W[]): Scheduler<W> {
  let scheduler = SCHEDULERS.get(windows) as Scheduler<W> | undefined;
  if (scheduler === undefined) {
    scheduler = makeScheduler(windows);
    SCHEDULERS.set(windows, scheduler);
  }
  return scheduler;
}

/** Remembers each answer for as long as it holds: asking again before that costs a comparison. */
export function makeScheduler<W extends CalendarWindow>(schedules: readonly W[]): Scheduler<W> {
  const timelines = schedules.map(timeline).map(remembered);
  let all: { readonly fromMs: number; readonly untilMs: number | null; readonly open: readonly W[] } | null = null;
  const at = (nowMs: number) => {
    if (all === null || !holds(all, nowMs)) {
      const states = timelines.map((state) => state(nowMs));
      const changes = states.flatMap((state) => (state.untilMs === null ? [] : [state.untilMs]));
      all = {
        fromMs: nowMs,
        untilMs: changes.length === 0 ? null : Math.min(...changes),
        open: schedules.filter((_, index) => states[index]?.open === true),
      };
    }
    return all;
  };
  return { open: (nowMs) => at(nowMs).open, nextBoundary: (afterMs) => at(afterMs).untilMs };
}

/** At a boundary only the schedule that it belongs to is worked out anew. */
function remembered(state: (nowMs: number) => State): (nowMs: number) => State {
  let last: (State & { readonly fromMs: number }) | null = null;
  return (nowMs) => {
    if (last === null || !holds(last, nowMs)) last = { ...state(nowMs), fromMs: nowMs };
    return last;
  };
}

function holds(answer: { readonly fromMs: number; readonly untilMs: number | null }, nowMs: number): boolean {
  return answer.fromMs <= nowMs && (answer.untilMs === null || nowMs < answer.untilMs);
}

function timeline(schedule: CalendarWindow): (nowMs: number) => State {
  const zone = zoneClock(schedule.timezone);
  const starts = startsOf(schedule, zone);
  const lengthMs = schedule.forSeconds * 1000;

  /** A start in (wallMs − backMs, wallMs], the earliest; null when there is none. */
  const startWithin = (wallMs: number, backMs: number): number | null => {
    const start = starts(wallMs - backMs);
    return start !== null && start <= wallMs ? start : null;
  };

  /**
   * The latest start that still has a window open at `wallMs`, or one not much earlier; null when none is open. Starts
   * can only be searched forward: first try whether windows touch, then a few steps from the earliest, and in a row too
   * dense for that look back ever further.
   */
  const lateStart = (wallMs: number): number | null => {
    const touching = startWithin(wallMs, Math.min(MINUTE_MS, lengthMs));
    if (touching !== null) return touching;
    let start = startWithin(wallMs, lengthMs);
    for (let step = 0; start !== null && step < 3; step++) {
      const later = starts(start);
      if (later === null || later > wallMs) return start;
      start = later;
    }
    for (let backMs = MINUTE_MS * 2; start !== null && backMs < lengthMs; backMs *= 2) {
      const later = startWithin(wallMs, backMs);
      if (later !== null) return later;
    }
    return start;
  };

  /** End of the stretch of windows around `wallMs`, at which one is open. */
  const endOfStretch = (wallMs: number): number => {
    let end = wallMs;
    for (let link = 0; link < LINKS_MAX; link++) {
      const start = lateStart(end);
      if (start === null) break;
      // The clock never shows a time inside a gap: what ends there ends with the gap.
      end = zone.gap(start + lengthMs)?.to ?? start + lengthMs;
    }
    return end;
  };

  return (nowMs) => {
    const wallMs = zone.forward(nowMs);
    if (startWithin(wallMs, lengthMs) !== null) return { open: true, untilMs: zone.instant(endOfStretch(wallMs)) };
    const start = starts(wallMs);
    return { open: false, untilMs: start === null ? null : zone.instant(start) };
  };
}

/** The first start after a wall time, gaps heeded; null when there is none. */
function startsOf(schedule: CalendarWindow, zone: ZoneClock): (afterWallMs: number) => number | null {
  const cron = new CronTime(schedule.cron, 'UTC');
  /** Between `after` and `start` there is no other start: the same answer for whatever is asked in between. */
  const known: { readonly after: number; readonly start: number }[] = [];
  const next = (afterWallMs: number): number | null => {
    const found = known.find(({ after, start }) => after <= afterWallMs && afterWallMs < start);
    if (found !== undefined) return found.start;
    try {
      // Starts are whole minutes and the package walks second by second: from :59 it is one step to the next minute.
      const lastSecond = Math.floor(afterWallMs / MINUTE_MS) * MINUTE_MS + 59_000;
      const start = cron.getNextDateFrom(new Date(lastSecond), 'UTC').toMillis();
      if (known.push({ after: afterWallMs, start }) > KNOWN_STARTS_MAX) known.shift();
      return start;
    } catch {
      // The package gives up eight years from today.
      return null;
    }
  };
  return (afterWallMs) => {
    // Inside a gap, starts that came earlier in the gap are still ahead: they move to its end.
    const from = zone.gap(afterWallMs)?.from;
    const start = next(from === undefined ? afterWallMs : from - 1);
    if (start === null) return null;
    return zone.gap(start)?.to ?? start;
  };
}
