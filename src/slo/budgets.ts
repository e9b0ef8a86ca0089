/**
 * The error budgets of all guests and classes. Judged time goes in by {@link Budgets.add}; once a cycle {@link
 * Budgets.advance} closes the buckets that are over and gives them out to be stored.
 *
 * A stretch of time lies on the wall clock where it ended, and is as long as the monotonic clock says. So a clock that leaps
 * forward, a host that slept and a daemon that was down leave gaps, which are unknown time; a clock that is set back lays new
 * time over old: each second that was lived counts once, and none is taken away.
 */
import type { Objective } from '../policy/types.js';
import {
  BUCKET_MS,
  bucketOf,
  type ClosedBucket,
  LAST_BUCKET,
  type RestoreSink,
  type RunRecord,
  type SeriesKey,
} from './buckets.js';
import { burnRate, remainingRatio } from './budget.js';
import type { BudgetAccount } from './budget-account.js';
import { BudgetClasses } from './budget-classes.js';
import { BucketColumns, BudgetSeries, withUnknown } from './budget-series.js';
import type { BurnRates, ClassObjectiveState, ObjectiveState } from './budget-states.js';
import type { Result } from './types.js';
import { BURN_SECONDS, type BurnWindowName, windowBounds } from './windows.js';

/** A bucket is closed so long after its end: a guest that answers late is still in time. */
const GRACE_MS = 30_000;
/** A cycle that took longer than this knows nothing of what happened meanwhile. */
const LONGEST_SLICE_SECONDS = 3600;
/** Bad runs given out to be stored with one bucket; the others come with the next. */
const RUNS_A_BUCKET = 64;
/** A guest that was judged within this time is there. */
const THERE_MS = 2 * BUCKET_MS;
/** Objectives of guests that are gone, kept in memory in case they come back; while restoring nobody is there yet. */
const MOST_DEPARTED = 4_096;
const MOST_RESTORED = 40_000;

interface Guest {
  className: string | null;
  objectives: readonly Objective[];
  readonly series: BudgetSeries[];
}

/** Something that a store can be read from. */
export interface BudgetSource {
  load(sink: RestoreSink): Promise<void>;
}

export class Budgets implements RestoreSink {
  readonly #guests = new Map<string, Guest>();
  readonly #classes = new BudgetClasses();
  readonly #unwrittenRuns = new Set<BudgetSeries>();
  #closedUpTo = Number.NaN;
  #seriesCount = 0;
  #restoring = false;

  /** What the guest is held to from now on; its history stays. Cheap when nothing changed. */
  objectives(uuid: string, className: string, objectives: readonly Objective[]): void {
    const guest = this.#guest(uuid);
    if (guest.className === className && guest.objectives === objectives) return;
    guest.className = className;
    guest.objectives = objectives;
    for (const { sli } of objectives) this.#series(uuid, className, sli);
  }

  /** The guest is gone, or nothing is asked of it any more. */
  leave(uuid: string): void {
    const guest = this.#guests.get(uuid);
    if (guest === undefined) return;
    guest.className = null;
    guest.objectives = [];
    for (const { account } of guest.series) account.rest();
  }

  /**
   * `toMs`: wall clock at the end of the slice; `seconds`: its length by the monotonic clock. Nonsense is left out, and so is
   * time before 1970.
   */
  add(uuid: string, className: string, sli: string, toMs: number, seconds: number, result: Result): void {
    const fromMs = toMs - seconds * 1000;
    if (!(seconds > 0) || !(fromMs >= 0) || !(bucketOf(toMs) < LAST_BUCKET)) return;
    const series = this.#series(uuid, className, sli);
    if (seconds > LONGEST_SLICE_SECONDS) {
      series.addUnknown(fromMs, toMs);
      return;
    }
    series.add(fromMs, toMs, result);
    this.#classes.of(className, sli).account.add(fromMs, toMs, result);
    if (result === 'bad') this.#unwrittenRuns.add(series);
  }

