import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { orderWrites, widens } from '../../src/reconcile/order.js';

interface Limit {
  readonly depth: number;
  readonly from: number;
  readonly to: number;
  readonly widens: boolean;
}

/** One group in another, each allowing at most what the one above allows, before and after. */
const nested = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 1000 })), { minLength: 1, maxLength: 5 })
  .map((steps) => {
    const [froms, tos] = [0, 1].map((at) => steps.map((step) => step[at] ?? 0).toSorted((a, b) => b - a));
    return steps.map((_, depth): Limit => {
      const [from, to] = [froms?.[depth] ?? 0, tos?.[depth] ?? 0];
      return { depth, from, to, widens: to > from };
    });
  });

test('at no step does a group allow more than the one above it, nor the guest have less than before and after', () => {
  fc.assert(
    fc.property(nested, fc.infiniteStream(fc.nat()), (limits, order) => {
      const shuffled = limits.map((limit) => ({ limit, by: order.next().value as number }));
      const writes = orderWrites(shuffled.toSorted((a, b) => a.by - b.by).map(({ limit }) => limit));
      assert.equal(writes.length, limits.length);
      const now = limits.map(({ from }) => from);
      const least = Math.min(...limits.map(({ from }) => from), ...limits.map(({ to }) => to));
      for (const { depth, to } of writes) {
        now[depth] = to;
        assert.ok(
          now.every((amount, at) => at === 0 || amount <= (now[at - 1] ?? 0)),
          `${now}`,
        );
        assert.ok(Math.min(...now) >= least, `${now}`);
      }
    }),
  );
});

test('writes of one depth stay in the order in which they were planned', () => {
  const write = (name: string, depth: number, wider: boolean) => ({ name, depth, widens: wider });
  const ordered = orderWrites([
    write('a', 1, false),
    write('b', 0, true),
    write('c', 1, true),
    write('d', 0, false),
    write('e', 1, false),
    write('f', 0, true),
  ]);
  assert.deepEqual(
    ordered.map(({ name }) => name),
    ['b', 'f', 'c', 'a', 'e', 'd'],
  );
});

test('only what is known to allow more widens', () => {
  const allows = (text: string): number | null =>
    text === 'max' ? Number.POSITIVE_INFINITY : /^\d+$/.test(text) ? Number(text) : null;
  assert.equal(widens('1', '2', allows), true);
  assert.equal(widens('2', '1', allows), false);
  assert.equal(widens('2', '2', allows), false);
  assert.equal(widens('2', 'max', allows), true);
  assert.equal(widens('max', '2', allows), false);
  assert.equal(widens(null, '2', allows), false);
  assert.equal(widens('?', '2', allows), false);
  assert.equal(widens('1', '?', allows), false);
  assert.equal(widens('1', '2', undefined), false);
});
