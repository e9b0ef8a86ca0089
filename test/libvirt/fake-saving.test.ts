import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LibvirtEvent, LibvirtOutcome } from '../../src/host/libvirt/client.js';
import { FakeLibvirt } from '../fakes/fake-libvirt.js';
import { fakeSeclabel } from '../fakes/fake-seclabel.js';

const LABEL = 'system_u:system_r:svirt_t:s0:c100,c200';
const SAVE = { paused: false, abortAfterMs: 5 };
const START = { paused: false, deadlineMs: 5 };

async function started(options: ConstructorParameters<typeof FakeLibvirt>[0] = { selinux: true }) {
  const fake = new FakeLibvirt(options);
  const events: LibvirtEvent[] = [];
  fake.onEvent((event) => events.push(event));
  const uuid = fake.define({ name: 'db-1' });
  const id = fake.startDomain(uuid);
  await fake.start(new AbortController().signal);
  return { fake, uuid, id, events };
}

describe('labels of the libvirt in memory', () => {
  it('are unique, what was asked, or none', async () => {
    const { fake, uuid } = await started();
    const other = fake.define({ name: 'db-2' });
    fake.startDomain(other);
    const label = (of: string) => fake.seclabels(of)[0]?.label;
    assert.deepEqual(
      [label(uuid), label(other)],
      ['c0,c1', 'c2,c3'].map((pair) => `system_u:system_r:svirt_t:s0:${pair}`),
    );
    const fixed = fake.define({ name: 'db-3', seclabels: [fakeSeclabel({ label: LABEL })] });
    const bare = fake.define({ name: 'db-4', seclabels: [fakeSeclabel({ type: 'none', relabel: false })] });
    const typed = fake.define({ name: 'db-5', seclabels: [fakeSeclabel({ baselabel: 'u:r:my_t:s0' })] });
    for (const each of [fixed, bare, typed]) fake.startDomain(each);
    assert.deepEqual([label(fixed), label(bare), label(typed)], [LABEL, null, 'u:r:my_t:s0:c4,c5']);
    const without = await started({});
    assert.deepEqual(without.fake.seclabels(without.uuid), []);
  });

  it('change with the image that is restored, and with the next start', async () => {
    const { fake, uuid, id } = await started();
    assert.equal(kind(await fake.managedSave(uuid, id, SAVE)), 'ok');
    assert.deepEqual(fake.savedSeclabels(uuid), []);
    assert.equal(kind(await fake.managedSaveDefine(uuid, `static ${LABEL}`)), 'ok');
    assert.equal(kind(await fake.startGuest(uuid, START)), 'ok');
    assert.equal(fake.seclabels(uuid)[0]?.label, LABEL);
    assert.deepEqual(fake.definitionSeclabels(uuid), []);
    fake.stopDomain(uuid);
    assert.equal(kind(await fake.tune(uuid, null, [{ call: 'seclabel', text: 'none' }])), 'ok');
    fake.startDomain(uuid);
    assert.equal(fake.seclabels(uuid)[0]?.type, 'none');
  });

  it('of a transient guest are not defined', async () => {
    const { fake } = await started();
    const uuid = fake.define({ name: 'gone', persistent: false });
    fake.startDomain(uuid);
    const outcome = await fake.tune(uuid, null, [{ call: 'seclabel', text: 'none' }]);
    assert.match(outcome.ok ? '' : outcome.message, /^label: a transient domain has no definition/);
    const facts = await fake.facts(uuid);
    assert.equal(facts.ok && facts.value.definitionSeclabels, null);
  });
});

