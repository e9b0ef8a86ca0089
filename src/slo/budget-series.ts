/** One objective of one guest: its books, how long it has lived, its counters and its bad runs. */
import { type BadRun, BadRuns } from './bad-runs.js';
import { type Amounts, BUCKET_MS, type ClosedBucket, type SeriesKey, toWholeSeconds } from './buckets.js';
import type { Totals } from './budget.js';
import { BudgetAccount } from './budget-account.js';
import type { Result } from './types.js';

export class BudgetSeries {
  readonly key: SeriesKey;
  readonly account = new BudgetAccount();
  /** Since the process began: every second that was added, once. */
  readonly counters = { good: 0, bad: 0, unknown: 0, excluded: 0 };
  runs: BadRuns | null = null;
  /** From its first to its last judgement. */
  #bornMs = Number.POSITIVE_INFINITY;
  endMs = Number.NEGATIVE_INFINITY;
  readonly #carry: Amounts = { good: 0, bad: 0, excluded: 0 };

  constructor(key: SeriesKey) {
    this.key = key;
  }

  add(fromMs: number, toMs: number, result: Result): void {
    this.#lives(fromMs, toMs);
    this.counters[result] += (toMs - fromMs) / 1000;
    this.account.add(fromMs, toMs, result);
    if (result !== 'bad') return;
    this.runs ??= new BadRuns();
    this.runs.add(fromMs, toMs);
  }

  /** Only that it lived. */
  addUnknown(fromMs: number, toMs: number): void {
    this.#lives(fromMs, toMs);
    this.counters.unknown += (toMs - fromMs) / 1000;
  }

  close(isDue: (bucket: number) => boolean, into: (bucket: number) => BucketColumns): void {
    for (const open of this.account.takeOpen(isDue)) {
      const whole = toWholeSeconds(open, this.#carry);
      this.account.track.lay(open.bucket, 1, whole.good, whole.bad, whole.excluded);
      into(open.bucket).push(this.key, whole);
    }
  }

  restore(bucket: number, count: number, amounts: Amounts): void {
    this.#lives(bucket * BUCKET_MS, (bucket + count) * BUCKET_MS);
    this.account.track.lay(bucket, count, amounts.good, amounts.bad, amounts.excluded);
  }

  restoreRun(run: BadRun): void {
    this.runs ??= new BadRuns();
    this.runs.restore(run);
  }

  /** How much of this stretch it lived. */
  spanSeconds(fromMs: number, nowMs: number): number {
    return Math.max(0, Math.min(nowMs, this.endMs) - Math.max(fromMs, this.#bornMs)) / 1000;
  }

  totals(fromMs: number, nowMs: number): Totals {
    return withUnknown(this.account.totals(fromMs, nowMs), this.spanSeconds(fromMs, nowMs));
  }

  counted(): Totals {
    const { good, bad, unknown, excluded } = this.counters;
    return { good, bad, unknown, excluded };
  }

  #lives(fromMs: number, toMs: number): void {
    if (fromMs < this.#bornMs) this.#bornMs = fromMs;
    if (toMs > this.endMs) this.endMs = toMs;
  }
}

/** What of the lived time is not good, bad or excluded is unknown. */
export function withUnknown({ good, bad, excluded }: Amounts, spanSeconds: number): Totals {
  return { good, bad, unknown: Math.max(0, spanSeconds - good - bad - excluded), excluded };
}

/** One bucket over objectives, growing. */
export class BucketColumns {
  readonly #keys: SeriesKey[] = [];
  readonly #good: number[] = [];
  readonly #bad: number[] = [];
  readonly #excluded: number[] = [];

  push(key: SeriesKey, amounts: Amounts): void {
    this.#keys.push(key);
    this.#good.push(amounts.good);
    this.#bad.push(amounts.bad);
    this.#excluded.push(amounts.excluded);
  }

  closed(bucket: number, runs: ClosedBucket['runs']): ClosedBucket {
    const [good, bad, excluded] = [this.#good, this.#bad, this.#excluded].map((column) => new Uint16Array(column));
    if (good === undefined || bad === undefined || excluded === undefined) throw new Error('three columns');
    return { bucket, keys: this.#keys, good, bad, excluded, runs };
  }

  /** Adds up the objectives of each class. */
  addTo(sums: (className: string, sli: string) => Amounts): void {
    for (const [at, { className, sli }] of this.#keys.entries()) {
      const sum = sums(className, sli);
      sum.good += this.#good[at] ?? 0;
      sum.bad += this.#bad[at] ?? 0;
      sum.excluded += this.#excluded[at] ?? 0;
    }
  }
}
