import assert from 'node:assert/strict';
import { chmodSync, readdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ABSENT, goodAndBad, packCodes, pairCode, unpackCodes } from '../../src/host/slo-store/bucket-codes.js';
import { SloStore } from '../../src/host/slo-store/store.js';
import type { Objective } from '../../src/policy/types.js';
import { RESULTS } from '../../src/slo/types.js';
import { KEPT_DAYS } from '../../src/slo/windows.js';
import { closedBucket, collect, keys, nameOf, opened, temporaryDirectory } from './store-bench.js';

const FIRST = 20_730 * 288;
const [A, B] = keys(2, ['cpu.delivered']) as [ReturnType<typeof keys>[0], ReturnType<typeof keys>[0]];
const KEYS = keys(3, ['cpu.delivered', 'disk.latency']);

test('every pair of seconds that fits a bucket has a code of its own', () => {
  const seen = new Set<number>();
  for (let good = 0; good <= 300; good += 1) {
    for (let bad = 0; good + bad <= 300; bad += 1) {
      const code = pairCode(good, bad);
      seen.add(code);
      assert.deepEqual(goodAndBad(code), [good, bad]);
    }
  }
  assert.equal(seen.size, 45_451);
  assert.ok(!seen.has(ABSENT));
});

test('codes are unpacked as they were packed, and hostile bytes are refused', () => {
  const codes = fc
    .uint8Array({ maxLength: 300 })
    .map((bytes) => Uint16Array.from(bytes, (byte) => (byte < 128 ? 7 : byte)));
  fc.assert(fc.property(codes, (some) => assert.deepEqual(unpackCodes(packCodes(some)), some)));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const unpacked = unpackCodes(Buffer.from(bytes));
      assert.ok(unpacked === null || unpacked.length <= 1_000_000);
    }),
  );
});

test('what was appended comes back, over days, doubled buckets and new objectives', async (t) => {
  const directory = temporaryDirectory(t);
  const store = new SloStore(directory);
  await store.open();
  const run = { key: A, fromMs: FIRST * 300_000, toMs: FIRST * 300_000 + 20_000, badSeconds: 15 };
  await store.append([closedBucket(FIRST, [[A, 300, 0, 0]], [run])]);
  await store.append([
    closedBucket(FIRST + 1, [
      [A, 0, 0, 300],
      [B, 280, 20, 0],
    ]),
  ]);
  await store.append([closedBucket(FIRST + 288, [[B, 400, 250, 310]]), closedBucket(FIRST + 1, [[A, 3, 0, 0]])]);
  assert.equal(store.error, null);
  await store.close();
  const { collected, store: again } = await collect(directory);
  assert.deepEqual(Object.fromEntries(collected.buckets), {
    [nameOf(A, FIRST)]: [300, 0, 0],
    [nameOf(A, FIRST + 1)]: [3, 0, 300],
    [nameOf(B, FIRST + 1)]: [280, 20, 0],
    [nameOf(B, FIRST + 288)]: [400, 250, 310],
  });
  assert.deepEqual(collected.runs, [{ ...run, key: collected.runs[0]?.key }]);
  assert.deepEqual(collected.runs[0]?.key, A);
  assert.deepEqual(again.damage, []);
  assert.equal(again.oldestMs, FIRST * 300_000);
});

describe('a file that was cut off', () => {
  test('at any byte loses what was cut, says so, and is written further', async (t) => {
    const directory = temporaryDirectory(t);
    const store = new SloStore(directory);
    await store.open();
    const sizes: number[] = [];
    for (let at = 0; at < 4; at += 1) {
      const run = { key: A, fromMs: (FIRST + at) * 300_000, toMs: (FIRST + at) * 300_000 + 5000, badSeconds: 5 };
      await store.append([
        closedBucket(
          FIRST + at,
          KEYS.map((key, i) => [key, 290 - i, at, i % 2] as const),
          [run],
        ),
      ]);
      sizes.push(store.bytes);
    }
    await store.close();
    const [name = ''] = readdirSync(directory);
    const whole = readFileSync(join(directory, name));
    for (let bytes = whole.length - 1; bytes >= (sizes[1] ?? 0); bytes -= 1) {
      truncateSync(join(directory, name), bytes);
      const before = await collect(directory);
      const complete = sizes.filter((size) => size <= bytes).length;
      for (let at = 0; at < complete; at += 1) {
        for (const [i, key] of KEYS.entries()) {
          assert.deepEqual(before.collected.buckets.get(nameOf(key, FIRST + at)), [290 - i, at, i % 2]);
        }
      }
      assert.equal(
        before.store.damage.length,
        sizes.includes(bytes) || before.store.damage.length === 0 ? before.store.damage.length : 1,
      );
      // The next daemon goes on where it can, with the same names and with new ones.
      const next = new SloStore(directory);
      await next.open();
      await next.append([
        closedBucket(FIRST + 9, [
          [KEYS[5] ?? A, 1, 2, 3],
          [{ ...A, sli: 'available' }, 4, 0, 0],
        ]),
      ]);
      assert.equal(next.error, null);
      await next.close();
      const after = await collect(directory);
      assert.deepEqual(after.store.damage, []);
      assert.deepEqual(after.collected.buckets.get(nameOf(KEYS[5] ?? A, FIRST + 9)), [1, 2, 3]);
      assert.deepEqual(after.collected.buckets.get(nameOf({ ...A, sli: 'available' }, FIRST + 9)), [4, 0, 0]);
      for (const [name, amounts] of before.collected.buckets)
        assert.deepEqual(after.collected.buckets.get(name), amounts);
      writeFileSync(join(directory, name), whole);
    }
  });
});

