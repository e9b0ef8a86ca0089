import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Contention } from '../../src/reconcile/contested.js';

test('an adversary who rewrites every 100 ms for 10 minutes gets at most 20 answers, and an alarm within a minute', () => {
  const contention = new Contention();
  let repairs = 0;
  let alarmAt: number | null = null;
  for (let nowMs = 0; nowMs < 600_000; nowMs += 100) {
    if (!contention.mayWrite('u', 'k', nowMs)) continue;
    repairs++;
    if (contention.repaired('u', 'k', nowMs)) alarmAt ??= nowMs;
  }
  assert.ok(repairs >= 5 && repairs <= 20, `${repairs} repairs`);
  assert.ok(alarmAt !== null && alarmAt <= 60_000, `alarm at ${alarmAt}`);
  assert.equal(contention.isContested('u', 'k', 600_000), true);
});

test('four repairs in ten minutes are no contest, and a knob that holds for long is free again', () => {
  const contention = new Contention();
  for (const atMs of [0, 1000, 2000, 3000]) assert.equal(contention.repaired('u', 'k', atMs), false);
  assert.equal(contention.mayWrite('u', 'k', 3001), true);
  assert.equal(contention.repaired('u', 'k', 700_000), false, 'the old repairs are out of the window');
  for (const atMs of [701_000, 702_000, 703_000, 704_000]) contention.repaired('u', 'k', atMs);
  assert.equal(contention.isContested('u', 'k', 704_001), true);
  assert.equal(contention.isContested('u', 'k', 704_000 + 600_001), false);
  assert.equal(contention.mayWrite('u', 'k', 704_000 + 600_001), true);
});

test('failures are tried again ever more seldom, one knob apart from another', () => {
  const contention = new Contention();
  const waits: number[] = [];
  let nowMs = 0;
  for (let attempt = 0; attempt < 4; attempt++) {
    contention.failed('u', 'k', nowMs);
    let until = nowMs;
    while (!contention.mayWrite('u', 'k', until)) until += 1000;
    waits.push(until - nowMs);
    nowMs = until;
  }
  assert.deepEqual(waits, [5000, 10_000, 20_000, 40_000]);
  assert.equal(contention.mayWrite('u', 'other', 0), true);
  contention.applied('u', 'k');
  contention.failed('u', 'k', nowMs);
  assert.equal(contention.mayWrite('u', 'k', nowMs + 5000), true);
});

test('what failed is said until it can be set, and another value need not wait for it', () => {
  const contention = new Contention();
  contention.failed('u', 'k', 0, { text: 'a', message: 'EINVAL' });
  assert.equal(contention.failure('u', 'k'), 'EINVAL');
  assert.equal(contention.mayWrite('u', 'k', 1, 'a'), false);
  assert.equal(contention.mayWrite('u', 'k', 1, 'b'), true, 'the policy was put right');
  contention.failed('u', 'k', 1, { text: 'b', message: 'EBUSY' });
  assert.equal(contention.mayWrite('u', 'k', 5_000, 'b'), false);
  assert.equal(contention.mayWrite('u', 'k', 5_001, 'b'), true, 'its first failure is no second of the other');
  contention.applied('u', 'k');
  assert.equal(contention.failure('u', 'k'), null);
});

test('a contested knob waits whatever is to be written', () => {
  const contention = new Contention();
  for (const atMs of [0, 1, 2, 3, 4]) contention.repaired('u', 'k', atMs);
  contention.failed('u', 'k', 4, { text: 'a', message: 'EIO' });
  assert.equal(contention.mayWrite('u', 'k', 5, 'b'), false);
});
