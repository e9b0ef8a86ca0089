/** The oracle: every slice that was ever lived, in a list, and sums by walking all of it. */
import type { Result } from '../../src/slo/types.js';

const BUCKET_MS = 300_000;

export interface Lived {
  readonly fromMs: number;
  readonly toMs: number;
  readonly result: Result;
}

export class Ledger {
  readonly lived: Lived[] = [];

  add(toMs: number, seconds: number, result: Result): void {
    this.lived.push({ fromMs: toMs - seconds * 1000, toMs, result });
  }

  /**
   * Seconds by result over whole buckets up to the one of `nowMs`; of the bucket that the window's start cuts, the share by
   * length, wherever in it the slices lay.
   */
  totals(fromMs: number, nowMs: number): Record<Result, number> {
    const sums = { good: 0, bad: 0, unknown: 0, excluded: 0 };
    const first = Math.floor(fromMs / BUCKET_MS);
    const last = Math.floor(nowMs / BUCKET_MS);
    for (const { fromMs: start, toMs: end, result } of this.lived) {
      for (let bucket = Math.floor(start / BUCKET_MS); bucket * BUCKET_MS < end; bucket += 1) {
        if (bucket < first || bucket > last) continue;
        const share = bucket === first ? bucket + 1 - fromMs / BUCKET_MS : 1;
        const overlap = Math.min(end, (bucket + 1) * BUCKET_MS) - Math.max(start, bucket * BUCKET_MS);
        sums[result] += (overlap / 1000) * share;
      }
    }
    return sums;
  }

  /** The same without buckets. */
  exact(fromMs: number, nowMs: number): Record<Result, number> {
    const sums = { good: 0, bad: 0, unknown: 0, excluded: 0 };
    for (const { fromMs: start, toMs: end, result } of this.lived) {
      sums[result] += Math.max(0, Math.min(end, nowMs) - Math.max(start, fromMs)) / 1000;
    }
    return sums;
  }
}
