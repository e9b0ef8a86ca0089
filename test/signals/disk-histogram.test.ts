/** Histograms in rounds: rises, gaps, and what began anew. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DiskHistograms } from '../../src/host/libvirt/client.js';
import { accountHistogram, type HistogramAccount, roundHistograms } from '../../src/signals/disk-histogram.js';
import type { DiskSignals } from '../../src/snapshot/signals.js';

const histogram = (bins: readonly number[], boundariesNs: readonly number[] = [1e6, 5e6]) => ({
  boundariesNs,
  bins,
  totalNs: bins.reduce((sum, count) => sum + count, 0) * 1e6,
});
const read = (reads: readonly number[], writes: readonly number[] = [0, 0, 0]): DiskHistograms => {
  return { reads: histogram(reads), writes: histogram(writes), flushes: histogram([7, 7, 7]) };
};
const NONE: DiskHistograms = { reads: null, writes: null, flushes: null };

function after(...readings: readonly (DiskHistograms | undefined)[]): HistogramAccount | null {
  return readings.reduce<HistogramAccount | null>((account, now) => accountHistogram(account, now, false), null);
}

test('a round has what came to each bin, reads and writes together and no flushes', () => {
  assert.equal(after(read([5, 1, 0]))?.signals.round, null);
  const { signals } = after(read([5, 1, 0]), read([9, 1, 2], [3, 0, 0])) ?? assert.fail();
  assert.deepEqual(signals.round, [7, 0, 2]);
  assert.deepEqual(signals.boundsSeconds, [0.001, 0.005]);
  assert.deepEqual(signals.read, { bins: [4, 0, 2], seconds: 0.006 });
  assert.deepEqual(signals.write, { bins: [3, 0, 0], seconds: 0.003 });
});

test('set anew, nothing is added and nothing taken away', () => {
  const { signals } = after(read([5, 0, 0]), read([9, 0, 0]), read([2, 0, 0]), read([3, 0, 0])) ?? assert.fail();
  assert.deepEqual(
    [signals.round, signals.read.bins],
    [
      [1, 0, 0],
      [5, 0, 0],
    ],
  );
  assert.equal(after(read([5, 0, 0]), read([9, 0, 0]), read([2, 0, 0]))?.signals.round, null);
});

test('another disk under the same name is no rise', () => {
  const account = accountHistogram(after(read([5, 0, 0])), read([500, 0, 0]), true);
  assert.deepEqual([account?.signals.round, account?.signals.read.bins], [null, [0, 0, 0]]);
});

test('with other boundaries it begins anew', () => {
  const other = { ...read([0, 0, 0]), reads: histogram([9, 9], [2e6]), writes: histogram([9, 9], [2e6]) };
  const { signals } = after(read([5, 0, 0]), read([9, 0, 0]), other) ?? assert.fail();
  assert.deepEqual([signals.boundsSeconds, signals.round, signals.read.bins], [[0.002], null, [0, 0]]);
});

test('a round that was not read is in the counters, and in no round', () => {
  const { signals } = after(read([5, 0, 0]), undefined, read([9, 0, 0])) ?? assert.fail();
  assert.deepEqual([signals.round, signals.read.bins], [null, [4, 0, 0]]);
  assert.equal(after(read([5, 0, 0]), read([6, 0, 0]), undefined)?.signals.round, null);
});

test('off, never there, or apart for reads and writes: there is none', () => {
  assert.equal(after(undefined), null);
  assert.equal(after(read([5, 0, 0]), NONE), null);
  assert.equal(after({ ...NONE, reads: histogram([1, 2, 3]) }), null);
  assert.equal(after({ ...NONE, reads: histogram([1, 2, 3]), writes: histogram([1, 2], [4]) }), null);
});

test('whatever QEMU says, counters never fall and no round is negative', () => {
  const bins = fc.array(fc.nat(1000), { minLength: 3, maxLength: 3 });
  const reading = fc.oneof(
    fc.constant(undefined),
    fc.tuple(bins, bins).map(([reads, writes]) => read(reads, writes)),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(reading, fc.boolean())), (readings) => {
      let account: HistogramAccount | null = null;
      for (const [now, anew] of readings) {
        const next = accountHistogram(account, now, anew);
        assert.ok((next?.signals.round ?? []).every((count) => count >= 0));
        next?.signals.read.bins.forEach((count, bin) => {
          assert.ok(count >= (account?.signals.read.bins[bin] ?? 0));
        });
        account = next;
      }
    }),
  );
});

test('rounds go to the indicators by disk, the last bin without a bound', () => {
  const signals = after(read([5, 1, 0]), read([9, 1, 2]))?.signals ?? assert.fail();
  const disk = (target: string, one?: typeof signals) => ({ target, ...(one && { histogram: one }) }) as DiskSignals;
  assert.deepEqual(
    [...roundHistograms([disk('vda', signals), disk('vdb'), disk('vdc', { ...signals, round: null })])],
    [
      [
        'vda',
        [
          [0.001, 4],
          [0.005, 0],
          [Number.POSITIVE_INFINITY, 2],
        ],
      ],
    ],
  );
});
