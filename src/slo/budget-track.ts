/**
 * The closed buckets of one objective as what they sum up to: points (bucket, good, bad and excluded seconds before it) with
 * straight lines between. Equal buckets in a row are one line, so a guest that is well for a month takes two points, and
 * the sum over any stretch is the difference of two look-ups, whatever its length and wherever the clock goes.
 */
import { type Amounts, BUCKETS_PER_DAY } from './buckets.js';

/** Bucket, good, bad, excluded. */
const STRIDE = 4;
/** A track of more points gives up detail: its oldest points, never those of the last three days. */
const MOST_POINTS = 1280;
/** Not all of them in the same bucket: that would be long. */
const SPREAD = 128;
const KEEP_BUCKETS = 3 * BUCKETS_PER_DAY;

export class BudgetTrack {
  /** Of a guest 32 bits do (136 years in seconds); sums over guests are wide. */
  #points: Uint32Array | Float64Array;
  #count = 0;
  readonly #most: number;
  static #made = 0;

  constructor(wide = false) {
    BudgetTrack.#made += 1;
    this.#most = MOST_POINTS - (BudgetTrack.#made % SPREAD);
    this.#points = wide ? new Float64Array(4 * STRIDE) : new Uint32Array(4 * STRIDE);
  }

  get pointCount(): number {
    return this.#count;
  }

