/** Which windows and factors an objective's alerts have. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Objective } from '../../src/policy/types.js';
import { alertPairs, budgetOf, windowSeconds, windowsOf } from '../../src/rules/windows.js';
import { formatDuration } from '../../src/units.js';

const DAY = 86_400;

function pairsOf(window: Objective['window'] | number, of = 0.999): string[] {
  const given = typeof window === 'number' ? ({ kind: 'rolling', seconds: window } as const) : window;
  return alertPairs({ window: given, of }).map(
    ({ urgency, longSeconds, shortSeconds, factor }) =>
      `${urgency} ${factor} over ${formatDuration(longSeconds)} and ${formatDuration(shortSeconds)}`,
  );
}

describe('the pairs of windows', () => {
  const standard = [
    'page 14.4 over 1h and 5m',
    'page 6 over 6h and 30m',
    'ticket 3 over 1d and 2h',
    'ticket 1 over 3d and 6h',
  ];
  test('over 30 days, and a calendar month, are those of the SRE workbook', () => {
    assert.deepEqual(pairsOf(30 * DAY), standard);
    assert.deepEqual(pairsOf({ kind: 'month' }), standard);
  });
  test('over 28 days are what Sloth has for them', () => {
    assert.deepEqual(pairsOf(28 * DAY), [
      'page 13.4 over 1h and 5m',
      'page 5.6 over 6h and 30m',
      'ticket 2.8 over 1d and 2h',
      'ticket 1 over 3d and 6h',
    ]);
  });
  test('over 90 days have factors three times as high', () => {
    assert.deepEqual(
      alertPairs({ window: { kind: 'rolling', seconds: 90 * DAY }, of: 0.999 }).map(({ factor }) => factor),
      [43.2, 18, 9, 3],
    );
  });
  test('over a week ask for no less than somebody may be woken for', () => {
    assert.deepEqual(pairsOf(7 * DAY), [
      'page 3.36 over 1h and 5m',
      'page 2 over 6h and 30m',
      'ticket 1 over 1d and 2h',
      'ticket 1 over 3d and 6h',
    ]);
  });
  test('over a day lack the one that looks back three', () => {
    assert.deepEqual(pairsOf(DAY), ['page 3 over 1h and 5m', 'page 2 over 6h and 30m', 'ticket 1 over 1d and 2h']);
  });
  test('over less than a day shrink with it', () => {
    assert.deepEqual(pairsOf(DAY / 2), [
      'page 3 over 30m and 150s',
      'page 2 over 3h and 15m',
      'ticket 1 over 12h and 1h',
    ]);
    assert.deepEqual(pairsOf(600), [
      'page 3 over 30s and 10s',
      'page 2 over 150s and 13s',
      'ticket 1 over 10m and 50s',
    ]);
    assert.deepEqual(pairsOf(60), ['page 3 over 30s and 10s', 'ticket 1 over 1m and 10s']);
  });
  test('that nothing could fire are left out', () => {
    assert.deepEqual(pairsOf(30 * DAY, 0.9), standard.slice(1));
    assert.deepEqual(pairsOf(30 * DAY, 0.8), standard.slice(2));
    assert.deepEqual(pairsOf(30 * DAY, 0.5), standard.slice(3));
    assert.deepEqual(pairsOf(30 * DAY, 0.001), standard.slice(3));
    assert.deepEqual(pairsOf(366 * DAY, 0.8), ['ticket 1 over 3d and 6h'], 'but the last');
  });
});

test('the budget is a round number', () => {
  for (const [of, budget] of [
    [0.999, 0.001],
    [0.995, 0.005],
    [0.9999, 0.0001],
    [0.99999, 0.00001],
    [0.9, 0.1],
  ] as const) {
    assert.equal(budgetOf({ of }), budget);
  }
});

test('for every objective: within its window, over the least, satisfiable, and each window once', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 60, max: 366 * DAY }),
      fc.double({ min: 1e-6, max: 1 - 1e-6, noNaN: true }),
      (seconds, of) => {
        const objective = { window: { kind: 'rolling', seconds }, of } as const;
        const pairs = alertPairs(objective);
        for (const { longSeconds, shortSeconds, factor } of pairs) {
          assert.ok(longSeconds <= windowSeconds(objective));
          assert.ok(shortSeconds < longSeconds && shortSeconds >= 10);
          assert.ok(factor >= 1 && factor * budgetOf(objective) < 1);
        }
        assert.ok(pairs.length > 0);
        const windows = windowsOf(pairs);
        assert.equal(new Set(windows).size, windows.length);
      },
    ),
  );
});
