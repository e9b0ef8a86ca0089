import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LibvirtEvent, TuneCall } from '../../src/host/libvirt/client.js';
import { FakeLibvirt } from '../fakes/fake-libvirt.js';
import { clientContract, MAC } from './client-contract.js';

const PAIR = { fields: { total_iops_sec: 500 }, group: 'pair' };

clientContract('the libvirt in memory is a libvirt client', () => {
  const client = new FakeLibvirt();
  const name = 'fake-1';
  const uuid = client.define({
    name,
    vcpus: 2,
    cputune: { shares: 512, vcpuQuotaUsec: 50_000 },
    disks: [
      { target: 'vda' },
      { target: 'vdb', throttle: PAIR },
      { target: 'vdc', throttle: PAIR },
      { target: 'hdc', device: 'cdrom', path: null, readOnly: true },
    ],
    interfaces: [
      { mac: MAC[0], type: 'ethernet', inbound: { averageKbytes: 1000 } },
      { mac: MAC[1], type: 'user' },
    ],
    hardware: { memoryBytes: 16 * 1024 ** 2 },
    metadata: [{ name: 'app:role', attributes: { 'xmlns:app': 'urn:x', name: 'db' }, text: '', children: [] }],
  });
  client.startDomain(uuid);
  return {
    client,
    uuid,
    name,
    startGuest: () => void client.startDomain(uuid),
    stopGuest: () => client.stopDomain(uuid),
    suspendGuest: () => client.setState(uuid, 'paused'),
    resumeGuest: () => client.setState(uuid, 'running'),
    schedinfo: (parameters) => client.schedinfo(uuid, parameters),
    blkdeviotune: (disk, field, value) =>
      client.virsh(uuid, [{ call: 'throttle', disk, throttle: { fields: { [field]: value }, group: null } }]),
    plugDisk: (target) => client.attachDisk(uuid, { target }),
    unplugDisk: (target) => client.detachDisk(uuid, target),
    plugInterface: (mac) => client.attachInterface(uuid, { mac, type: 'user' }),
    unplugInterface: (mac) => client.detachInterface(uuid, mac),
    originals: async () => client.originalsXml(uuid),
  };
});

