/** host.io-cost in the whole core: a weight counts within a cycle, and all is as it was after a release. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { fakeDisk } from '../../fakes/fake-tuning.js';
import type { LayoutName } from '../../fixtures/host-tree.js';
import { EmulatedBench } from '../emulated-bench.js';

const ASKS = 'disk: { weight: 400, iocost: true }';

let bench: EmulatedBench;
afterEach(() => bench.remove());

function hostOf(layout: LayoutName): string {
  bench = new EmulatedBench(layout);
  bench.disks.weightsKeptBy = null;
  return bench.addGuest({ name: 'db-1', vcpus: 1, disks: [fakeDisk({ target: 'vda' })] });
}
const enabled = (): boolean => bench.disks.ioCostDevices().has('8:0');
const weight = (uuid: string): string => bench.value(uuid, 'io', 'io.weight', 'scope');

describe('a guest with a weight on a disk that nobody keeps weights on', () => {
  for (const layout of ['v2-nested', 'v2-no-systemd'] as const) {
    test(`${layout}: has it within a cycle after its disks are known, and gives all back`, async () => {
      const uuid = hostOf(layout);
      const before = bench.values();
      bench.setClass(ASKS);
      const core = await bench.boot();
      await core.parts.looked();
      await bench.cycle();
      assert.equal(enabled(), true);
      assert.equal(weight(uuid), 'default 400');
      await bench.settle();
      assert.deepEqual(bench.statuses(uuid), { 'disk.weight': 'holds' });
      assert.deepEqual(bench.control(uuid, 'disk.weight')?.notes, ['kept by iocost']);
      const writes = bench.kernel.writes.length;
      await bench.cycles(3);
      assert.equal(bench.kernel.writes.length, writes, 'written at rest');

      await core.operator.release({ domain: uuid });
      await bench.settle();
      assert.equal(enabled(), false);
      const after = bench.values();
      // The line stays, with the switch off.
      const qos = join(bench.tree.mounts[0]?.root ?? '', 'io.cost.qos');
      assert.match(after.get(qos) ?? '', /^8:0 enable=0 ctrl=auto /);
      assert.deepEqual(
        [...after].filter(([path]) => path !== qos),
        [...before].filter(([path]) => path !== qos),
      );
      assert.equal(core.parts.journal.uuids().size, 0);

      await core.operator.resume({ domain: uuid });
      await bench.settle();
      assert.deepEqual([enabled(), weight(uuid)], [true, 'default 400']);
    });
  }

  test('kill -9, and nobody asks any more: given back after the restart', async () => {
    const uuid = hostOf('v2-nested');
    bench.setClass(ASKS);
    await bench.boot();
    await bench.settle();
    await bench.settle();
    assert.deepEqual([enabled(), weight(uuid)], [true, 'default 400']);
    await bench.kill();
    bench.setClass(null);
    await bench.boot();
    await bench.settle();
    assert.deepEqual([enabled(), weight(uuid)], [false, 'default 100']);
  });

  test('kill -9 and a restart leave it on all the time', async () => {
    hostOf('v2-nested');
    bench.setClass(ASKS);
    await bench.boot();
    await bench.settle();
    await bench.settle();
    bench.kernel.writes.length = 0;
    await bench.boot();
    await bench.settle();
    await bench.cycles(2);
    assert.deepEqual(bench.kernel.writes, []);
    assert.equal(enabled(), true);
  });

  test('observe mode plans it and writes nothing', async () => {
    const uuid = hostOf('v2-nested');
    bench.mode = 'observe';
    bench.setClass(ASKS);
    const core = await bench.boot();
    await bench.settle();
    await bench.settle();
    assert.deepEqual(bench.kernel.writes, []);
    assert.deepEqual(
      core.parts.ioCost.changes().map(({ control, to }) => `${control} ${to}`),
      ['host.io-cost enable=1'],
    );
    assert.match(bench.statuses(uuid)['disk.weight'] ?? '', /host\.io-cost has not switched/);
  });

  test('is not helped where its class does not allow it', async () => {
    const uuid = hostOf('v2-nested');
    bench.setClass('disk: { weight: 400 }');
    await bench.boot();
    await bench.settle();
    await bench.settle();
    assert.equal(enabled(), false);
    assert.match(bench.statuses(uuid)['disk.weight'] ?? '', /neither the BFQ scheduler nor the io cost controller/);
  });
});

test('several guests of one disk: it is off when the last of them stops', async () => {
  const uuid = hostOf('v2-nested');
  const other = bench.addGuest({ name: 'db-2', vcpus: 1, disks: [fakeDisk({ target: 'vda' })] });
  bench.setClass(ASKS);
  await bench.boot();
  await bench.settle();
  await bench.settle();
  bench.stopGuest(uuid);
  await bench.cycles(2);
  assert.deepEqual([enabled(), weight(other)], [true, 'default 400']);
  bench.stopGuest(other);
  await bench.cycles(2);
  assert.equal(enabled(), false);
});
