/** Pairs for static labels: never one that clashes with a set in use, as an index of its own confirms. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { allocatePair, InUse } from '../../src/svirt/allocator.js';
import { seeded } from './some-labels.js';

/** What is in use, kept without the code under test. */
class Ledger {
  readonly pairs = new Map<number, number>();
  readonly singles: number[] = Array.from({ length: 1024 }, () => 0);
  readonly wide: Set<number>[] = [];

  count(set: readonly number[], by: 1 | -1): void {
    const [low = 0, high = 0] = set;
    const key = set.length === 1 ? low : low * 10_000 + high;
    if (set.length === 1) this.singles[low] = (this.singles[low] ?? 0) + by;
    else if (set.length === 2) this.pairs.set(key, (this.pairs.get(key) ?? 0) + by);
    else if (by === 1) this.wide.push(new Set(set));
    else {
      const gone = this.wide.findIndex((one) => one.size === set.length && set.every((category) => one.has(category)));
      this.wide.splice(gone, 1);
    }
  }

  clash(low: number, high: number): string | null {
    if ((this.pairs.get(low * 10_000 + high) ?? 0) > 0) return 'the pair is in use';
    if (this.singles[low] !== 0 || this.singles[high] !== 0) return 'it holds a single in use';
    return this.wide.some((set) => set.has(low) && set.has(high)) ? 'a set in use holds it' : null;
  }
}

/** As libvirt picks a dynamic label: two numbers, one category if they are equal; others' labels are not its concern. */
function dynamicPick(random: (below: number) => number): number[] {
  const [one, two] = [random(1024), random(1024)];
  return one === two ? [one] : one < two ? [one, two] : [two, one];
}

const pick = <T>(list: T[], random: (below: number) => number): T => {
  const at = random(list.length);
  const taken = list[at] as T;
  list[at] = list.at(-1) as T;
  list.pop();
  return taken;
};