test('a bit that flips loses the frame that it is in, and no amount is ever wrong', async (t) => {
  const directory = temporaryDirectory(t);
  const store = new SloStore(directory);
  await store.open();
  for (let at = 0; at < 12; at += 1) {
    await store.append([
      closedBucket(
        FIRST + at,
        KEYS.map((key, i) => [key, 280 - i, at, 0] as const),
      ),
    ]);
  }
  await store.close();
  const [name = ''] = readdirSync(directory);
  const whole = readFileSync(join(directory, name));
  for (let byte = 0; byte < whole.length; byte += 1) {
    const flipped = Buffer.from(whole);
    flipped[byte] = (flipped[byte] ?? 0) ^ (1 << (byte % 8));
    writeFileSync(join(directory, name), flipped);
    const { collected, store: found } = await collect(directory);
    assert.equal(found.damage.length, 1);
    // One bucket at most: names are there twice.
    assert.ok(collected.buckets.size >= 11 * KEYS.length, `byte ${byte}: ${collected.buckets.size}`);
    for (const [i, key] of KEYS.entries()) {
      for (let at = 0; at < 12; at += 1) {
        const amounts = collected.buckets.get(nameOf(key, FIRST + at));
        if (amounts !== undefined) assert.deepEqual(amounts, [280 - i, at, 0], `byte ${byte} bucket ${at}`);
      }
    }
  }
});

describe('a directory', () => {
  test('with anything in it is read as far as it makes sense', async (t) => {
    const directory = temporaryDirectory(t);
    writeFileSync(join(directory, '2026-01-01.slo'), Buffer.alloc(100_000, 'VSB1'));
    writeFileSync(join(directory, '2026-01-02.slo'), '');
    writeFileSync(join(directory, '2026-99-99.slo'), 'x');
    writeFileSync(join(directory, 'notes.txt'), 'mine');
    symlinkSync('/dev/zero', join(directory, '2026-01-03.slo'));
    const { collected, store } = await collect(directory);
    assert.equal(collected.buckets.size, 0);
    assert.deepEqual(store.damage, [{ file: '2026-01-01.slo', bytes: 100_000 }]);
    assert.match(store.error ?? '', /2026-01-03\.slo: /);
  });

  test('that cannot be written is said; what waited is written when it can be', async (t) => {
    const directory = temporaryDirectory(t);
    const blocked = join(directory, 'file');
    writeFileSync(blocked, '');
    const store = new SloStore(join(blocked, 'slo'));
    await store.open();
    await store.append([closedBucket(FIRST, [[A, 300, 0, 0]])]);
    assert.match(store.error ?? '', /ENOTDIR/);
    await store.close();

    const late = new SloStore(join(directory, 'late'));
    await late.open();
    const name = join(directory, 'late', '2026-10-04.slo');
    symlinkSync('/nowhere', name);
    await late.append([closedBucket(FIRST, [[A, 300, 0, 0]])]);
    assert.match(late.error ?? '', /ELOOP/);
    const { rmSync } = await import('node:fs');
    rmSync(name);
    await late.append([closedBucket(FIRST + 1, [[A, 299, 0, 0]])]);
    assert.equal(late.error, null);
    await late.close();
    const { collected } = await collect(join(directory, 'late'));
    assert.equal(collected.buckets.size, 2);
    chmodSync(directory, 0o700);
  });

  test('keeps so many days and so many bytes, the newest; a clock that leaps takes one', async (t) => {
    const directory = temporaryDirectory(t);
    const store = new SloStore(directory, { retentionDays: 3 });
    await store.open();
    for (const day of [0, 1, 2, 3, 4000, 4, 5]) {
      await store.append([closedBucket(FIRST + day * 288, [[A, 300, 0, 0]])]);
    }
    await store.close();
    assert.equal(readdirSync(directory).length, 3);
    assert.ok(readdirSync(directory).includes('2026-10-09.slo'));
    const small = new SloStore(directory, { limitBytes: 1 });
    await small.open();
    await small.append([closedBucket(FIRST + 5 * 288, [[A, 300, 0, 0]])]);
    await small.close();
    assert.deepEqual(readdirSync(directory), ['2026-10-09.slo']);
    assert.match(small.error ?? '', /^history goes back to 2026-10-09 only: more than 1 bytes are not kept$/);
  });
});

