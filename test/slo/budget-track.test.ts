import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BudgetTrack } from '../../src/slo/budget-track.js';

const laid = fc.record({
  bucket: fc.integer({ min: 0, max: 200 }),
  count: fc.integer({ min: 1, max: 30 }),
  good: fc.constantFrom(0, 150, 300),
  bad: fc.constantFrom(0, 5, 150),
});

function goodBefore(track: BudgetTrack, place: number): number {
  const sums = { good: 0, bad: 0, excluded: 0 };
  track.addBefore(place, 1, sums);
  return sums.good;
}

test('whatever is laid in whatever order, the sums are those of an array', () => {
  fc.assert(
    fc.property(fc.array(laid, { maxLength: 40 }), fc.integer({ min: 0, max: 200 }), (all, forgotten) => {
      const track = new BudgetTrack();
      const array = Array.from({ length: 240 }, () => 0);
      for (const { bucket, count, good, bad } of all) {
        track.lay(bucket, count, good, bad, 0);
        for (let at = bucket; at < bucket + count; at += 1) array[at] = (array[at] ?? 0) + good;
      }
      const sum = (from: number, to: number) => array.slice(from, to).reduce((a, b) => a + b, 0);
      for (let at = 0; at <= 240; at += 7) near(goodBefore(track, at), sum(0, at));
      near(goodBefore(track, 100.5), sum(0, 100) + (array[100] ?? 0) / 2);
      track.forgetBefore(forgotten);
      near(goodBefore(track, 240) - goodBefore(track, forgotten), sum(forgotten, 240));
    }),
  );
});

test('equal buckets take no room, and too many different ones lose detail, never sums', () => {
  const track = new BudgetTrack();
  for (let bucket = 0; bucket < 100_000; bucket += 1) track.lay(bucket, 1, 300, 0, 0);
  assert.equal(track.pointCount, 2);
  const mixed = new BudgetTrack();
  for (let bucket = 0; bucket < 105_408; bucket += 1) mixed.lay(bucket, 1, bucket % 300, 0, 0);
  assert.ok(mixed.pointCount <= 1280);
  const sum = (to: number) => Array.from({ length: to }, (_, at) => at % 300).reduce((a, b) => a + b, 0);
  assert.equal(goodBefore(mixed, 105_408), sum(105_408));
  // The last three days to the bucket, a year to a part of a day.
  assert.equal(goodBefore(mixed, 105_408 - 800), sum(105_408 - 800));
  assert.ok(Math.abs(goodBefore(mixed, 50_000) - sum(50_000)) < 300 * 288);
});

function near(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-6, `${actual}, expected ${expected}`);
}
