import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Counts, type Rising, rising } from '../../src/signals/rising.js';

interface Pair {
  readonly a: number | null;
  readonly b: number | null;
}

/** Totals and rises after each of these readings. */
function run(...readings: readonly Pair[]): readonly (readonly [totals: Pair, rises: Pair | null])[] {
  let account: Rising<Pair> | null = null;
  return readings.map((reading) => {
    account = rising(account, reading);
    return [account.totals, account.rises] as const;
  });
}

test('the first reading is taken as it is, the next ones add what they rose by', () => {
  assert.deepEqual(run({ a: 10, b: 5 }, { a: 10, b: 7 }, { a: 11, b: 7 }), [
    [{ a: 10, b: 5 }, null],
    [
      { a: 10, b: 7 },
      { a: 0, b: 2 },
    ],
    [
      { a: 11, b: 7 },
      { a: 1, b: 0 },
    ],
  ]);
});

test('when one counter went back all start anew: nothing is added, and the next reading adds again', () => {
  assert.deepEqual(run({ a: 100, b: 5 }, { a: 3, b: 900 }, { a: 4, b: 902 }), [
    [{ a: 100, b: 5 }, null],
    [{ a: 100, b: 5 }, null],
    [
      { a: 101, b: 7 },
      { a: 1, b: 2 },
    ],
  ]);
});

test('what cannot be read this time keeps its total, and has no rate over the longer time', () => {
  const [, gap, back, after] = run({ a: 10, b: 5 }, { a: 12, b: null }, { a: 12, b: 9 }, { a: 12, b: 10 });
  assert.deepEqual(gap, [
    { a: 12, b: 5 },
    { a: 2, b: null },
  ]);
  assert.deepEqual(back, [
    { a: 12, b: 9 },
    { a: 0, b: null },
  ]);
  assert.deepEqual(after, [
    { a: 12, b: 10 },
    { a: 0, b: 1 },
  ]);
});

test('a figure that appears later starts at what it says; one that never does stays null', () => {
  assert.deepEqual(run({ a: null, b: null }, { a: 50, b: null }, { a: 51, b: null }).at(-1), [
    { a: 51, b: null },
    { a: 1, b: null },
  ]);
  assert.deepEqual(run({ a: 7, b: null }, { a: null, b: null }, { a: 2, b: null }).at(-1), [{ a: 7, b: null }, null]);
});

test('whatever is read, totals never fall and no rise is negative', () => {
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed % below;
  };
  const some = (): Counts<Pair> => ({
    a: random(4) === 0 ? null : random(100),
    b: random(9) === 0 ? null : random(20),
  });
  let account: Rising<Pair> | null = null;
  let before: Pair = { a: 0, b: 0 };
  for (let step = 0; step < 5000; step++) {
    account = rising(account, some());
    for (const name of ['a', 'b'] as const) {
      assert.ok((account.totals[name] ?? 0) >= (before[name] ?? 0));
      assert.ok((account.rises?.[name] ?? 0) >= 0);
    }
    before = account.totals;
  }
});