  /** Adds these whole seconds to each of `count` buckets, also where there are some already. */
  lay(bucket: number, count: number, good: number, bad: number, excluded: number): void {
    if (good === 0 && bad === 0 && excluded === 0) return;
    const end = bucket + count;
    if (this.#count === 0) this.#insert(0, bucket, 0, 0, 0);
    if (bucket >= this.#bucketAt(this.#count - 1)) {
      this.#append(bucket, end, good, bad, excluded);
    } else {
      const from = this.#pointAt(bucket);
      const to = this.#pointAt(end);
      const points = this.#points;
      for (let at = from + 1; at < this.#count; at += 1) {
        const base = at * STRIDE;
        const buckets = at < to ? (points[base] ?? 0) - bucket : count;
        points[base + 1] = (points[base + 1] ?? 0) + good * buckets;
        points[base + 2] = (points[base + 2] ?? 0) + bad * buckets;
        points[base + 3] = (points[base + 3] ?? 0) + excluded * buckets;
      }
      this.#mend(to);
      this.#mend(from);
    }
    if (this.#count > this.#most) this.#coarsen();
  }

  /** Adds `sign` × what lies before this place, in buckets and parts of a bucket. */
  addBefore(place: number, sign: 1 | -1, into: Amounts): void {
    const points = this.#points;
    const count = this.#count;
    if (count === 0) return;
    // Before the first point lies what was forgotten: the same for every place, so that no difference has it.
    const after = Math.max(1, this.#firstAfter(place));
    const base = (after - 1) * STRIDE;
    let good = points[base + 1] ?? 0;
    let bad = points[base + 2] ?? 0;
    let excluded = points[base + 3] ?? 0;
    const start = points[base] ?? 0;
    if (after < count && place > start) {
      const next = after * STRIDE;
      const part = (place - start) / ((points[next] ?? 0) - start);
      good += ((points[next + 1] ?? 0) - good) * part;
      bad += ((points[next + 2] ?? 0) - bad) * part;
      excluded += ((points[next + 3] ?? 0) - excluded) * part;
    }
    into.good += sign * good;
    into.bad += sign * bad;
    into.excluded += sign * excluded;
  }

  endsBefore(bucket: number): boolean {
    return this.#count === 0 || this.#bucketAt(this.#count - 1) <= bucket;
  }

  /** Forgets what lies wholly before this bucket. */
  forgetBefore(bucket: number): void {
    // The last point at or before it stays, as the start of what is left.
    const keepFrom = Math.max(0, this.#firstAfter(bucket) - 1);
    if (keepFrom === 0) return;
    this.#points.copyWithin(0, keepFrom * STRIDE, this.#count * STRIDE);
    this.#count -= keepFrom;
  }

  #append(bucket: number, end: number, good: number, bad: number, excluded: number): void {
    const points = this.#points;
    let last = (this.#count - 1) * STRIDE;
    const at = points[last] ?? 0;
    const [sumGood = 0, sumBad = 0, sumExcluded = 0] = [points[last + 1], points[last + 2], points[last + 3]];
    const buckets = end - bucket;
    const newGood = sumGood + good * buckets;
    const newBad = sumBad + bad * buckets;
    const newExcluded = sumExcluded + excluded * buckets;
    if (at === bucket && this.#count > 1) {
      const before = last - STRIDE;
      const length = at - (points[before] ?? 0);
      const same =
        sumGood - (points[before + 1] ?? 0) === good * length &&
        sumBad - (points[before + 2] ?? 0) === bad * length &&
        sumExcluded - (points[before + 3] ?? 0) === excluded * length;
      if (same) {
        this.#set(last, end, newGood, newBad, newExcluded);
        return;
      }
    }
    if (at !== bucket) {
      this.#insert(this.#count, bucket, sumGood, sumBad, sumExcluded);
      last += STRIDE;
    }
    this.#insert(this.#count, end, newGood, newBad, newExcluded);
  }

  /** The number of the point at this bucket, which is made where there is none. */
  #pointAt(bucket: number): number {
    const after = this.#firstAfter(bucket);
    if (after > 0 && this.#bucketAt(after - 1) === bucket) return after - 1;
    const sums: Amounts = { good: 0, bad: 0, excluded: 0 };
    this.addBefore(bucket, 1, sums);
    this.#insert(after, bucket, Math.round(sums.good), Math.round(sums.bad), Math.round(sums.excluded));
    return after;
  }

  /** Takes out a point that lies on the line between its neighbours. */
  #mend(at: number): void {
    if (at < 1 || at >= this.#count - 1) return;
    const points = this.#points;
    const base = at * STRIDE;
    const before = base - STRIDE;
    const after = base + STRIDE;
    const left = (points[base] ?? 0) - (points[before] ?? 0);
    const right = (points[after] ?? 0) - (points[base] ?? 0);
    for (let column = 1; column < STRIDE; column += 1) {
      const here = points[base + column] ?? 0;
      const rise = (here - (points[before + column] ?? 0)) * right;
      if (rise !== ((points[after + column] ?? 0) - here) * left) return;
    }
    points.copyWithin(base, after, this.#count * STRIDE);
    this.#count -= 1;
  }

  /** Leaves out points before the last three days so that the others are an hour apart, or two, four, eight… */
  #coarsen(): void {
    const points = this.#points;
    const keepAll = this.#bucketAt(this.#count - 1) - KEEP_BUCKETS;
    for (let step = 12; this.#count > this.#most - SPREAD && step < 2 ** 20; step *= 2) {
      let kept = 1;
      for (let at = 1; at < this.#count; at += 1) {
        const bucket = this.#bucketAt(at);
        const next = at + 1 < this.#count ? this.#bucketAt(at + 1) : Number.POSITIVE_INFINITY;
        const sameStep = Math.floor(bucket / step) === Math.floor(next / step);
        if (bucket < keepAll && sameStep) continue;
        points.copyWithin(kept * STRIDE, at * STRIDE, (at + 1) * STRIDE);
        kept += 1;
      }
      this.#count = kept;
    }
  }

  /** How many points lie at or before this place. */
  #firstAfter(place: number): number {
    const points = this.#points;
    let low = 0;
    let high = this.#count;
    // Most look-ups are near the end.
    let step = 1;
    while (high - step > 0 && (points[(high - step) * STRIDE] ?? 0) > place) step *= 2;
    if (high - step > 0) low = high - step;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((points[middle * STRIDE] ?? 0) > place) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #bucketAt(at: number): number {
    return this.#points[at * STRIDE] ?? 0;
  }

  #insert(at: number, bucket: number, good: number, bad: number, excluded: number): void {
    if ((this.#count + 1) * STRIDE > this.#points.length) {
      const length = Math.ceil((this.#points.length / STRIDE) * 1.5) * STRIDE;
      const grown = this.#points instanceof Uint32Array ? new Uint32Array(length) : new Float64Array(length);
      grown.set(this.#points.subarray(0, this.#count * STRIDE));
      this.#points = grown;
    }
    this.#points.copyWithin((at + 1) * STRIDE, at * STRIDE, this.#count * STRIDE);
    this.#set(at * STRIDE, bucket, good, bad, excluded);
    this.#count += 1;
  }

  #set(base: number, bucket: number, good: number, bad: number, excluded: number): void {
    this.#points[base] = bucket;
    this.#points[base + 1] = good;
    this.#points[base + 2] = bad;
    this.#points[base + 3] = excluded;
  }
}
