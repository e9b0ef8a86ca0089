/**
 * The books of one objective, of a guest or of a class: closed buckets, buckets that are still open, and the cells of the
 * last minutes. Time that comes in lies where it ended on the wall clock and is as long as the monotonic clock says.
 */

import { type Amounts, addResult, BUCKET_MS, bucketOf } from './buckets.js';
import { BudgetCells } from './budget-cells.js';
import { BudgetTrack } from './budget-track.js';
import type { Result } from './types.js';

export interface OpenBucket extends Amounts {
  readonly bucket: number;
}

export class BudgetAccount {
  readonly track: BudgetTrack;
  #open: OpenBucket[] = [];
  #cells: BudgetCells | null = null;

  constructor(wide = false) {
    this.track = new BudgetTrack(wide);
  }

  get isOpen(): boolean {
    return this.#open.length > 0;
  }

  add(fromMs: number, toMs: number, result: Result): void {
    this.#cells ??= new BudgetCells();
    this.#cells.add(fromMs, toMs, result);
    for (let at = fromMs; at < toMs; ) {
      const bucket = bucketOf(at);
      const end = Math.min(toMs, (bucket + 1) * BUCKET_MS);
      addResult(this.#openOf(bucket), result, (end - at) / 1000);
      at = end;
    }
  }

  /** Takes out the open buckets of which this is true, the older first. */
  takeOpen(isDue: (bucket: number) => boolean): OpenBucket[] {
    if (!this.#open.some(({ bucket }) => isDue(bucket))) return [];
    const due = this.#open.filter(({ bucket }) => isDue(bucket));
    this.#open = this.#open.filter(({ bucket }) => !isDue(bucket));
    return due.sort((a, b) => a.bucket - b.bucket);
  }

  /** The cells are for guests that are there. */
  rest(): void {
    this.#cells = null;
  }

  /** Sums from then to now; a bucket that the start cuts counts by the share of its length. */
  totals(fromMs: number, nowMs: number): Amounts {
    const sums: Amounts = { good: 0, bad: 0, excluded: 0 };
    if (this.#cells?.sumSince(fromMs, nowMs, sums) === true) return sums;
    const current = bucketOf(nowMs);
    const place = fromMs / BUCKET_MS;
    this.track.addBefore(current + 1, 1, sums);
    this.track.addBefore(place, -1, sums);
    for (const open of this.#open) {
      if (open.bucket > current) continue;
      const share = Math.max(0, Math.min(1, open.bucket + 1 - place));
      sums.good += open.good * share;
      sums.bad += open.bad * share;
      sums.excluded += open.excluded * share;
    }
    return sums;
  }

  #openOf(bucket: number): OpenBucket {
    for (let at = this.#open.length - 1; at >= 0; at -= 1) {
      const open = this.#open[at];
      if (open?.bucket === bucket) return open;
    }
    const opened: OpenBucket = { bucket, good: 0, bad: 0, excluded: 0 };
    this.#open.push(opened);
    return opened;
  }
}
