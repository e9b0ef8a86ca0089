/**
 * Buckets of five minutes, aligned to wall clock time in UTC and numbered from the epoch. A bucket holds how many seconds of
 * it were good, bad and excluded; what is left of it, nobody knows. Seconds in closed buckets are whole: what rounding
 * takes or gives is carried into the next bucket, so that no sum is ever off by more than a second.
 */
import type { Result } from './types.js';

export const BUCKET_SECONDS = 300;
export const BUCKET_MS = BUCKET_SECONDS * 1000;
export const BUCKETS_PER_DAY = 288;
/** The end of the year 9999: no clock is right that says more. */
export const LAST_BUCKET = 844_674_336;

/** Seconds by result. Unknown is what remains of a stretch of time, so it is kept nowhere. */
export interface Amounts {
  good: number;
  bad: number;
  excluded: number;
}

/** What an objective is about. One object for each, so that it can be compared by identity. */
export interface SeriesKey {
  readonly uuid: string;
  readonly className: string;
  readonly sli: string;
}

/** A bad run that is to be written: again when it has grown. */
export interface RunRecord {
  readonly key: SeriesKey;
  /** A whole second. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly badSeconds: number;
}

/** One bucket of all objectives that were judged in it, in columns, and the bad runs that changed. */
export interface ClosedBucket {
  readonly bucket: number;
  readonly keys: readonly SeriesKey[];
  /** Whole seconds. A bucket may come more than once: its amounts add up. */
  readonly good: Uint16Array;
  readonly bad: Uint16Array;
  readonly excluded: Uint16Array;
  readonly runs: readonly RunRecord[];
}

/** Takes what a store still has, in any order. Amounts are of each bucket from `bucket` on. */
export interface RestoreSink {
  restoreBuckets(key: SeriesKey, bucket: number, count: number, good: number, bad: number, excluded: number): void;
  restoreRun(run: RunRecord): void;
  /** All buckets of one day have come. The work goes on with the iterator, and may be left for a moment at each step. */
  restoreDayDone(): Iterator<void, void>;
}

export function bucketOf(ms: number): number {
  return Math.floor(ms / BUCKET_MS);
}

export function addResult(to: Amounts, result: Result, seconds: number): void {
  if (result === 'good') to.good += seconds;
  else if (result === 'bad') to.bad += seconds;
  else if (result === 'excluded') to.excluded += seconds;
}

/**
 * Whole seconds of a bucket. `carry` has what earlier buckets were rounded by, and takes what this one is. Good and bad
 * together never fill more than the bucket by rounding alone.
 */
export function toWholeSeconds(open: Amounts, carry: Amounts): Amounts {
  const whole = {
    good: wholeSeconds(open.good + carry.good),
    bad: wholeSeconds(open.bad + carry.bad),
    excluded: wholeSeconds(open.excluded + carry.excluded),
  };
  if (whole.good > 0 && whole.good + whole.bad === BUCKET_SECONDS + 1) whole.good -= 1;
  carry.good += open.good - whole.good;
  carry.bad += open.bad - whole.bad;
  carry.excluded += open.excluded - whole.excluded;
  return whole;
}

function wholeSeconds(seconds: number): number {
  return Math.max(0, Math.min(0xffff, Math.round(seconds)));
}
