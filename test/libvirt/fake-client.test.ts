import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LibvirtEvent, SchedulerParameters } from '../../src/host/libvirt/client.js';
import { FakeLibvirt } from '../fakes/fake-libvirt.js';
import { clientContract } from './client-contract.js';

clientContract('the libvirt in memory is a libvirt client', () => {
  const client = new FakeLibvirt();
  const name = 'fake-1';
  const uuid = client.define({
    name,
    vcpus: 2,
    cputune: { shares: 512, vcpuQuotaUsec: 50_000 },
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
    const outcome = await fake.setScheduler(uuid, id, { vcpu_quota: 1n });
    assert.deepEqual(outcome, { ok: false, failure: 'refused', message: 'no' });
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
    const written: [string, SchedulerParameters][] = [];
    const { fake, uuid, id } = await started({ onScheduler: (...args) => written.push(args) });
    await fake.setScheduler(uuid, id, { vcpu_quota: 5000n });
    fake.schedinfo(uuid, { cpu_shares: 7n });
    assert.deepEqual(written, [
      [uuid, { vcpu_quota: 5000n }],
      [uuid, { cpu_shares: 7n }],
    ]);
    assert.deepEqual(
      fake.calls.map(({ op }) => op),
      ['setScheduler'],
      'what someone else does is no call of ours',
    );
  });
});

function failureOf(outcome: { ok: boolean; failure?: string }): string | undefined {
  return outcome.ok ? 'ok' : outcome.failure;
}
