import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountMemory, type MemoryCounts, type MemoryReading } from '../../src/signals/memory.js';

const LEVELS = { usedBytes: 1000, peakBytes: 2000, anonBytes: 600, fileBytes: 300, sharedBytes: 0, swapBytes: null };
const COUNTS: MemoryCounts = {
  reclaimedBytes: 4096,
  refaultedBytes: 0,
  majorFaults: 3,
  highEvents: null,
  limitEvents: 0,
  oomKills: 0,
};

function reading(atMonotonicMs: number, counts: Partial<MemoryCounts> = {}): MemoryReading {
  return { atMonotonicMs, levels: LEVELS, counts: { ...COUNTS, ...counts } };
}

test('levels are as read, counters from the start of the group, rates from the second reading on', () => {
  const first = accountMemory(null, reading(1000));
  assert.deepEqual(first.signals, { ...LEVELS, ...COUNTS, rates: null });
  const { signals } = accountMemory(first, reading(6000, { reclaimedBytes: 4096 + 40_960, majorFaults: 13 }));
  assert.equal(signals.reclaimedBytes, 45_056);
  assert.deepEqual(signals.rates, {
    reclaimedBytesPerSecond: 8192,
    refaultedBytesPerSecond: 0,
    majorFaultsPerSecond: 2,
  });
});

test('a reading at the same moment changes nothing', () => {
  const first = accountMemory(null, reading(1000));
  assert.equal(accountMemory(first, reading(1000, { majorFaults: 9 })), first);
});

test('what the host does not count stays null, in counters and rates', () => {
  const v1 = { reclaimedBytes: null };
  const { signals } = accountMemory(accountMemory(null, reading(0, v1)), reading(5000, v1));
  assert.equal(signals.reclaimedBytes, null);
  assert.equal(signals.highEvents, null);
  assert.equal(signals.rates?.reclaimedBytesPerSecond, null);
  assert.equal(signals.rates?.majorFaultsPerSecond, 0);
});

test('a counter that someone reset never goes back', () => {
  const before = accountMemory(null, reading(0, { limitEvents: 50 }));
  const reset = accountMemory(before, reading(5000, { limitEvents: 0 }));
  assert.equal(reset.signals.limitEvents, 50);
  assert.equal(reset.signals.rates, null);
  assert.equal(accountMemory(reset, reading(10_000, { limitEvents: 2 })).signals.limitEvents, 52);
});