  /** What is over and has not been given out, the older first. `all`: what is not over too, for a daemon that ends. */
  advance(nowMs: number, all = false): ClosedBucket[] {
    const work = this.advancing(nowMs, all);
    for (let step = work.next(); ; step = work.next()) if (step.done === true) return step.value;
  }

  /** The same in steps, between which everything else may go on but {@link add}. */
  *advancing(nowMs: number, all = false): Generator<void, ClosedBucket[]> {
    const upTo = bucketOf(nowMs - GRACE_MS);
    if (upTo === this.#closedUpTo && !all) return [];
    this.#closedUpTo = upTo;
    const current = bucketOf(nowMs);
    const isDue = (bucket: number): boolean => all || bucket < upTo || bucket > current + 1;
    const columns = new Map<number, BucketColumns>();
    const into = (bucket: number): BucketColumns => {
      const there = columns.get(bucket) ?? new BucketColumns();
      columns.set(bucket, there);
      return there;
    };
    for (const { series } of this.#guests.values()) {
      for (const one of series) one.close(isDue, into);
      yield;
    }
    this.#classes.close(isDue, columns);
    if (!this.#restoring) this.#dropDeparted(MOST_DEPARTED);
    const buckets = [...columns].sort(([a], [b]) => a - b);
    return buckets.map(([bucket, one], at) => {
      const isLast = at === buckets.length - 1;
      return one.closed(bucket, isLast ? this.#takeRuns(all ? Number.POSITIVE_INFINITY : RUNS_A_BUCKET) : []);
    });
  }

  /** Of the objectives that the guest is held to. */
  stateOf(uuid: string, nowMs: number): readonly ObjectiveState[] {
    const guest = this.#guests.get(uuid);
    const className = guest?.className;
    if (guest === undefined || className === null || className === undefined) return [];
    return guest.objectives.map((objective) => {
      const { sli, of, window } = objective;
      const series = this.#series(uuid, className, sli);
      const { fromMs, seconds, toComeSeconds } = windowBounds(window, nowMs);
      const totals = series.totals(fromMs, nowMs);
      const toCome = isThere(series, nowMs) ? toComeSeconds : 0;
      return {
        className,
        sli,
        of,
        window,
        windowSeconds: seconds,
        totals,
        remainingRatio: remainingRatio(totals, of, toCome),
        burnRates: burnRates(series.account, of, nowMs),
        counters: series.counted(),
        badRuns: series.runs?.list() ?? [],
      };
    });
  }

  /** Of the classes that have guests, by name. */
  classStates(nowMs: number): readonly ClassObjectiveState[] {
    const held = new Map<string, readonly Objective[]>();
    const ofClass = new Map<string, BudgetSeries[]>();
    for (const { className, objectives, series } of this.#guests.values()) {
      if (className !== null) held.set(className, objectives);
      for (const one of series) {
        const id = classId(one.key.className, one.key.sli);
        const list = ofClass.get(id);
        if (list === undefined) ofClass.set(id, [one]);
        else list.push(one);
      }
    }
    const classes = [...held].sort(([a], [b]) => (a < b ? -1 : 1));
    return classes.flatMap(([className, objectives]) =>
      objectives.map((objective) => {
        const { sli, of, window } = objective;
        const { account } = this.#classes.of(className, sli);
        const { fromMs, seconds, toComeSeconds } = windowBounds(window, nowMs);
        let span = 0;
        let guests = 0;
        for (const series of ofClass.get(classId(className, sli)) ?? []) {
          span += series.spanSeconds(fromMs, nowMs);
          if (isThere(series, nowMs)) guests += 1;
        }
        const totals = withUnknown(account.totals(fromMs, nowMs), span);
        return {
          className,
          sli,
          of,
          window,
          windowSeconds: seconds,
          guests,
          totals,
          remainingRatio: remainingRatio(totals, of, toComeSeconds * guests),
          burnRates: burnRates(account, of, nowMs),
        };
      }),
    );
  }

  /** Reads back what a store has, beside what is added meanwhile. */
  async restore(source: BudgetSource): Promise<void> {
    this.#restoring = true;
    try {
      await source.load(this);
    } finally {
      for (const laid = this.#classes.layDay(); laid.next().done !== true; );
      this.#restoring = false;
    }
  }

  restoreBuckets(key: SeriesKey, bucket: number, count: number, good: number, bad: number, excluded: number): void {
    const amounts = { good, bad, excluded };
    this.#series(key.uuid, key.className, key.sli).restore(bucket, count, amounts);
    this.#classes.of(key.className, key.sli).restore(bucket, count, amounts);
  }

  restoreRun({ key, fromMs, toMs, badSeconds }: RunRecord): void {
    this.#series(key.uuid, key.className, key.sli).restoreRun({ fromMs, toMs, badSeconds });
  }

  *restoreDayDone(): Generator<void, void> {
    yield* this.#classes.layDay();
    this.#dropDeparted(MOST_RESTORED);
  }

  /** What is older is kept nowhere any more; guests that ended before are dropped. */
  forgetBefore(ms: number): void {
    this.#classes.forgetBefore(ms);
    this.#dropWhere((series) => series.endMs < ms);
    for (const { series } of this.#guests.values())
      for (const { account } of series) account.track.forgetBefore(bucketOf(ms));
  }

  #takeRuns(most: number): RunRecord[] {
    const records: RunRecord[] = [];
    for (const series of this.#unwrittenRuns) {
      if (records.length >= most) break;
      const runs = series.runs?.takeUnwritten(most - records.length) ?? [];
      for (const run of runs) records.push({ key: series.key, ...run });
      if (series.runs?.hasUnwritten !== true) this.#unwrittenRuns.delete(series);
    }
    return records;
  }

  #guest(uuid: string): Guest {
    const known = this.#guests.get(uuid);
    if (known !== undefined) return known;
    const guest: Guest = { className: null, objectives: [], series: [] };
    this.#guests.set(uuid, guest);
    return guest;
  }

  #series(uuid: string, className: string, sli: string): BudgetSeries {
    const guest = this.#guest(uuid);
    for (const one of guest.series) if (one.key.sli === sli && one.key.className === className) return one;
    const series = new BudgetSeries({ uuid, className, sli });
    guest.series.push(series);
    this.#seriesCount += 1;
    return series;
  }

  /** Those that have been gone for longest, beyond so many. Their classes keep what they had. */
  #dropDeparted(most: number): void {
    if (this.#seriesCount <= most) return;
    const departed = [...this.#guests.values()]
      .flatMap(({ className, series }) => series.filter(({ key }) => key.className !== className))
      .sort((a, b) => b.endMs - a.endMs);
    const dropped = new Set(departed.slice(most));
    if (dropped.size > 0) this.#dropWhere((series) => dropped.has(series));
  }

  #dropWhere(condition: (series: BudgetSeries) => boolean): void {
    for (const [uuid, guest] of this.#guests) {
      const kept = guest.series.filter(
        (one) => one.key.className === guest.className || one.account.isOpen || !condition(one),
      );
      if (kept.length < guest.series.length) {
        this.#seriesCount -= guest.series.length - kept.length;
        guest.series.splice(0, guest.series.length, ...kept);
      }
      if (guest.className === null && kept.length === 0) this.#guests.delete(uuid);
    }
  }
}

function isThere(series: BudgetSeries, nowMs: number): boolean {
  return series.endMs >= nowMs - THERE_MS;
}

function classId(className: string, sli: string): string {
  return `${className} ${sli}`;
}

function burnRates(account: BudgetAccount, of: number, nowMs: number): BurnRates {
  const over = (name: BurnWindowName): number | null =>
    burnRate(account.totals(nowMs - BURN_SECONDS[name] * 1000, nowMs), of);
  // Written out, for speed: this runs for every objective in every cycle.
  return {
    '5m': over('5m'),
    '30m': over('30m'),
    '1h': over('1h'),
    '2h': over('2h'),
    '6h': over('6h'),
    '1d': over('1d'),
    '3d': over('3d'),
  };
}
