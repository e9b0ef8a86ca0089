/** A slice from two looks: deltas, and null for whatever cannot be compared. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { histogramRise, type Look, type SliceTerms, sliceOf } from '../../src/slo/slice.js';
import type { DiskSignals, InterfaceSignals, MemorySignals, PressureSignals } from '../../src/snapshot/signals.js';
import { someCpu } from './some-slices.js';

const TERMS: SliceTerms = {
  meantToRun: true,
  labelCompliant: null,
  guaranteedBytes: 1000,
  promised: new Map([['vda', { totalIops: 500 }]]),
  promisedSinceMs: null,
  histograms: new Map(),
};

function memory(refaultedBytes: number | null, rate: number | null = 0): MemorySignals {
  return {
    usedBytes: 800,
    peakBytes: null,
    anonBytes: null,
    fileBytes: null,
    sharedBytes: null,
    swapBytes: 20,
    reclaimedBytes: null,
    refaultedBytes,
    majorFaults: null,
    highEvents: null,
    limitEvents: null,
    oomKills: null,
    rates: { reclaimedBytesPerSecond: null, refaultedBytesPerSecond: rate, majorFaultsPerSecond: null },
  };
}

function pressure(someSeconds: number, someShare: number | null = 0): PressureSignals {
  return { cpu: null, io: null, memory: { someSeconds, fullSeconds: null, someShare, fullShare: null } };
}

function card(packets: number, dropped: number, known = true): InterfaceSignals {
  const nothing = {
    receivedBytesPerSecond: 0,
    receivedPacketsPerSecond: 0,
    receivedDroppedPerSecond: 0,
    sentBytesPerSecond: 0,
    sentPacketsPerSecond: 0,
    sentDroppedPerSecond: 0,
  };
  const counters = {
    receivedBytes: 0,
    receivedPackets: packets,
    receivedDropped: dropped,
    sentBytes: 0,
    sentPackets: packets,
    sentDropped: dropped,
  };
  return { mac: 'aa', device: 'vnet0', counters, rates: known ? nothing : null };
}

function disk(atMs: number, known = true): DiskSignals {
  const counters = {
    readRequests: 0,
    readBytes: 0,
    readSeconds: 0,
    writeRequests: 0,
    writeBytes: 0,
    writeSeconds: 0,
    flushRequests: 0,
    flushSeconds: 0,
  };
  const rates = {
    overSeconds: 60,
    readIops: 10,
    writeIops: 0,
    flushIops: 7,
    readBytesPerSecond: 4096,
    writeBytesPerSecond: 0,
    readLatencySeconds: 0.002,
    writeLatencySeconds: null,
    flushLatencySeconds: 9,
  };
  return { target: 'vda', atMs, counters, rates: known ? rates : null, limited: false };
}

/** At a second of a day. */
function look(second: number, changes: Partial<Look['signals']> & Partial<Look> = {}): Look {
  const { memory: used = null, disks = [], interfaces = [], pressure: stalls = null, ...rest } = changes;
  return {
    atMonotonicMs: second * 1000,
    atMs: 1e9 + second * 1000,
    state: 'running',
    process: { pid: 7, startTicks: 70n },
    cpu: null,
    signals: { memory: used, disks, interfaces, pressure: stalls },
    ...rest,
  };
}

test('no time between two looks is no slice', () => {
  assert.equal(sliceOf(look(1), look(1), TERMS), null);
  assert.equal(sliceOf(look(2), look(1), TERMS), null);
});

test('what rose between two looks', () => {
  const cpu = someCpu({ usedSeconds: 3 });
  const before = look(0, { memory: memory(100), pressure: pressure(5), interfaces: [card(10, 1)] });
  const now = look(10, {
    cpu,
    memory: memory(130),
    pressure: pressure(5.5),
    interfaces: [card(15, 2)],
    disks: [disk(1e9)],
  });
  assert.deepEqual(sliceOf(before, now, TERMS), {
    seconds: 10,
    state: 'running',
    meantToRun: true,
    labelCompliant: null,
    cpu,
    memory: { guaranteedBytes: 1000, usedBytes: 800, swapBytes: 20, refaultedBytes: 30, waitedSeconds: 0.5 },
    disks: [
      {
        target: 'vda',
        overSeconds: 60,
        read: { requests: 600, bytes: 4096 * 60, requestSeconds: 1.2 },
        write: { requests: 0, bytes: 0, requestSeconds: 0 },
        limited: false,
        histogram: null,
        promised: { totalIops: 500 },
      },
    ],
    interfaces: [{ device: 'vnet0', packets: 10, dropped: 2 }],
  });
});