describe('faults of a guest being saved in memory', () => {
  it('a save that hangs is aborted in time, or by somebody, and the guest goes on', async () => {
    const { fake, uuid, id } = await started();
    fake.faultOn(uuid, 'managedSave', { kind: 'hang' });
    assert.equal(kind(await fake.managedSave(uuid, id, SAVE)), 'timeout');
    assert.deepEqual([fake.id(uuid), await stateOf(fake, uuid)], [id, 'running']);
    const saving = fake.managedSave(uuid, id, { ...SAVE, abortAfterMs: 60_000 });
    await turns();
    assert.equal(await stateOf(fake, uuid), 'paused');
    assert.equal(kind(await fake.hasManagedSave(uuid)), 'quarantined');
    assert.equal(kind(await fake.abortJob(uuid)), 'ok');
    assert.equal(kind(await saving), 'refused');
    assert.equal(await stateOf(fake, uuid), 'running');
    fake.faultOn(uuid, 'managedSave', null);
    assert.equal(kind(await fake.managedSave(uuid, id, SAVE)), 'ok');
  });

  for (const takesEffect of [true, false]) {
    it(`one that cannot be aborted holds the guest until it comes back, ${takesEffect ? 'saved' : 'running'}`, async () => {
      const { fake, uuid, id, events } = await started();
      fake.faultOn(uuid, 'managedSave', { kind: 'hang', ignoresAbort: true, takesEffect });
      assert.equal(kind(await fake.managedSave(uuid, id, SAVE)), 'timeout');
      assert.equal(await stateOf(fake, uuid), 'paused');
      assert.deepEqual(fake.status().quarantined, [uuid]);
      assert.equal(kind(await fake.startGuest(uuid, START)), 'quarantined');
      fake.recover(uuid);
      assert.deepEqual(events.at(-1), { kind: 'recovered', uuid });
      assert.equal(await stateOf(fake, uuid), takesEffect ? 'shutoff' : 'running');
      assert.deepEqual(fake.status().quarantined, []);
    });
  }

  it('a start fails with one label and not with another; the image stays', async () => {
    const { fake, uuid, id } = await started();
    fake.refuseLabel(LABEL, 'unable to set security context');
    await fake.managedSave(uuid, id, SAVE);
    await fake.managedSaveDefine(uuid, `static ${LABEL}`);
    const outcome = await fake.startGuest(uuid, START);
    assert.match(outcome.ok ? '' : outcome.message, /unable to set security context/);
    assert.equal((await fake.hasManagedSave(uuid)).ok, true);
    await fake.managedSaveDefine(uuid, 'dynamic');
    assert.equal(kind(await fake.startGuest(uuid, { ...START, restoreOnly: true })), 'ok');
  });

  it('a start that hangs is quarantined, and may take effect late', async () => {
    const { fake, uuid, id } = await started();
    await fake.managedSave(uuid, id, SAVE);
    fake.faultOn(uuid, 'startGuest', { kind: 'hang', takesEffect: true });
    assert.equal(kind(await fake.startGuest(uuid, START)), 'timeout');
    assert.equal(fake.id(uuid), null);
    fake.recover(uuid);
    assert.equal(fake.id(uuid), id + 1);
  });

  it('libvirtd dies before it has done it, or after', async () => {
    for (const when of ['before', 'after'] as const) {
      const { fake, uuid, id } = await started();
      fake.faultOn(uuid, 'managedSave', { kind: 'die', when });
      assert.equal(kind(await fake.managedSave(uuid, id, SAVE)), 'disconnected');
      assert.equal(kind(await fake.facts(uuid)), 'disconnected');
      fake.reconnect();
      assert.equal(await stateOf(fake, uuid), when === 'before' ? 'running' : 'shutoff');
      assert.equal(fake.savedSeclabels(uuid) !== null, when === 'after');
      assert.deepEqual(await fake.hasManagedSave(uuid), { ok: true, value: true });
      assert.equal((await fake.managedSaveXml(uuid)).ok, when === 'after');
    }
  });

  it('an image that a save cut short left behind is not whole, and is not restored', async () => {
    const { fake, uuid } = await started();
    fake.leaveHalfAnImage(uuid);
    assert.deepEqual(await fake.hasManagedSave(uuid), { ok: true, value: true });
    assert.match(message(await fake.managedSaveXml(uuid)), /save image is incomplete/);
    assert.match(message(await fake.managedSaveDefine(uuid, 'none')), /save image is incomplete/);
    fake.stopDomain(uuid);
    assert.match(message(await fake.startGuest(uuid, { ...START, restoreOnly: true })), /save image is incomplete/);
    assert.equal(kind(await fake.startGuest(uuid, START)), 'ok');
    assert.deepEqual(await fake.hasManagedSave(uuid), { ok: true, value: false });
  });

  it('refuses as told', async () => {
    const { fake, uuid, id } = await started();
    fake.faultOn(uuid, 'suspend', { kind: 'refuse', message: 'no' });
    assert.deepEqual(await fake.suspend(uuid, id), { ok: false, failure: 'refused', message: 'no' });
    assert.equal(kind(await fake.resume(uuid, id)), 'ok');
  });
});

async function stateOf(fake: FakeLibvirt, uuid: string): Promise<string> {
  const list = await fake.list();
  return (list.ok ? list.value.find((each) => each.uuid === uuid)?.state : undefined) ?? 'unknown';
}

async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
}

function message(outcome: LibvirtOutcome<unknown>): string {
  return outcome.ok ? 'ok' : outcome.message;
}

function kind(outcome: LibvirtOutcome<unknown>): string {
  return outcome.ok ? 'ok' : outcome.failure;
}
