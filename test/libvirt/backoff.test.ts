import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createBackoff } from '../../src/host/libvirt/backoff.js';

function backoff(random: number) {
  return createBackoff({ firstMs: 500, mostMs: 15_000, steadyMs: 10_000, random: () => random });
}

it('doubles from the first to the longest wait', () => {
  const { next } = backoff(0.999_999);
  const waits = Array.from({ length: 8 }, () => next(0));
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
});

it('waits at least half of a step', () => {
  const { next } = backoff(0);
  assert.deepEqual([next(0), next(0)], [250, 500]);
});

it('starts over after a connection that held, and not after one that did not', () => {
  const waits = backoff(0.999_999);
  for (let i = 0; i < 4; i++) waits.next(0);
  waits.connected(100_000);
  assert.equal(waits.next(109_999), 8000);
  waits.connected(200_000);
  assert.equal(waits.next(210_000), 500);
  assert.equal(waits.next(400_000), 1000, 'a failed attempt is no connection that held');
});
