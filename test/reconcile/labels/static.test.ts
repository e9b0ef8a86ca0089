/** Static labels of libvirt's guests: on record, in the definition, in force, and given back. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fakeSeclabel } from '../../fakes/fake-seclabel.js';
import { APPARMOR } from '../../fakes/fake-security.js';
import { LabelBench, STATIC } from './label-bench.js';

const OTHER = 'system_u:system_r:svirt_t:s0:c8,c9';

let bench: LabelBench;
beforeEach(() => {
  bench = new LabelBench();
  bench.setClass(STATIC);
});
afterEach(() => bench.remove());

const journaled = (uuid: string) => bench.core.parts.journal.get(uuid, 'svirt.label')?.settings.seclabel;
const register = () => readFileSync(join(bench.stateDir, 'labels.json'), 'utf8');

describe('a static label', () => {
  it('is on record, then written once, waits for the next start and holds then', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.onCall = (op) => {
      if (op !== 'tune') return;
      assert.match(register(), new RegExp(uuid), 'the pair is on disk before libvirt is told');
      assert.match(readFileSync(join(bench.stateDir, 'journal'), 'utf8'), /"dynamic"/);
    };
    await bench.boot();
    await bench.settle();
    const text = bench.told(uuid)[0] ?? '';
    assert.match(text, /^static system_u:system_r:svirt_t:s0:c\d+,c\d+$/);
    assert.equal(bench.told(uuid).length, 1);
    assert.equal(`static ${bench.defined(uuid)}`, text);
    assert.deepEqual(journaled(uuid)?.original, { text: 'dynamic', from: 'definition' });
    assert.match(bench.label(uuid), /^pending-restart: in force from its next start; it still runs as system_u/);
    assert.equal(bench.snapshot(uuid).label?.pendingRestart, true);
    assert.equal(bench.snapshot(uuid).compliant, false);

    await bench.live(3);
    assert.equal(bench.told(uuid).length, 1, 'at rest nobody is told');
    bench.stopGuest(uuid);
    await bench.live();
    assert.equal(bench.label(uuid), 'holds', 'of a guest that is off, what its definition says');
    bench.startGuest(uuid, { name: 'db-1' });
    await bench.live(2);
    assert.equal(bench.label(uuid), 'holds');
    assert.equal(`static ${bench.worn(uuid)}`, text);
    assert.equal(bench.told(uuid).length, 1);
    assert.deepEqual(bench.logged('control.drift'), []);
  });

  it('goes back on release, whether the guest runs or not, with its pair', async () => {
    const [runs, off] = [bench.addGuest({ name: 'a' }), bench.libvirt.define({ name: 'b' })];
    await bench.boot();
    await bench.settle();
    for (const uuid of [runs, off]) assert.notEqual(bench.defined(uuid), null);
    const report = await bench.core.operator.release({ all: true });
    assert.equal(report.outcomes.filter(({ outcome }) => outcome === 'failed').length, 0);
    await bench.live(3);
    for (const uuid of [runs, off]) {
      assert.deepEqual(bench.libvirt.definitionSeclabels(uuid), []);
      assert.equal(journaled(uuid), undefined);
      assert.doesNotMatch(register(), new RegExp(uuid));
    }
    await bench.live(3);
    for (const uuid of [runs, off]) assert.equal(bench.told(uuid).length, 2);
  });

  it('goes back when the class asks for it no more, and when the guest leaves its class', async () => {
    const uuid = bench.addGuest({ name: 'a', seclabels: [fakeSeclabel({ label: OTHER, relabel: false })] });
    await bench.boot();
    await bench.settle();
    assert.notEqual(bench.defined(uuid), OTHER);
    bench.setClass('svirt: { required: true }');
    await bench.reload();
    await bench.live(2);
    const [back] = bench.libvirt.definitionSeclabels(uuid);
    assert.deepEqual([back?.label, back?.relabel], [OTHER, false], 'what the operator had written, to the letter');
    bench.setClass(STATIC);
    await bench.reload();
    await bench.live();
    assert.notEqual(bench.defined(uuid), OTHER);
    bench.setClass(null);
    await bench.reload();
    await bench.live(2);
    assert.equal(bench.defined(uuid), OTHER);
    assert.equal(bench.core.parts.journal.uuids().size, 0);
  });

  it('does not come back to a guest that wears its pair until it is stopped', async () => {
    const uuid = bench.addGuest({ name: 'a' });
    await bench.boot();
    await bench.settle();
    bench.stopGuest(uuid);
    bench.startGuest(uuid, { name: 'a' });
    await bench.live();
    bench.setClass(null);
    await bench.reload();
    await bench.live(3);
    assert.match(register(), new RegExp(uuid), 'its process wears it still');
    bench.stopGuest(uuid);
    await bench.live(2);
    assert.doesNotMatch(register(), new RegExp(uuid));
  });

  it('is left alone where held, observed or stopped', async () => {
    const uuid = bench.addGuest({ name: 'a' });
    bench.mode = 'observe';
    await bench.boot();
    await bench.live(3);
    assert.equal(existsSync(join(bench.stateDir, 'labels.json')), false);
    assert.match(bench.label(uuid), /^unsupported: it is given its categories as soon as virtslad may write/);

    bench.mode = 'enforce';
    writeFileSync(bench.configOf().killSwitch, '');
    await bench.boot();
    await bench.live(3);
    assert.equal(existsSync(join(bench.stateDir, 'labels.json')), false);
    assert.deepEqual(bench.told(uuid), []);

    rmSync(bench.configOf().killSwitch);
    await bench.core.operator.hold({ domain: 'a' }, null);
    await bench.live(3);
    assert.deepEqual(bench.told(uuid), []);
    assert.equal(bench.snapshot(uuid).handsOff?.kind, 'held');
    await bench.core.operator.resume({ domain: 'a' });
    await bench.live();
    assert.equal(bench.told(uuid).length, 1);
    await bench.core.operator.hold({ domain: 'a' }, null);
    bench.libvirt.defineSeclabels(uuid, []);
    await bench.live(3);
    assert.equal(bench.told(uuid).length, 1, 'held: somebody else takes it out, and it stays out');
  });

  it('that somebody else edits is drift: put back, and contested after five times', async () => {
    for (const runs of [true, false]) {
      const name = runs ? 'a' : 'b';
      const uuid = runs ? bench.addGuest({ name }) : bench.libvirt.define({ name });
      await bench.boot();
      await bench.settle();
      const ours = bench.defined(uuid);
      for (let edit = 1; edit <= 5; edit++) {
        assert.notEqual(bench.label(uuid), 'contested', `${name} ${edit}`);
        bench.libvirt.defineSeclabels(uuid, [fakeSeclabel({ label: OTHER })]);
        await bench.live(2);
        if (edit < 5) assert.equal(bench.defined(uuid), ours, `${name} ${edit}`);
      }
      bench.libvirt.defineSeclabels(uuid, [fakeSeclabel({ label: OTHER })]);
      await bench.live(2);
      assert.match(bench.label(uuid), /^contested/, name);
      assert.equal(bench.defined(uuid), OTHER, 'left for a while');
      bench.elapsedMs += 120_000;
      await bench.live(2);
      assert.equal(bench.defined(uuid), ours);
      assert.deepEqual(
        journaled(uuid)?.original.text,
        'dynamic',
        'what stood there first, not what was put there since',
      );
    }
  });

  it('survives a restart of daemon and guest without a second definition or another pair', async () => {
    const uuid = bench.addGuest({ name: 'a' });
    await bench.boot();
    await bench.settle();
    const ours = bench.defined(uuid);
    await bench.boot();
    await bench.live(2);
    bench.stopGuest(uuid);
    await bench.boot();
    await bench.live(2);
    bench.startGuest(uuid, { name: 'a' });
    await bench.live(2);
    assert.deepEqual([bench.defined(uuid), bench.worn(uuid), bench.told(uuid).length], [ours, ours, 1]);
    await bench.core.operator.release({ all: true });
    await bench.live(2);
    assert.equal(bench.defined(uuid), null, 'the original is that of the first write');
  });

  it('is taken up again when the register is lost, not chosen anew', async () => {
    const uuid = bench.addGuest({ name: 'a' });
    await bench.boot();
    await bench.settle();
    const ours = bench.defined(uuid);
    await bench.kill();
    writeFileSync(join(bench.stateDir, 'labels.json'), 'rubbish');
    await bench.boot();
    await bench.live(2);
    assert.deepEqual([bench.defined(uuid), bench.told(uuid).length], [ours, 1]);
    assert.equal(bench.logged('svirt.pair_taken_up').length, 1);
    assert.match(bench.core.snapshots.build().lacks.join(), /label register: was damaged/);
  });

  it('is not for transient guests, and of guests without libvirt only told', async () => {
    const uuid = bench.addGuest({ name: 't', persistent: false });
    const bare = '0f0e0d0c-0b0a-4000-8000-000000000001';
    const pid = bench.addBare({ name: 'lone', uuid: bare });
    bench.security.setProcessLabel(pid, 'system_u:system_r:svirt_t:s0:c900,c901');
    await bench.boot();
    await bench.live(2);
    assert.match(bench.label(uuid), /^unsupported: a transient domain has no definition/);
    assert.equal(bench.label(bare), 'holds');
    assert.match(bench.control(bare, 'svirt.label')?.notes.join() ?? '', /virtslad launch/);
    assert.equal(bench.calls('tune'), 0);
  });

  it('goes nowhere on a host without SELinux', async () => {
    const uuid = bench.addGuest({ name: 'a' });
    bench.security.setStatus(APPARMOR);
    await bench.boot();
    await bench.live(2);
    assert.equal(bench.label(uuid), 'unsupported: AppArmor is the active security module');
    assert.equal(bench.snapshot(uuid).compliant, true);
    assert.equal(bench.snapshot(uuid).label, null);
    assert.deepEqual(bench.told(uuid), []);
    assert.equal(existsSync(join(bench.stateDir, 'labels.json')), false);
    assert.equal(bench.security.pidsAsked.length, 0);
  });

  it('moves out of the way of a guest whose dynamic label takes its pair', async () => {
    const uuid = bench.libvirt.define({ name: 'a' });
    bench.setClasses({ gold: ['a', STATIC] });
    await bench.boot();
    await bench.settle();
    const before = bench.defined(uuid) ?? '';
    const dynamic = bench.addGuest({ name: 'z' });
    bench.security.setProcessLabel(bench.guest(dynamic).pid, before);
    await bench.live(3);
    const now = bench.defined(uuid) ?? '';
    assert.notEqual(now, before);
    assert.equal(bench.told(uuid).length, 2);
    assert.deepEqual(bench.told(dynamic), []);
  });

  it('says which categories are lacking', async () => {
    bench.setClass('svirt: { mode: static, categories: "c1,c2" }');
    const [a, b] = [bench.libvirt.define({ name: 'a' }), bench.libvirt.define({ name: 'b' })];
    await bench.boot();
    await bench.live(2);
    const said = [bench.label(a), bench.label(b)].sort();
    assert.deepEqual(said, ['holds', 'refused: no pair of its categories is free']);
    const lacking = bench.label(a) === 'holds' ? b : a;
    assert.equal(bench.snapshot(lacking).compliant, false);
    bench.setClass('svirt: { mode: static, categories: "c1.c4" }');
    await bench.reload();
    await bench.live(2);
    assert.deepEqual([bench.label(a), bench.label(b)], ['holds', 'holds']);
  });

  it('takes a type of its own, dynamic or static', async () => {
    bench.setClass('svirt: { type: svirt_tcg_t }');
    const uuid = bench.addGuest({ name: 'a' });
    await bench.boot();
    await bench.live(2);
    assert.deepEqual(bench.told(uuid), ['dynamic system_u:system_r:svirt_tcg_t:s0']);
    assert.match(bench.label(uuid), /^pending-restart/, 'a wrong type that the next start mends');
    assert.deepEqual(
      bench.snapshot(uuid).label?.violations.map(({ reason }) => reason),
      ['wrong-type'],
    );
    bench.stopGuest(uuid);
    bench.startGuest(uuid, { name: 'a' });
    await bench.live(2);
    assert.equal(bench.label(uuid), 'holds');
    assert.match(bench.worn(uuid) ?? '', /svirt_tcg_t/);
    bench.setClass('svirt: { mode: dynamic }');
    await bench.reload();
    await bench.live(2);
    assert.deepEqual(bench.libvirt.definitionSeclabels(uuid), []);
    assert.match(bench.label(uuid), /^pending-restart/, 'it runs under the type of its baselabel still');
  });
});

describe('an edit that would change many definitions', () => {
  it('waits for an operator: static labels, another type, other categories', async () => {
    const config = bench.configOf();
    bench.configOf = () => ({ ...config, blastRadius: { percent: 10, domains: 1 } });
    for (const name of ['a', 'b', 'c', 'd']) bench.addGuest({ name });
    bench.setClass('svirt: { required: true }');
    await bench.boot();
    await bench.live();
    const edits = ['mode: static', 'mode: static, categories: "c100.c199"', 'mode: static, type: svirt_tcg_t'];
    for (const edit of edits) {
      const told = bench.calls('tune');
      bench.setClass(`svirt: { ${edit} }`);
      await bench.core.operator.reload();
      await bench.live(2);
      const { pending } = bench.core.parts.generations;
      assert.equal(pending?.affected, 4, edit);
      assert.equal(bench.calls('tune'), told, 'nothing is written, and no pair moves');
      await bench.core.operator.apply({ acknowledge: pending?.generation.id ?? '' });
      await bench.live(2);
      assert.equal(bench.calls('tune'), told + 4, edit);
    }
  });
});

describe('kill -9', () => {
  const points = [
    ['tune', 'before'],
    ['tune', 'after'],
  ] as const;
  for (const [op, when] of points) {
    it(`${when} ${op}: no clash, and one definition in the end`, async () => {
      const uuid = bench.addGuest({ name: 'a' });
      bench.crashAt = { op, when };
      await bench.bootToDeath();
      assert.ok(bench.isDead);
      const pairs: string[] = [];
      for (let life = 0; life < 2; life++) {
        await bench.boot();
        await bench.live(2);
        pairs.push(bench.defined(uuid) ?? 'none');
      }
      assert.equal(new Set(pairs).size, 1);
      assert.match(register(), /"categories"/);
      assert.match(bench.label(uuid), /^pending-restart/);
      assert.equal(journaled(uuid)?.original.text, 'dynamic');
      await bench.core.operator.release({ all: true });
      await bench.live(2);
      assert.equal(bench.defined(uuid), null);
    });
  }
});