describe('faults of the libvirt in memory', () => {
  async function started(options: ConstructorParameters<typeof FakeLibvirt>[0] = {}) {
    const fake = new FakeLibvirt(options);
    const events: LibvirtEvent[] = [];
    fake.onEvent((event) => events.push(event));
    const uuid = fake.define({ name: 'db-1' });
    const id = fake.startDomain(uuid);
    await fake.start(new AbortController().signal);
    return { fake, uuid, id, events };
  }

  it('hangs, quarantines and recovers', async () => {
    const { fake, uuid, events } = await started({ deadlineMs: 1 });
    fake.hang(uuid);
    assert.equal(failureOf(await fake.facts(uuid)), 'timeout');
    assert.equal(failureOf(await fake.facts(uuid)), 'quarantined');
    assert.deepEqual(fake.status().quarantined, [uuid]);
    assert.equal((await fake.list()).ok, true);
    fake.recover(uuid);
    assert.deepEqual(events.at(-1), { kind: 'recovered', uuid });
    assert.equal((await fake.facts(uuid)).ok, true);
  });

  it('refuses', async () => {
    const { fake, uuid, id } = await started();
    fake.refuse(uuid, 'no');
    const outcome = await fake.tune(uuid, id, [quota(1n)]);
    assert.deepEqual(outcome, { ok: false, failure: 'refused', message: 'no' });
    assert.deepEqual(await fake.disks(uuid, id), outcome);
    fake.refuse(uuid, null);
    assert.equal((await fake.facts(uuid)).ok, true);
  });

  it('disconnects, comes back, and may show no domain at first', async () => {
    const { fake, uuid, events } = await started();
    const underWay = fake.facts(uuid);
    fake.disconnect('killed');
    assert.equal(failureOf(await underWay), 'disconnected');
    assert.equal(failureOf(await fake.list()), 'disconnected');
    assert.deepEqual(events.at(-1), { kind: 'disconnected', reason: 'killed' });
    assert.equal(fake.status().connected, false);
    fake.reconnect({ emptyLists: 1 });
    assert.deepEqual(events.at(-1), { kind: 'connected' });
    assert.equal(fake.status().reconnects, 1);
    assert.deepEqual(await fake.list(), { ok: true, value: [] });
    const list = await fake.list();
    assert.equal(list.ok && list.value.length, 1);
  });

  it('is not there at first, or never', async () => {
    const late = new FakeLibvirt();
    late.disconnect('no socket');
    await late.start(new AbortController().signal);
    assert.equal(late.status().connected, false);
    late.reconnect();
    assert.equal(late.status().connected, true);
    const never = new FakeLibvirt({ uri: null });
    await never.start(new AbortController().signal);
    assert.deepEqual([never.status().connected, never.status().uri], [false, null]);
  });

  it('does to the kernel what it is told to', async () => {
    const written: [string, readonly TuneCall[]][] = [];
    const { fake, uuid, id } = await started({ onTune: (...args) => written.push(args) });
    await fake.tune(uuid, id, [quota(5000n), { call: 'pin', vcpu: 5, cpus: [0] }]);
    fake.schedinfo(uuid, { cpu_shares: 7n });
    assert.deepEqual(written, [
      [uuid, [quota(5000n)]],
      [uuid, [{ call: 'scheduler', parameters: { cpu_shares: 7n } }]],
    ]);
    assert.throws(() => fake.virsh(uuid, [{ call: 'pin', vcpu: 5, cpus: [0] }]), /out of range/);
    assert.deepEqual(
      fake.calls.map(({ op }) => op),
      ['tune'],
      'what someone else does is no call of ours',
    );
  });

  it('shows what QEMU was told behind libvirt’s back, and counts what it is told to', async () => {
    const fake = new FakeLibvirt();
    const uuid = fake.define({ name: 'db-1', disks: [{ target: 'vda' }, { target: 'vdb', sourceType: 'vhostuser' }] });
    const id = fake.startDomain(uuid);
    await fake.start(new AbortController().signal);
    const limited = { fields: { total_iops_sec: 9 }, group: null };
    fake.throttleBehindLibvirt(uuid, 'vda', limited);
    fake.setCounters(uuid, 'vda', { readRequests: 5n });
    const outcome = await fake.disks(uuid, id);
    assert.ok(outcome.ok);
    assert.deepEqual(outcome.value[0]?.throttle, limited);
    assert.equal(outcome.value[0]?.counters?.readRequests, 5n);
    assert.deepEqual([outcome.value[1]?.throttle, outcome.value[1]?.counters], [null, null]);
    assert.deepEqual(fake.tuning(uuid).disks[0]?.throttle.fields, {});
    fake.occupy(uuid, true);
    const busy = await fake.disks(uuid, id);
    assert.equal(busy.ok ? null : busy.failure, 'refused');
    fake.occupy(uuid, false);
    await fake.tune(uuid, id, [{ call: 'throttle', disk: 'vda', throttle: { fields: {}, group: null } }]);
    const after = await fake.disks(uuid, id);
    assert.deepEqual(after.ok && after.value[0]?.throttle?.fields, {});
  });

  it('tunes block devices of the host', async () => {
    const { fake, uuid } = await started();
    fake.virsh(uuid, [
      { call: 'blkio', parameters: { weight: 200, device_read_iops_sec: '/dev/sda,5,/dev/sdb,6' } },
      { call: 'blkio', parameters: { device_read_iops_sec: '/dev/sda,0', device_weight: '/dev/sdb,300' } },
    ]);
    assert.deepEqual(fake.tuning(uuid).blkio, {
      weight: 200,
      devices: [{ path: '/dev/sdb', readOperationsPerSecond: 6, weight: 300 }],
    });
  });
});

function quota(vcpu_quota: bigint): TuneCall {
  return { call: 'scheduler', parameters: { vcpu_quota } };
}

function failureOf(outcome: { ok: boolean; failure?: string }): string | undefined {
  return outcome.ok ? 'ok' : outcome.failure;
}
