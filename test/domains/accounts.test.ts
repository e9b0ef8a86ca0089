/** What guests use, from an emulated kernel and QEMU's answers: kept as long as the instance lives, and what cannot be read now. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import type { DomainSnapshot } from '../../src/snapshot/types.js';
import { EmulatedBench } from '../reconcile/emulated-bench.js';

let at: EmulatedBench;
afterEach(() => at.remove());

const signals = (uuid: string): DomainSnapshot =>
  at.core.parts.picture.domains().find((one) => one.uuid === uuid) ?? assert.fail('no picture');
const MIB = 1024n ** 2n;

for (const layout of ['v1', 'v2-nested', 'v2-no-systemd'] as const) {
  test(`memory of every layout: ${layout}`, async () => {
    at = new EmulatedBench(layout);
    const uuid = at.addGuest({ name: 'db-1' });
    const group = at.kernel.group(at.directory(uuid, 'memory'));
    group.pinnedBytes = 300n * MIB;
    group.reclaimableBytes = 50n * MIB;
    await at.boot();
    await at.cycles(1);
    const { memory } = signals(uuid);
    assert.deepEqual(
      [memory?.usedBytes, memory?.anonBytes, memory?.fileBytes],
      [350, 300, 50].map((mib) => mib * 1024 ** 2),
    );
    group.pinnedBytes = 100n * MIB;
    await at.cycles(1);
    assert.deepEqual(
      [signals(uuid).memory?.usedBytes, signals(uuid).memory?.peakBytes],
      [150, 350].map((mib) => mib * 1024 ** 2),
    );
  });
}

describe('disks', () => {
  test('in rounds, with rates over the round; the last answer stands while QEMU does not answer', async () => {
    at = new EmulatedBench('v2-nested');
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }] });
    at.libvirt.setCounters(uuid, 'vda', { readRequests: 1000n, readBytes: 4_096_000n });
    await at.boot();
    await at.cycles(2);
    const first = signals(uuid).disks[0];
    assert.equal(first?.counters.readRequests, 1000);
    assert.equal(first?.rates, null);
    at.libvirt.setCounters(uuid, 'vda', { readRequests: 7000n });
    await at.cycles(12);
    const second = signals(uuid).disks[0];
    assert.equal(second?.counters.readRequests, 7000);
    const over = second?.rates?.overSeconds ?? 0;
    assert.ok(over >= 45 && over <= 60, `${over} s`);
    assert.equal(Math.round((second?.rates?.readIops ?? 0) * over), 6000);
    at.libvirt.hang(uuid);
    at.libvirt.setCounters(uuid, 'vda', { readRequests: 9000n });
    await at.cycles(30);
    assert.deepEqual(signals(uuid).disks[0], second);
    at.libvirt.recover(uuid);
    await at.cycles(13);
    assert.equal(signals(uuid).disks[0]?.counters.readRequests, 9000);
  });

  test('one that is unplugged is not shown; plugged in again, its counters go on and never fall', async () => {
    at = new EmulatedBench('v2-nested');
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }, { target: 'vdb' }] });
    at.libvirt.setCounters(uuid, 'vdb', { writeRequests: 500n });
    await at.boot();
    await at.cycles(13);
    assert.deepEqual(
      signals(uuid).disks.map(({ target }) => target),
      ['vda', 'vdb'],
    );
    at.libvirt.detachDisk(uuid, 'vdb');
    await at.cycles(13);
    assert.deepEqual(
      signals(uuid).disks.map(({ target }) => target),
      ['vda'],
    );
    at.libvirt.attachDisk(uuid, { target: 'vdb' });
    at.libvirt.setCounters(uuid, 'vdb', { writeRequests: 20n });
    await at.cycles(13);
    const again = signals(uuid).disks.find(({ target }) => target === 'vdb');
    assert.ok((again?.counters.writeRequests ?? 0) >= 500);
  });
});

test('of a guest that was started anew nothing is left of the old instance', async () => {
  at = new EmulatedBench('v2-nested');
  const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }] });
  at.kernel.group(at.directory(uuid, 'memory')).pinnedBytes = 300n * MIB;
  at.libvirt.setCounters(uuid, 'vda', { readRequests: 1000n });
  await at.boot();
  await at.cycles(13);
  at.stopGuest(uuid);
  await at.cycles(1);
  const off = signals(uuid);
  assert.deepEqual([off.cpu, off.memory, off.disks, off.interfaces, off.pressure], [null, null, [], [], null]);
  at.startGuest(uuid, { name: 'db-1' });
  await at.cycles(13);
  assert.equal(signals(uuid).memory?.usedBytes, 0);
  assert.equal(signals(uuid).disks[0]?.counters.readRequests, 0);
});

test('what cannot be read now stays as it was, and keeps no other guest from being read', async () => {
  at = new EmulatedBench('v2-nested');
  const [one, other] = [at.addGuest({ name: 'db-1' }), at.addGuest({ name: 'db-2' })];
  for (const uuid of [one, other]) at.kernel.group(at.directory(uuid, 'memory')).pinnedBytes = 100n * MIB;
  await at.boot();
  await at.cycles(1);
  const file = new RegExp(
    `^${join(at.directory(one, 'memory'), 'memory.current').replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}$`,
  );
  const end = at.kernel.fault({ file, operation: 'read', errno: 'EIO' });
  for (const uuid of [one, other]) at.kernel.group(at.directory(uuid, 'memory')).pinnedBytes = 200n * MIB;
  await at.cycles(3);
  assert.deepEqual(
    [one, other].map((uuid) => (signals(uuid).memory?.usedBytes ?? 0) / 1024 ** 2),
    [100, 200],
  );
  end();
  await at.cycles(1);
  assert.equal((signals(one).memory?.usedBytes ?? 0) / 1024 ** 2, 200);
});

test('without PSI there is no pressure, with it the guest’s own', async () => {
  at = new EmulatedBench('v2-nested');
  const uuid = at.addGuest({ name: 'db-1' });
  await at.boot();
  await at.cycles(1);
  assert.equal(signals(uuid).pressure, null);
  assert.equal(at.core.guests.accounts.hostPressure, null);
  const calm = 'some avg10=0.00 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0';
  for (const resource of ['cpu', 'memory', 'io']) at.tree.write(join(at.tree.proc, 'pressure', resource), calm);
  await at.cycles(2);
  assert.notEqual(at.core.guests.accounts.hostPressure, null);
  assert.notEqual(signals(uuid).pressure, null);
});
