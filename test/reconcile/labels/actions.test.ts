/** What is done about violations: a guest is suspended once, an image is relabelled where that takes nothing from anybody. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { LabelBench } from './label-bench.js';

const SUSPEND = 'svirt: { on-violation: suspend }';
const MISSING = 'system_u:system_r:svirt_t:s0';
const PAIR = 'system_u:system_r:svirt_t:s0:c900,c901';

let bench: LabelBench;
beforeEach(() => {
  bench = new LabelBench();
  bench.setClass(SUSPEND);
});
afterEach(() => bench.remove());

const wear = (uuid: string, label: string) => bench.security.setProcessLabel(bench.guest(uuid).pid, label);
const suspends = () => bench.calls('suspend');
const resume = (uuid: string) => bench.libvirt.setState(uuid, 'running');

describe('on-violation: suspend', () => {
  it('is done once, told everywhere, and not again when an operator has resumed it', async () => {
    const uuid = bench.addGuest({ name: 'a' });
    await bench.boot();
    await bench.live();
    assert.equal(suspends(), 0);
    wear(uuid, MISSING);
    await bench.live();
    assert.equal(suspends(), 1);
    await bench.live(2);
    assert.equal(bench.snapshot(uuid).state, 'paused');
    assert.equal(bench.snapshot(uuid).label?.suspended, true);
    assert.equal(bench.core.parts.counters.suspensions, 1);
    assert.equal(bench.logged('svirt.suspended').length, 1);
    resume(uuid);
    await bench.live(3);
    assert.equal(bench.snapshot(uuid).label?.suspended, false);
    for (let restart = 0; restart < 2; restart++) {
      await bench.boot();
      await bench.live(2);
    }
    assert.equal(suspends(), 1, 'nor by the next daemon');
    // Unreadable once, mended once: the same violation of the same instance is no new one.
    for (const label of [null, PAIR, MISSING] as const) {
      bench.security.setProcessLabel(bench.guest(uuid).pid, label);
      await bench.live(2);
    }
    assert.equal(suspends(), 1);
    wear(uuid, 'system_u:system_r:unconfined_t:s0:c1,c2');
    await bench.live();
    assert.equal(suspends(), 2, 'another violation is');
  });

  it('is done again for the next instance', async () => {
    const uuid = bench.addGuest({ name: 'a' });
    await bench.boot();
    wear(uuid, MISSING);
    await bench.live(2);
    resume(uuid);
    bench.stopGuest(uuid);
    await bench.live();
    bench.startGuest(uuid, { name: 'a' });
    wear(uuid, MISSING);
    await bench.live(2);
    assert.equal(suspends(), 2);
  });

  it('knows each other guest of a duplicate apart: one that goes makes no new violation', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => bench.addGuest({ name })) as [string, string, string];
    bench.setClasses({ gold: ['a', SUSPEND] });
    await bench.boot();
    for (const uuid of [a, b, c]) wear(uuid, PAIR);
    await bench.live(2);
    assert.equal(suspends(), 1);
    assert.equal(bench.libvirt.calls.filter(({ op, uuid }) => op === 'suspend' && uuid === a).length, 1);
    resume(a);
    bench.stopGuest(c);
    await bench.live(3);
    assert.equal(suspends(), 1);
    const d = bench.addGuest({ name: 'd' });
    wear(d, PAIR);
    await bench.live(2);
    assert.equal(suspends(), 2, 'one that comes does');
  });

  it('is not done where held, released, unmanaged, observed, stopped, or where it would close no gap', async () => {
    const uuid = bench.addGuest({ name: 'a' });
    bench.setClass(null);
    await bench.boot();
    wear(uuid, MISSING);
    await bench.live(2);
    bench.setClass(SUSPEND);
    bench.mode = 'observe';
    await bench.boot();
    await bench.live(2);
    bench.mode = 'enforce';
    writeFileSync(bench.configOf().killSwitch, '');
    await bench.boot();
    await bench.live(2);
    await bench.core.operator.hold({ domain: 'a' }, null);
    rmSync(bench.configOf().killSwitch);
    await bench.live(2);
    await bench.core.operator.release({ domain: 'a' });
    await bench.live(2);
    assert.equal(suspends(), 0);
    // The one that holds more than its own is at fault, not the one that is held.
    wear(uuid, PAIR);
    await bench.core.operator.resume({ domain: 'a' });
    const wide = bench.addGuest({ name: 'wide' });
    wear(wide, `${PAIR},c902`);
    bench.setClasses({ gold: ['a', SUSPEND] });
    await bench.reload();
    await bench.live(2);
    assert.deepEqual(
      bench.snapshot(uuid).label?.violations.map(({ reason }) => reason),
      ['wrong-categories', 'subset'],
    );
    assert.equal(suspends(), 0);
  });

  it('is tried until it is done, and its failure said once', async () => {
    const uuid = bench.addGuest({ name: 'a' });
    bench.libvirt.faultOn(uuid, 'suspend', { kind: 'refuse', message: 'no lock' });
    await bench.boot();
    wear(uuid, MISSING);
    await bench.live(4);
    assert.ok(suspends() >= 3);
    assert.equal(bench.logged('svirt.suspend_failed').length, 1);
    bench.libvirt.faultOn(uuid, 'suspend', null);
    await bench.live(2);
    assert.equal(bench.snapshot(uuid).label?.suspended, true);
    const tries = suspends();
    resume(uuid);
    await bench.live(2);
    assert.equal(suspends(), tries);
  });

  it('that was carried out though its answer was lost counts', async () => {
    for (const how of ['die', 'kill'] as const) {
      const uuid = bench.addGuest({ name: how });
      await bench.boot();
      if (how === 'die') bench.libvirt.faultOn(uuid, 'suspend', { kind: 'die', when: 'after' });
      else bench.crashAt = { op: 'suspend', when: 'after' };
      wear(uuid, MISSING);
      await bench.live(2);
      bench.libvirt.faultOn(uuid, 'suspend', null);
      if (how === 'die') bench.libvirt.reconnect();
      else await bench.boot();
      await bench.live(2);
      assert.equal(bench.snapshot(uuid).label?.suspended, true, how);
      const tries = suspends();
      resume(uuid);
      await bench.live(2);
      assert.equal(suspends(), tries, how);
    }
  });

  it('of a guest that is gone is no failure; without a record there is none', async () => {
    const uuid = bench.addGuest({ name: 'a' });
    await bench.boot();
    const { state } = bench.core.parts.labels;
    const change = state.change.bind(state);
    state.change = () => Promise.reject(new Error('ENOSPC'));
    wear(uuid, MISSING);
    await bench.live(2);
    assert.equal(suspends(), 0);
    state.change = change;
    bench.onCall = (op) => {
      if (op === 'suspend') bench.stopGuest(uuid);
    };
    await bench.live(2);
    assert.deepEqual([suspends(), bench.logged('svirt.suspend_failed').length], [1, 0]);
  });
});

describe('images: relabel', () => {
  const RELABEL = 'svirt: { images: relabel }';
  const DEFAULT = 'system_u:object_r:svirt_image_t:s0';
  const disk = (target: string, more = {}) => ({ target, path: `/images/${target}.img`, ...more });
  const add = (name: string, disks: Parameters<LabelBench['addGuest']>[0]['disks']) => {
    const uuid = bench.addGuest({ name, disks: disks ?? [] });
    return { uuid, own: bench.libvirt.seclabels(uuid)[0]?.imagelabel ?? '' };
  };

  it('gives an image the label that libvirt gave it, with the key alone, once', async () => {
    const { uuid, own } = add('a', [disk('vda')]);
    bench.security.files.set('/images/vda.img', DEFAULT);
    bench.setClass('svirt: { required: true }');
    await bench.boot();
    await bench.live(2);
    assert.deepEqual(
      bench.snapshot(uuid).label?.violations.map(({ reason }) => reason),
      ['image-unprotected'],
    );
    assert.deepEqual(bench.security.files.relabels, []);
    bench.setClass(RELABEL);
    await bench.reload();
    await bench.live(3);
    assert.equal(bench.security.files.labelOf('/images/vda.img'), own);
    assert.deepEqual(
      bench.security.files.relabels.map(({ label, expected }) => [label, expected]),
      [[own, DEFAULT]],
    );
    assert.equal(bench.label(uuid), 'holds');
    assert.equal(bench.core.parts.counters.imageRelabels, 1);
  });

  it('leaves alone what is read only, shared, unlabelled, or labelled by somebody else', async () => {
    const disks = [
      disk('vda', { readOnly: true }),
      disk('vdb', { shareable: true }),
      disk('vdc', { unlabelled: true }),
      disk('vdd'),
    ];
    const { own } = add('a', disks);
    for (const { path } of disks) bench.security.files.set(path, DEFAULT);
    bench.setClass(RELABEL);
    await bench.boot();
    await bench.live(3);
    assert.deepEqual(
      bench.security.files.relabels.map(({ path, label }) => [path, label]),
      [['/images/vdd.img', own]],
    );
  });

  it('takes no image from another guest, by whatever path', async () => {
    const a = add('a', [disk('vda'), disk('vdb')]);
    const b = add('b', [disk('vda')]);
    bench.security.files.set('/images/vda.img', b.own);
    bench.security.files.set('/images/vdb.img', b.own);
    bench.setClass(RELABEL);
    await bench.boot();
    await bench.live(3);
    assert.ok(bench.snapshot(a.uuid).label?.violations.some(({ reason }) => reason === 'image-foreign'));
    assert.deepEqual(bench.security.files.relabels, []);
  });

  it('is tried again after a minute when it failed, and not in observe mode', async () => {
    add('a', [disk('vda')]);
    bench.security.files.set('/images/vda.img', DEFAULT);
    bench.security.files.failRelabel('/images/vda.img', 'timeout');
    bench.setClass(RELABEL);
    bench.mode = 'observe';
    await bench.boot();
    await bench.live(2);
    bench.mode = 'enforce';
    await bench.boot();
    await bench.live(4);
    assert.equal(bench.security.files.relabels.length, 1);
    bench.elapsedMs += 60_000;
    await bench.live(2);
    assert.equal(bench.security.files.relabels.length, 2);
    assert.notEqual(bench.security.files.labelOf('/images/vda.img'), DEFAULT);
  });
});
