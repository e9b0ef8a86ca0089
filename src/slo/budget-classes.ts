/**
 * The books of classes: sums over the guests of a class, those that are gone included. What is open is added as it comes; a
 * closed bucket is the sum of what its guests' were rounded to, so that the two never drift apart.
 */

import { type Amounts, BUCKETS_PER_DAY, bucketOf } from './buckets.js';
import { BudgetAccount } from './budget-account.js';

/** A day of buckets that is being put together, as differences from one bucket to the next. */
interface RestoredDay {
  readonly firstBucket: number;
  readonly steps: Float64Array;
}

const COLUMNS = 3;

export class ClassBooks {
  readonly account = new BudgetAccount(true);
  #day: RestoredDay | null = null;

  restore(bucket: number, count: number, amounts: Amounts): void {
    const firstBucket = bucket - (bucket % BUCKETS_PER_DAY);
    if (this.#day?.firstBucket !== firstBucket) this.layDay();
    this.#day ??= { firstBucket, steps: new Float64Array((BUCKETS_PER_DAY + 1) * COLUMNS) };
    const start = (bucket - firstBucket) * COLUMNS;
    const end = Math.min(BUCKETS_PER_DAY, bucket - firstBucket + count) * COLUMNS;
    const { steps } = this.#day;
    step(steps, start, end, amounts.good);
    step(steps, start + 1, end + 1, amounts.bad);
    step(steps, start + 2, end + 2, amounts.excluded);
  }

  layDay(): void {
    if (this.#day === null) return;
    const { firstBucket, steps } = this.#day;
    let [good, bad, excluded] = [0, 0, 0];
    for (let at = 0; at < BUCKETS_PER_DAY; at += 1) {
      good += steps[at * COLUMNS] ?? 0;
      bad += steps[at * COLUMNS + 1] ?? 0;
      excluded += steps[at * COLUMNS + 2] ?? 0;
      this.account.track.lay(firstBucket + at, 1, good, bad, excluded);
    }
    this.#day = null;
  }
}

function step(steps: Float64Array, start: number, end: number, amount: number): void {
  steps[start] = (steps[start] ?? 0) + amount;
  steps[end] = (steps[end] ?? 0) - amount;
}

export class BudgetClasses {
  readonly #books = new Map<string, Map<string, ClassBooks>>();

  of(className: string, sli: string): ClassBooks {
    const ofClass = this.#books.get(className) ?? new Map<string, ClassBooks>();
    if (ofClass.size === 0) this.#books.set(className, ofClass);
    const books = ofClass.get(sli) ?? new ClassBooks();
    ofClass.set(sli, books);
    return books;
  }

  /** Puts sums over guests in the place of what was open: in one step, so that nothing is seen twice or not at all. */
  close(isDue: (bucket: number) => boolean, closed: ReadonlyMap<number, { addTo: AddTo }>): void {
    for (const { account } of this.#all()) account.takeOpen(isDue);
    for (const [bucket, columns] of closed) {
      const sums = new Map<ClassBooks, Amounts>();
      columns.addTo((className, sli) => {
        const books = this.of(className, sli);
        const sum = sums.get(books) ?? { good: 0, bad: 0, excluded: 0 };
        sums.set(books, sum);
        return sum;
      });
      for (const [{ account }, { good, bad, excluded }] of sums) account.track.lay(bucket, 1, good, bad, excluded);
    }
  }

  *layDay(): Generator<void, void> {
    for (const books of this.#all()) {
      books.layDay();
      yield;
    }
  }

  forgetBefore(ms: number): void {
    for (const [className, ofClass] of this.#books) {
      for (const [sli, { account }] of ofClass) {
        account.track.forgetBefore(bucketOf(ms));
        if (account.track.endsBefore(bucketOf(ms)) && !account.isOpen) ofClass.delete(sli);
      }
      if (ofClass.size === 0) this.#books.delete(className);
    }
  }

  *#all(): Generator<ClassBooks> {
    for (const ofClass of this.#books.values()) yield* ofClass.values();
  }
}

type AddTo = (sums: (className: string, sli: string) => Amounts) => void;