const held: readonly Objective[] = [
  {
    sli: 'cpu.delivered',
    of: 0.99,
    window: { kind: 'rolling', seconds: 30 * 86_400 },
    source: { file: 'x', line: 1, column: 1 } as unknown as Objective['source'],
  },
];

test('budgets after any history of slices, gaps, leaps, ends and kills are those before, without what was running', async (t) => {
  const step = fc.record({
    slices: fc.integer({ min: 1, max: 200 }),
    result: fc.constantFrom(...RESULTS),
    leapSeconds: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.integer({ min: -400, max: 90_000 })),
    after: fc.oneof({ weight: 3, arbitrary: fc.constant('on') }, fc.constantFrom('end', 'kill')),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
      const directory = temporaryDirectory(t);
      let { store, budgets } = await opened(directory);
      let nowMs = FIRST * 300_000 + 123_456;
      const lived = { good: 0, bad: 0, unknown: 0, excluded: 0 };
      let couldLose = 0;
      for (const { slices, result, leapSeconds, after } of steps) {
        nowMs += leapSeconds * 1000;
        budgets.objectives('a', 'gold', held);
        for (let at = 0; at < slices; at += 1) {
          nowMs += 5000;
          budgets.add('a', 'gold', 'cpu.delivered', nowMs, 5, result);
          lived[result] += 5;
          const closed = budgets.advance(nowMs);
          if (closed.length > 0) await store.append(closed);
        }
        if (after === 'on') continue;
        if (after === 'end') await store.append(budgets.advance(nowMs, true));
        else couldLose += 330 + Math.max(0, -leapSeconds);
        await store.close();
        assert.equal(store.error, null);
        ({ store, budgets } = await opened(directory));
        assert.deepEqual(store.damage, []);
      }
      budgets.objectives('a', 'gold', held);
      const [state] = budgets.stateOf('a', nowMs + 1_000_000);
      const [classState] = budgets.classStates(nowMs + 1_000_000);
      await store.close();
      const slack = 3 * steps.length;
      for (const result of ['good', 'bad', 'excluded'] as const) {
        const actual = state?.totals[result] ?? Number.NaN;
        assert.ok(
          actual <= lived[result] + slack && actual >= lived[result] - couldLose - slack,
          `${result} ${actual}`,
        );
        assert.ok(Math.abs((classState?.totals[result] ?? Number.NaN) - actual) <= slack);
      }
    }),
    { numRuns: 40 },
  );
});

test('the longest window that a policy may have is kept whole', async (t) => {
  const directory = temporaryDirectory(t);
  const store = new SloStore(directory);
  await store.open();
  for (let day = 0; day <= 100; day += 1) {
    // At noon.
    await store.append([closedBucket(FIRST + day * 288 + 144, [[A, 300, 0, 0]])]);
  }
  const nowMs = (FIRST + 100 * 288 + 145) * 300_000;
  assert.ok((store.oldestMs ?? nowMs) <= nowMs - KEPT_DAYS * 86_400_000);
  assert.equal(store.error, null);
  await store.close();
  const { budgets, store: again } = await opened(directory);
  const window = { kind: 'rolling', seconds: KEPT_DAYS * 86_400 } as const;
  budgets.objectives(A.uuid, A.className, [{ ...(held[0] as Objective), window }]);
  const good = budgets.stateOf(A.uuid, nowMs)[0]?.totals.good ?? 0;
  assert.ok(Math.abs(good - 91 * 300) <= 300, `${good}`);
  await again.close();
});

test('a bad run goes on through a restart', async (t) => {
  const directory = temporaryDirectory(t);
  let { store, budgets } = await opened(directory);
  let nowMs = FIRST * 300_000;
  const live = async (seconds: number) => {
    budgets.objectives('a', 'gold', held);
    for (let at = 0; at < seconds; at += 5) {
      nowMs += 5000;
      budgets.add('a', 'gold', 'cpu.delivered', nowMs, 5, 'bad');
      await store.append(budgets.advance(nowMs));
    }
  };
  await live(700);
  await store.append(budgets.advance(nowMs, true));
  await store.close();
  nowMs += 20_000;
  ({ store, budgets } = await opened(directory));
  await live(100);
  const [state] = budgets.stateOf('a', nowMs);
  assert.deepEqual(state?.badRuns, [{ fromMs: FIRST * 300_000, toMs: nowMs, badSeconds: 800 }]);
  await store.close();
});