describe('nothing is told of', () => {
  const full = (second: number) => ({
    cpu: someCpu({}),
    memory: memory(second),
    pressure: pressure(second),
    interfaces: [card(second, 0)],
    disks: [disk(1e9)],
  });
  for (const [name, process] of Object.entries({
    'another process': { pid: 8, startTicks: 71n },
    'a process of the same number': { pid: 7, startTicks: 99n },
    'a guest that is gone': null,
  })) {
    test(name, () => {
      const slice = sliceOf(look(0, full(9)), look(10, { ...full(10), process }), TERMS);
      assert.ok(slice !== null);
      const { cpu, memory, disks, interfaces } = slice;
      assert.deepEqual({ cpu, memory, disks, interfaces }, { cpu: null, memory: null, disks: null, interfaces: null });
    });
  }
  test('figures that were not read again', () => {
    const figures = full(5);
    const slice = sliceOf(look(0, figures), look(10, figures), TERMS);
    assert.equal(slice?.cpu, null);
    assert.equal(slice?.memory, null);
    assert.equal(slice?.interfaces, null);
  });
  test('refaults and stalls without a reading to compare with', () => {
    const slice = sliceOf(look(0), look(10, { memory: memory(100, null), pressure: pressure(5, null) }), TERMS);
    assert.equal(slice?.memory?.usedBytes, 800);
    assert.equal(slice?.memory?.refaultedBytes, null);
    assert.equal(slice?.memory?.waitedSeconds, null);
  });
  test('an interface that is new', () => {
    assert.equal(sliceOf(look(0), look(10, { interfaces: [card(5, 0)] }), TERMS)?.interfaces, null);
    const again = sliceOf(look(0, { interfaces: [card(5, 0)] }), look(10, { interfaces: [card(5, 0, false)] }), TERMS);
    assert.equal(again?.interfaces, null);
  });
  test('packets of a guest that stood still for a part', () => {
    const slice = sliceOf(
      look(0, { state: 'paused', interfaces: [card(5, 0)] }),
      look(10, { interfaces: [card(5, 9)] }),
      TERMS,
    );
    assert.equal(slice?.interfaces, null);
  });
});

describe('rounds of disks', () => {
  const at = (second: number, terms = TERMS, disks = [disk(1e9)]) =>
    sliceOf(look(second - 1), look(second, { disks }), terms)?.disks;
  test('the last one stands until the next is due', () => {
    assert.equal(at(1)?.length, 1);
    assert.equal(at(89)?.length, 1);
    assert.equal(at(91), null);
  });
  test('one without a round leaves all unknown; no disks is none', () => {
    assert.equal(at(1, TERMS, [disk(1e9), disk(1e9, false)]), null);
    assert.deepEqual(at(1, TERMS, []), []);
  });
  test('a round that began before the promise is not held to it', () => {
    assert.equal(at(1, { ...TERMS, promisedSinceMs: 1e9 - 59_000 }), null);
    assert.equal(at(1, { ...TERMS, promisedSinceMs: 1e9 - 60_000 })?.length, 1);
  });
});

test('histograms: what came to each bucket, or nothing where it began anew', () => {
  assert.deepEqual(
    histogramRise(
      [
        [0.01, 5],
        [Number.POSITIVE_INFINITY, 1],
      ],
      [
        [0.01, 9],
        [Number.POSITIVE_INFINITY, 1],
      ],
    ),
    [
      [0.01, 4],
      [Number.POSITIVE_INFINITY, 0],
    ],
  );
  assert.equal(histogramRise([[0.01, 5]], [[0.01, 4]]), null);
  assert.equal(histogramRise([[0.01, 5]], [[0.02, 9]]), null);
  assert.equal(
    histogramRise(
      [[0.01, 5]],
      [
        [0.01, 5],
        [0.02, 9],
      ],
    ),
    null,
  );
});

test('whatever the counters do, no figure of a slice is negative', () => {
  const count = fc.option(fc.nat(1000));
  fc.assert(
    fc.property(count, count, fc.nat(1000), fc.nat(1000), fc.nat(50), fc.nat(50), (...figures) => {
      const [was, is, packetsWas, packetsIs, stallsWas, stallsIs] = figures;
      const before = look(0, {
        memory: memory(was),
        pressure: pressure(stallsWas),
        interfaces: [card(packetsWas, stallsWas)],
      });
      const now = look(10, {
        memory: memory(is),
        pressure: pressure(stallsIs),
        interfaces: [card(packetsIs, stallsIs)],
      });
      const slice = sliceOf(before, now, TERMS);
      for (const figure of [slice?.memory?.refaultedBytes, slice?.memory?.waitedSeconds]) {
        assert.ok(figure == null || figure >= 0);
      }
      for (const { packets, dropped } of slice?.interfaces ?? []) assert.ok(packets >= 0 && dropped >= 0);
      assert.equal(slice?.interfaces === null, packetsIs < packetsWas || stallsIs < stallsWas);
    }),
  );
});