describe('the allocator', () => {
  it('gives a million pairs without a clash, beside dynamic labels and across restarts', () => {
    const random = seeded(20_261_123);
    const ledger = new Ledger();
    const statics: (readonly number[])[] = [];
    const dynamics: number[][] = [];
    let inUse = new InUse();
    let mostStatics = 0;
    for (let i = 0; i < 1_000_000; i++) {
      // The crowd grows and shrinks in waves of 100,000, up to tens of thousands of guests.
      const grows = i % 100_000 < 60_000;
      const pair = allocatePair(inUse, { pool: null, random });
      assert.ok(pair !== null);
      const clash = ledger.clash(pair[0], pair[1]);
      if (clash !== null || pair[0] >= pair[1]) assert.fail(`allocation ${i}: ${pair.join()}: ${clash}`);
      statics.push(pair);
      inUse.add(pair);
      ledger.count(pair, 1);
      for (let gone = random(grows ? 2 : 6); gone > 0 && statics.length > 0; gone--) {
        const set = pick(statics, random);
        assert.ok(inUse.remove(set));
        ledger.count(set, -1);
      }
      if (random(4) === 0) {
        const set = random(500) === 0 ? [random(300), 300 + random(300), 600 + random(400)] : dynamicPick(random);
        dynamics.push(set);
        inUse.add(set);
        ledger.count(set, 1);
      }
      // Guests with a single category are kept few: each forbids a thousand pairs.
      if (dynamics.length > (grows ? 8000 : 500)) {
        const set = pick(dynamics, random);
        assert.ok(inUse.remove(set));
        ledger.count(set, -1);
      }
      mostStatics = Math.max(mostStatics, statics.length);
      // A restart: nothing is known but the labels that guests have and definitions ask for.
      if (i % 250_000 === 155_000) inUse = new InUse([...statics, ...dynamics]);
    }
    assert.ok(mostStatics > 20_000, `${mostStatics}`);
    for (const set of [...statics, ...dynamics]) assert.ok(inUse.remove(set));
    assert.equal(inUse.wide.length, 0);
    for (let low = 0; low < 1024; low += 7)
      for (let high = low + 1; high < 1024; high++) assert.ok(inUse.isFree(low, high));
  });

  it('gives each pair of a pool once, and then says that it is exhausted', () => {
    const random = seeded(1);
    const pool = [0, 31, 32, 63, 64, 500, 991, 992, 1022, 1023, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
    const inUse = new InUse();
    const given = new Set<string>();
    for (let i = 0; i < 190; i++) {
      const pair = allocatePair(inUse, { pool, random }) ?? assert.fail(`exhausted after ${i} of 190`);
      assert.ok(pair.every((category) => pool.includes(category)));
      inUse.add(pair);
      given.add(pair.join());
    }
    assert.equal(given.size, 190);
    assert.equal(allocatePair(inUse, { pool, random }), null);
    inUse.remove([31, 1023]);
    assert.deepEqual(allocatePair(inUse, { pool, random }), [31, 1023]);
  });

  it('finds the few free pairs among all half a million', () => {
    const inUse = new InUse();
    for (let low = 0; low < 1024; low++) for (let high = low + 1; high < 1024; high++) inUse.add([low, high]);
    const random = seeded(2);
    assert.equal(allocatePair(inUse, { pool: null, random }), null);
    const freed = ['0,1', '31,32', '511,1023', '1022,1023', '0,1023'];
    for (const text of freed) inUse.remove(text.split(',').map(Number));
    const found = freed.map(() => {
      const pair = allocatePair(inUse, { pool: null, random }) ?? assert.fail('none found');
      inUse.add(pair);
      return pair.join();
    });
    assert.deepEqual(found.sort(), freed.sort());
  });

  const forbidding: [string, number[][], number[], string[]][] = [
    ['a pair forbids itself', [[1, 2]], [1, 2, 3], ['1,3', '2,3']],
    ['a single forbids every pair with it', [[1]], [1, 2, 3], ['2,3']],
    ['a wide set forbids every pair inside it', [[1, 2, 3]], [1, 2, 3, 4], ['1,4', '2,4', '3,4']],
    [
      'two wide sets',
      [
        [1, 2, 9],
        [2, 3, 9],
      ],
      [1, 2, 3],
      ['1,3'],
    ],
    ['the set of all forbids all', [Array.from({ length: 1024 }, (_, i) => i)], [1, 2, 3], []],
    ['the empty set forbids nothing', [[]], [1, 2], ['1,2']],
    ['a pair in the wrong order', [[2, 1]], [1, 2, 3], ['1,3', '2,3']],
    ['a pool of one has none', [], [4, 4], []],
    ['an empty pool has none', [], [], []],
  ];
  for (const [what, sets, pool, free] of forbidding) {
    it(what, () => {
      const inUse = new InUse(sets);
      const random = seeded(3);
      const found = new Set<string>();
      for (let i = 0; i < 200; i++) found.add(String(allocatePair(inUse, { pool, random })));
      assert.deepEqual([...found].sort(), free.length === 0 ? ['null'] : free);
    });
  }

  it('counts guests of one set, and says when there was none', () => {
    const inUse = new InUse([
      [1, 2],
      [1, 2],
      [3, 4, 5],
    ]);
    assert.deepEqual(inUse.wide, [[3, 4, 5]]);
    assert.ok(inUse.remove([1, 2]));
    assert.equal(inUse.isFree(1, 2), false);
    assert.ok(inUse.remove([1, 2]));
    assert.equal(inUse.isFree(1, 2), true);
    assert.equal(inUse.remove([1, 2]), false);
    assert.equal(inUse.remove([]), false);
    assert.equal(inUse.isFree(3, 5), false);
    assert.ok(inUse.remove([3, 4, 5]));
    assert.equal(inUse.isFree(3, 5), true);
  });

  for (const [where, taken] of [
    ['by trying', 0],
    ['by looking at all', 1],
  ] as const) {
    it(`favours no pair: ${where}`, () => {
      const inUse = new InUse();
      // All pairs of the pool but twelve are in use, or none: the second fails its tries more often than not.
      const pool = taken === 1 ? Array.from({ length: 60 }, (_, i) => i * 17) : [1, 2, 3, 1023, 512];
      const free = taken === 1 ? 12 : 10;
      const pairs = pool.flatMap((a) => pool.filter((b) => b > a).map((b) => [a, b]));
      for (const [i, pair] of pairs.entries()) if (taken === 1 && i % 150 !== 7) inUse.add(pair);
      const random = seeded(4);
      const times = new Map<string, number>();
      for (let i = 0; i < free * 1000; i++) {
        const text = String(allocatePair(inUse, { pool, random }));
        times.set(text, (times.get(text) ?? 0) + 1);
      }
      assert.equal(times.size, free);
      // A thousand each; the standard deviation is 31.
      for (const [text, count] of times) assert.ok(Math.abs(count - 1000) < 160, `${text}: ${count} times`);
    });
  }
});
