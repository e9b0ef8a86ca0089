/** What releases a guest and what must not: originals go back when they should, and at no other time. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Bench, NO_REAL_GROUPS, pause } from './faults-bench.js';

describe('leaving', { skip: NO_REAL_GROUPS }, () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench('real');
  });
  afterEach(() => bench.remove());

  test('apply, then release, puts everything back, libvirt and metadata included', async () => {
    const uuid = bench.addGuest({ name: 'db-1', vcpus: 2 });
    bench.setClass('limit: 20%, weight: 50');
    const core = await bench.boot();
    await bench.settle();
    assert.equal(bench.quota(uuid), '20000');
    assert.equal(bench.quota(uuid, 1), '20000');
    assert.equal(bench.weight(uuid), '512');
    assert.equal(bench.libvirt.cputune(uuid).vcpuQuotaUsec, 20_000);
    await core.operator.release({ domain: 'db-1' });
    await bench.settle();
    assert.equal(bench.quota(uuid), '-1');
    assert.equal(bench.weight(uuid), '1024');
    assert.equal(bench.libvirt.cputune(uuid).vcpuQuotaUsec, -1);
    assert.equal(bench.libvirt.originalsXml(uuid), null);
    assert.equal(core.parts.journal.uuids().size, 0);
  });

  test('a restart at which libvirt cannot describe the guest releases nothing', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    await bench.boot();
    await bench.settle();
    bench.libvirt.refuse(uuid, 'Timed out during operation: cannot acquire state change lock');
    await bench.boot();
    await bench.settle();
    assert.equal(bench.quota(uuid), '20000');
  });

  test('a libvirtd that goes away between the list and the description of guests releases nothing', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    await bench.boot();
    await bench.settle();
    const list = bench.libvirt.list.bind(bench.libvirt);
    bench.libvirt.list = async () => {
      const listed = await list();
      bench.libvirt.disconnect('killed');
      return listed;
    };
    await bench.boot();
    await bench.settle();
    assert.equal(bench.quota(uuid), '20000');
  });

  test('an empty list after a reconnect releases nothing', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    await bench.boot();
    await bench.settle();
    bench.libvirt.disconnect('restarted');
    bench.libvirt.reconnect({ emptyLists: 3 });
    await bench.settle();
    assert.equal(bench.quota(uuid), '20000');
  });

  test('a restart with no policy in force, neither files nor the accepted copy, releases nothing', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    await bench.boot();
    await bench.settle();
    const { rmSync } = await import('node:fs');
    rmSync(`${bench.stateDir}/accepted-policy.json`);
    bench.policy = 'version: 1\nclasses: [';
    const core = await bench.boot();
    await bench.settle();
    assert.equal(core.parts.generations.active, null);
    assert.equal(bench.quota(uuid), '20000');
  });

  test('a guest outside the manage filter is not touched, whatever its metadata says', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    await bench.boot();
    await bench.settle();
    assert.notEqual(bench.libvirt.originalsXml(uuid), null);
    const { rmSync } = await import('node:fs');
    rmSync(`${bench.stateDir}/journal`);
    await bench.boot({ manageNames: ['another'] });
    await bench.settle();
    assert.equal(bench.quota(uuid), '20000');
    assert.notEqual(bench.libvirt.originalsXml(uuid), null, 'the originals that travel with it are not ours to remove');
  });

  test('released while libvirt is being told: the late call does not win', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    bench.libvirt.setLatency(60);
    const core = await bench.boot();
    assert.equal(bench.quota(uuid), '20000');
    assert.equal(core.parts.teller.busy(uuid, 'cpu.limit'), true);
    await core.operator.release({ domain: 'db-1' });
    bench.libvirt.setLatency(0);
    await bench.settle();
    await bench.settle();
    assert.equal(bench.quota(uuid), '-1');
    assert.equal(bench.libvirt.cputune(uuid).vcpuQuotaUsec ?? -1, -1);
  });

  test('released while a call about the guest hangs: what that call sets when it comes back is undone', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    const core = await bench.boot({ blind: true });
    await core.reconciler.resync();
    bench.libvirt.hang(uuid);
    await core.reconciler.full();
    await core.parts.teller.idle();
    assert.equal(bench.quota(uuid), '20000');
    await core.operator.release({ domain: 'db-1' });
    assert.equal(bench.quota(uuid), '-1');
    // The guest's monitor answers again: libvirt ends the call that was made minutes ago.
    bench.libvirt.schedinfo(uuid, { vcpu_quota: 20_000n });
    bench.libvirt.recover(uuid);
    for (let minute = 0; minute < 3; minute++) {
      bench.aheadMs += 400_000;
      await bench.settle();
    }
    assert.equal(bench.quota(uuid), '-1');
  });

  test('release does not overwrite a foreign value, not through libvirt either', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    await bench.boot();
    await bench.settle();
    await bench.kill();
    bench.setQuota(uuid, 33_000);
    const core = await bench.boot({ blind: true });
    await core.parts.inventory.resync();
    await core.operator.release({ domain: 'db-1' });
    await bench.settle();
    assert.equal(bench.quota(uuid), '33000');
  });

  test('one foreign vCPU does not get its siblings’ original through libvirt', async () => {
    const uuid = bench.addGuest({ name: 'db-1', vcpus: 2 });
    bench.setClass('limit: 20%');
    await bench.boot();
    await bench.settle();
    await bench.kill();
    bench.setQuota(uuid, 33_000, 1);
    const core = await bench.boot({ blind: true });
    await core.parts.inventory.resync();
    await core.operator.release({ domain: 'db-1' });
    await bench.settle();
    assert.equal(bench.quota(uuid, 0), '-1');
    assert.equal(bench.quota(uuid, 1), '33000');
  });

  test('release or hold without a daemon touches no other guest', async () => {
    bench.addGuest({ name: 'db-1' });
    const other = bench.addGuest({ name: 'db-2' });
    bench.setClass('limit: 20%');
    await bench.boot();
    await bench.settle();
    await bench.kill();
    // The daemon was stopped on purpose, and db-2 given more by hand.
    bench.setQuota(other, 70_000);
    // As openLocal does it.
    const core = await bench.boot({ blind: true });
    await core.reconciler.resync();
    await core.operator.release({ domain: 'db-1' });
    await core.parts.teller.idle();
    await pause(30);
    assert.equal(bench.quota(other), '70000');
  });

  test('release is not kept waiting by a knob that is backed off', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    const core = await bench.boot();
    await bench.settle();
    for (let fight = 0; fight < 5; fight++) {
      bench.setQuota(uuid, 30_000 + fight);
      await core.reconciler.full();
    }
    assert.equal(bench.quota(uuid), '20000');
    await core.operator.release({ domain: 'db-1' });
    await bench.settle();
    assert.equal(bench.quota(uuid), '-1');
  });

  test('a guest that comes back by migration with newer originals than our old record is still restored', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    await bench.boot();
    await bench.settle();
    await bench.kill();
    // Away and back: the other host's daemon held it at 60 % and its element travelled with it.
    const xml = bench.libvirt.originalsXml(uuid)?.replaceAll('20000 100000', '60000 100000') ?? null;
    bench.libvirt.stopDomain(uuid);
    bench.startGuest(uuid, { name: 'db-1' });
    bench.libvirt.schedinfo(uuid, { vcpu_quota: 60_000n });
    await bench.libvirt.start(new AbortController().signal);
    await bench.libvirt.setOriginals(uuid, bench.libvirt.id(uuid) ?? 0, xml);
    assert.equal(bench.quota(uuid), '60000');
    bench.setClass(null);
    const core = await bench.boot();
    const { generations } = core.parts;
    assert.notEqual(generations.active, null);
    await bench.settle();
    await bench.settle();
    assert.equal(bench.quota(uuid), '-1');
  });

  test('a held guest keeps what stands through policy edits and restarts, and what was queued for it is not sent', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%, weight: 50');
    bench.libvirt.setLatency(60);
    const core = await bench.boot();
    await pause(10);
    const before = bench.libvirt.calls.filter(({ op }) => op.startsWith('set')).length;
    await core.operator.hold({ domain: 'db-1' }, null);
    await core.parts.teller.idle();
    const after = bench.libvirt.calls.filter(({ op }) => op.startsWith('set')).length;
    assert.equal(after - before, 0, 'errands that had not begun were sent to a held guest');
    bench.libvirt.setLatency(0);
    bench.setQuota(uuid, 44_000);
    bench.setClass('limit: 70%');
    await bench.boot();
    await bench.settle();
    assert.equal(bench.quota(uuid), '44000');
  });
});

describe('a key that leaves the class and comes back', () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench('files');
  });
  afterEach(() => bench.remove());

  test('is nobody’s doing: no drift is told of what libvirt sets again', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('weight: 50, limit: 20%');
    const core = await bench.boot();
    await bench.settle();
    for (const [cpu, weight] of [
      ['limit: 20%', '100'],
      ['weight: 50, limit: 20%', '50'],
    ] as const) {
      bench.setClass(cpu);
      await core.parts.generations.reload();
      await core.reconciler.tick();
      await bench.settle();
      assert.equal(bench.weight(uuid), weight);
    }
    await pause(400);
    assert.deepEqual(
      core.log.filter(({ event }) => event === 'control.drift'),
      [],
    );
  });
});
