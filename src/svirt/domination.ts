/**
 * Which guests' category sets hold which: an index in which an ordinary set, of one or two categories, is looked up, and
 * only wide sets are compared with each other. Guests are numbers here, in the order in which they are named to people.
 */
import { CATEGORY_COUNT, type CategorySet } from './categories.js';

const WORDS = CATEGORY_COUNT / 32;

/** Guests with the same set. */
export interface Group {
  readonly categories: CategorySet;
  /** Ascending. */
  readonly members: readonly number[];
  /** Groups whose sets hold this one and more. */
  readonly holders: readonly Group[];
  /** Groups whose sets this one holds, being more. */
  readonly held: readonly Group[];
}

export interface Members {
  readonly count: number;
  /** Ascending. */
  readonly first: readonly number[];
}

interface OpenGroup extends Group {
  readonly members: number[];
  holders: readonly Group[];
  readonly held: Group[];
}

export class Domination {
  readonly #groups = new Map<number | string, OpenGroup>();
  readonly #groupOf: (OpenGroup | null)[] = [];
  /** By category, the pairs that have it. */
  readonly #pairsWith: OpenGroup[][] = [];
  readonly #wide: OpenGroup[] = [];
  /** Of each wide group 32 words in a row, a bit for each category. */
  readonly #bits: Uint32Array;
  readonly #scratch = new Uint32Array(WORDS);

  /** By guest; null: it takes no part. The empty set takes none either: every other holds it. */
  constructor(sets: readonly (CategorySet | null)[]) {
    this.#bits = new Uint32Array(sets.filter((set) => set !== null && set.length > 2).length * WORDS);
    for (const [guest, set] of sets.entries()) {
      const group = set === null || set.length === 0 ? null : this.#groupFor(set);
      group?.members.push(guest);
      this.#groupOf.push(group);
    }
    for (const group of this.#groups.values()) {
      group.holders = this.holdersOf(group.categories).filter((holder) => holder !== group);
      for (const holder of group.holders) (holder as OpenGroup).held.push(group);
    }
  }

  /** Null: it takes no part. */
  groupOf(guest: number): Group | null {
    return this.#groupOf[guest] ?? null;
  }

  /** All groups whose sets hold every one of these categories, the same set too; none for the empty set. */
  holdersOf(categories: CategorySet): readonly Group[] {
    if (categories.length === 0) return [];
    const found: OpenGroup[] = [];
    const [first = 0] = categories;
    const same = categories.length <= 2 ? this.#groups.get(narrowKey(categories)) : undefined;
    if (same !== undefined) found.push(same);
    if (categories.length === 1) found.push(...(this.#pairsWith[first] ?? []));
    if (this.#wide.length === 0) return found;
    if (categories.length <= 2) {
      return found.concat(this.#wide.filter((_, index) => categories.every((one) => this.#hasBit(index, one))));
    }
    const bits = fillBits(this.#scratch, categories);
    for (let index = 0; index < this.#wide.length; index++) {
      const group = this.#wide[index] as OpenGroup;
      if (group.categories.length >= categories.length && this.#holdsAll(index, bits)) found.push(group);
    }
    return found;
  }

  /** The guests of these groups, but for `except`: how many, and the first `max` of them. */
  membersOf(groups: readonly Group[], max: number, except: number | null): Members {
    const own = except === null ? null : this.groupOf(except);
    const first: number[] = [];
    let count = 0;
    for (const group of groups) {
      count += group.members.length - (group === own ? 1 : 0);
      // Ascending in each group: past the first that comes too late all do.
      for (const member of group.members) {
        if (first.length === max && member > (first[max - 1] as number)) break;
        if (member !== except) insert(first, member, max);
      }
    }
    return { count, first };
  }

  #groupFor(categories: CategorySet): OpenGroup {
    const narrow = categories.length <= 2;
    const key = narrow ? narrowKey(categories) : wideKey(fillBits(this.#scratch, categories));
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const group: OpenGroup = { categories, members: [], holders: [], held: [] };
    this.#groups.set(key, group);
    if (!narrow) {
      this.#bits.set(this.#scratch, this.#wide.length * WORDS);
      this.#wide.push(group);
    } else if (categories.length === 2) {
      for (const category of categories) {
        const pairs = this.#pairsWith[category];
        if (pairs === undefined) this.#pairsWith[category] = [group];
        else pairs.push(group);
      }
    }
    return group;
  }

  #hasBit(index: number, category: number): boolean {
    return ((this.#bits[index * WORDS + (category >>> 5)] as number) & (1 << (category & 31))) !== 0;
  }

  #holdsAll(index: number, bits: Uint32Array): boolean {
    const start = index * WORDS;
    for (let word = 0; word < WORDS; word++) {
      if (((bits[word] as number) & ~(this.#bits[start + word] as number)) !== 0) return false;
    }
    return true;
  }
}

function insert(sorted: number[], value: number, max: number): void {
  let at = sorted.length;
  while (at > 0 && (sorted[at - 1] as number) > value) at--;
  sorted.splice(at, 0, value);
  if (sorted.length > max) sorted.pop();
}

function narrowKey([low = 0, high]: CategorySet): number {
  return high === undefined ? -1 - low : low * CATEGORY_COUNT + high;
}

function wideKey(bits: Uint32Array): string {
  return String.fromCharCode(...new Uint16Array(bits.buffer));
}

function fillBits(bits: Uint32Array, categories: CategorySet): Uint32Array {
  bits.fill(0);
  for (const category of categories) bits[category >>> 5] = (bits[category >>> 5] as number) | (1 << (category & 31));
  return bits;
}
