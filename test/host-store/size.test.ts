/** How large the store is, and what reading it back holds up. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { SloStore } from '../../src/host/slo-store/store.js';
import { Budgets } from '../../src/slo/budgets.js';
import { closedBucket, keys, temporaryDirectory } from './store-bench.js';

const KEYS = keys(600, ['cpu.delivered', 'cpu.wait', 'disk.latency', 'svirt.compliant', 'available']);
const FIRST = 20_730 * 288;
const LIMIT_BYTES = 200 * 1024 * 1024;

describe('600 guests with five objectives each', () => {
  for (const [what, days, badSeconds] of [
    ['of which one in twenty had a bad bucket', 3, (at: number, i: number) => ((at * 31 + i * 17) % 20 === 0 ? 5 : 0)],
    [
      'of which each was bad for another time in each bucket',
      2,
      (at: number, i: number) => (at * 7919 + i * 104_729) % 301,
    ],
  ] as const) {
    test(`${what}: ninety days fit 200 MiB`, async (t) => {
      const directory = temporaryDirectory(t);
      const store = new SloStore(directory);
      await store.open();
      for (let at = 0; at < days * 288; at += 1) {
        const bucket = FIRST + at;
        const entries = KEYS.map((key, i) => [key, 300 - badSeconds(at, i), badSeconds(at, i), 0] as const);
        const runs = KEYS.slice(0, 64).map((key) => ({
          key,
          fromMs: bucket * 300_000,
          toMs: bucket * 300_000 + 5000,
          badSeconds: 5,
        }));
        await store.append([closedBucket(bucket, entries, runs)]);
      }
      assert.equal(store.error, null);
      const aDay = store.bytes / days;
      await store.close();

      const again = new SloStore(directory);
      await again.open();
      const budgets = new Budgets();
      let [longest, last, reading] = [0, busyMs(), true];
      const beat = (): void => {
        longest = Math.max(longest, busyMs() - last);
        last = busyMs();
        if (reading) setImmediate(beat);
      };
      setImmediate(beat);
      const started = performance.now();
      await budgets.restore(again);
      const took = performance.now() - started;
      reading = false;
      await again.close();
      t.diagnostic(
        `${(aDay / KEYS.length / 288).toFixed(2)} bytes a bucket, ${((aDay * 90) / 2 ** 20).toFixed(1)} MiB for 90 days; ` +
          `read back in ${(took / days).toFixed(0)} ms a day, longest stall ${longest.toFixed(0)} ms`,
      );
      assert.ok(aDay * 90 < LIMIT_BYTES);
      // Some 10 ms, and what the garbage of this test adds.
      assert.ok(longest < 40, `${longest} ms`);
    });
  }
});

/** Run time of this thread where the kernel tells: the neighbours of a test are no stall of ours. */
function busyMs(): number {
  const file = '/proc/self/schedstat';
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split(' ')[0]) / 1e6 : performance.now();
}
