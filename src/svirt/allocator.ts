/**
 * Pairs of MCS categories for static labels. A pair is free when no set in use equals it, holds it or is held by it:
 * SELinux lets a guest reach whatever its own categories hold (refpolicy, policy/mcs: `h1 dom h2`). 523,776 pairs.
 */
import { CATEGORY_COUNT, type CategorySet, categorySet, formatCategories } from './categories.js';

const WORDS = CATEGORY_COUNT / 32;
/** Beyond this many tries the pool is so full that looking at all of it is cheaper. */
const TRIES = 24;

export interface AllocateOptions {
  /** Categories to choose from, 0–1023; null: all of them. */
  readonly pool: readonly number[] | null;
  /** A whole number from 0 to below − 1, evenly. */
  readonly random: (below: number) => number;
}

/** An ascending pair, each free one as likely as the next; null: the pool has none left. Does not mark it used. */
export function allocatePair(inUse: InUse, { pool, random }: AllocateOptions): readonly [number, number] | null {
  const choice = pool === null ? ALL : categorySet(pool);
  if (choice.length < 2) return null;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const first = choice[random(choice.length)] as number;
    const second = choice[random(choice.length)] as number;
    const [low, high] = first < second ? [first, second] : [second, first];
    if (low !== high && inUse.isFree(low, high)) return [low, high];
  }
  return inUse.nthFree(choice, random);
}

const ALL: CategorySet = Array.from({ length: CATEGORY_COUNT }, (_, category) => category);

/** The category sets of all guests, dynamic ones too, counted: two guests may have the same one. */
export class InUse {
  readonly #counts = new Map<number | string, number>();
  /** Row `low` has bit `high` for each pair in use. */
  readonly #pairs = new Uint32Array(CATEGORY_COUNT * WORDS);
  /** A bit for each category that a guest has alone. */
  readonly #singles = new Uint32Array(WORDS);
  readonly #wide = new Map<string, CategorySet>();
  /** As #pairs, for all pairs inside wide sets; null: to be made anew. */
  #inWide: Uint32Array | null = null;

  constructor(sets: Iterable<readonly number[]> = []) {
    for (const set of sets) this.add(set);
  }

  /** The sets of three and more, for which whole ranges of pairs are not given away. */
  get wide(): readonly CategorySet[] {
    return [...this.#wide.values()];
  }

  /** A set without categories is held by every other and would forbid all: it is passed over. */
  add(numbers: readonly number[]): void {
    const categories = categorySet(numbers);
    const key = keyOf(categories);
    if (key === null) return;
    const count = this.#counts.get(key) ?? 0;
    this.#counts.set(key, count + 1);
    if (count === 0) this.#mark(categories, key, true);
  }

  /** False: it was not in use. */
  remove(numbers: readonly number[]): boolean {
    const categories = categorySet(numbers);
    const key = keyOf(categories);
    const count = key === null ? 0 : (this.#counts.get(key) ?? 0);
    if (key === null || count === 0) return false;
    if (count > 1) this.#counts.set(key, count - 1);
    else {
      this.#counts.delete(key);
      this.#mark(categories, key, false);
    }
    return true;
  }

  /** Whether the pair, `low` < `high`, clashes with no set in use. */
  isFree(low: number, high: number): boolean {
    const word = low * WORDS + (high >>> 5);
    const bit = 1 << (high & 31);
    if (((this.#pairs[word] as number) & bit) !== 0) return false;
    if (hasBit(this.#singles, low) || hasBit(this.#singles, high)) return false;
    return this.#wide.size === 0 || ((this.#pairsInWide()[word] as number) & bit) === 0;
  }

  /** One free pair of these categories, each as likely as the next; null: there is none. Looks at words of 32 pairs. */
  nthFree(choice: CategorySet, random: (below: number) => number): readonly [number, number] | null {
    const allowed = new Uint32Array(WORDS);
    for (const category of choice) if (!hasBit(this.#singles, category)) setBit(allowed, category, true);
    const rows = choice.filter((category) => hasBit(allowed, category));
    const counts = rows.map((low) => this.#countFree(low, allowed));
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (total === 0) return null;
    let left = random(total);
    for (const [index, low] of rows.entries()) {
      const count = counts[index] as number;
      if (left < count) return [low, this.#nthFreeOf(low, allowed, left)];
      left -= count;
    }
    return null;
  }

  #countFree(low: number, allowed: Uint32Array): number {
    let count = 0;
    for (let word = low >>> 5; word < WORDS; word++) {
      for (let bits = this.#freeWord(low, word, allowed); bits !== 0; bits &= bits - 1) count++;
    }
    return count;
  }

  /** The `n`th category, from 0, that makes a free pair with `low` and is above it. */
  #nthFreeOf(low: number, allowed: Uint32Array, n: number): number {
    let left = n;
    for (let high = low + 1; high < CATEGORY_COUNT; high++) {
      const free = (this.#freeWord(low, high >>> 5, allowed) & (1 << (high & 31))) !== 0;
      if (free && left-- === 0) return high;
    }
    return -1;
  }

  /** A bit for each category of one word that makes a free pair with `low` and is above it. */
  #freeWord(low: number, word: number, allowed: Uint32Array): number {
    const at = low * WORDS + word;
    const inWide = this.#wide.size === 0 ? 0 : (this.#pairsInWide()[at] as number);
    const above = word === low >>> 5 ? -2 << (low & 31) : -1;
    // -2 << 31 is 0, as it should be: the last bit has none above it.
    return (allowed[word] as number) & ~((this.#pairs[at] as number) | inWide) & above;
  }

  #mark(categories: CategorySet, key: number | string, used: boolean): void {
    const [low = 0, high = 0] = categories;
    if (categories.length === 1) setBit(this.#singles, low, used);
    else if (categories.length === 2) setBit(this.#pairs, low * CATEGORY_COUNT + high, used);
    else {
      if (used) this.#wide.set(String(key), categories);
      else this.#wide.delete(String(key));
      this.#inWide = null;
    }
  }

  #pairsInWide(): Uint32Array {
    if (this.#inWide !== null) return this.#inWide;
    const found = new Uint32Array(CATEGORY_COUNT * WORDS);
    const set = new Uint32Array(WORDS);
    for (const categories of this.#wide.values()) {
      set.fill(0);
      for (const category of categories) setBit(set, category, true);
      for (const low of categories) {
        for (let word = low >>> 5; word < WORDS; word++) {
          const at = low * WORDS + word;
          found[at] = (found[at] as number) | (set[word] as number);
        }
      }
    }
    this.#inWide = found;
    return found;
  }
}

/** Null for the empty set. */
function keyOf(categories: CategorySet): number | string | null {
  const [low, high] = categories;
  if (low === undefined) return null;
  if (categories.length > 2) return formatCategories(categories);
  return high === undefined ? -1 - low : low * CATEGORY_COUNT + high;
}

function hasBit(bits: Uint32Array, index: number): boolean {
  return ((bits[index >>> 5] as number) & (1 << (index & 31))) !== 0;
}

function setBit(bits: Uint32Array, index: number, on: boolean): void {
  const word = bits[index >>> 5] as number;
  bits[index >>> 5] = on ? word | (1 << (index & 31)) : word & ~(1 << (index & 31));
}
