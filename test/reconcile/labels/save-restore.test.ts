/** Save and restore for a new label: whatever goes wrong in between, the guest runs in the end and the truth is told. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { FakeDomainOptions, SaveFault } from '../../fakes/fake-libvirt.js';
import { waitUntil } from '../../support/wait.js';
import { GIB, pause } from '../emulated-bench.js';
import { AT_ONCE, LabelBench, SMALL } from './label-bench.js';

let bench: LabelBench;
beforeEach(() => {
  bench = new LabelBench();
  bench.setClass(AT_ONCE);
});
afterEach(() => bench.remove());

const add = (options: Partial<FakeDomainOptions> = {}) => bench.addGuest({ name: 'db-1', ...SMALL, ...options });
const asDefined = (uuid: string): boolean => bench.defined(uuid) !== null && bench.worn(uuid) === bench.defined(uuid);
const begun = async (): Promise<void> => {
  await bench.boot();
  await bench.live(3);
};

describe('save and restore', () => {
  it('puts the label in force at once, with its record on disk before the guest is touched', async () => {
    const uuid = add({ hardware: { ...SMALL.hardware, hugepages: true } });
    const before = bench.worn(uuid);
    const phases: (string | undefined)[] = [];
    bench.onCall = (op) => {
      if (['managedSave', 'managedSaveDefine', 'startGuest'].includes(op)) phases.push(bench.onDisk()?.journey?.phase);
      if (op === 'managedSaveDefine') bench.elapsedMs += 1_300;
    };
    await bench.boot();
    for (let look = 0; look < 10; look++) await bench.cycle();
    assert.ok(asDefined(uuid));
    assert.notEqual(bench.worn(uuid), before);
    assert.deepEqual(phases, ['saving', 'saved', 'starting']);
    assert.equal(bench.onDisk()?.journey, null);
    assert.equal(bench.label(uuid), 'holds');
    const way = bench.way(uuid);
    assert.deepEqual([way?.phase, way?.downtimeSeconds], ['done', 1.3]);
    assert.equal(bench.core.parts.counters.saveRestores.done, 1);
    // 32 MiB there and back in the 0.3 s that are not libvirt's own.
    assert.ok(Math.abs((bench.core.parts.labels.state.current.bytesPerSecond ?? 0) - (2 * 32 * 2 ** 20) / 0.3) < 1e6);
    const calls = bench.libvirt.calls.length;
    await bench.live(2);
    const more = bench.libvirt.calls.slice(calls).filter(({ op }) => op !== 'list' && op !== 'facts');
    assert.deepEqual(more, []);
  });

  it('is for one guest at a time', async () => {
    const uuids = ['a', 'b', 'c'].map((name) => add({ name }));
    let away = 0;
    bench.onCall = (op) => {
      if (op !== 'managedSave') return;
      away = Math.max(away, uuids.filter((uuid) => !bench.runs(uuid)).length);
    };
    await bench.boot();
    await bench.live(6);
    assert.ok(uuids.every(asDefined));
    assert.equal(away, 0);
    assert.equal(bench.calls('managedSave'), 3);
  });

  it('lets the guest go on as it was when it is not saved in half of the time, and does not try again', async () => {
    const uuid = add();
    bench.setClass('svirt: { mode: static, apply: save-restore, max-downtime: 2s }');
    bench.libvirt.faultOn(uuid, 'managedSave', { kind: 'hang' });
    await bench.boot();
    await bench.live();
    await waitUntil('the guest to be saved', () => bench.way(uuid)?.phase === 'saving', { seconds: 10 });
    assert.match(bench.label(uuid), /^pending-restart/);
    await pause(1_100);
    bench.libvirt.faultOn(uuid, 'managedSave', null);
    await bench.live(3);
    assert.ok(bench.runs(uuid) && !asDefined(uuid));
    assert.equal(bench.libvirt.seclabels(uuid).length, 1);
    assert.match(bench.way(uuid)?.message ?? '', /^not saved, it goes on as it was: .*not tried again for this label$/);
    assert.equal(bench.calls('managedSave'), 1);
    await bench.boot();
    await bench.live(2);
    assert.match(bench.way(uuid)?.message ?? '', /not tried again for this label$/, 'known after a restart');
    assert.equal(bench.calls('managedSave'), 1);
    bench.setClass('svirt: { mode: static, type: svirt_tcg_t, apply: save-restore, max-downtime: 4s }');
    await bench.boot();
    await bench.live(3);
    assert.equal(bench.calls('managedSave'), 2, 'for another label it is');
    assert.ok(asDefined(uuid));
  });

  const refusals: readonly (readonly [string, Partial<FakeDomainOptions>, RegExp])[] = [
    ['VFIO', { hardware: { ...SMALL.hardware, vfio: true } }, /VFIO/],
    ['vhost-user', { hardware: { ...SMALL.hardware, vhostUser: true } }, /vhost-user/],
    ['invtsc', { hardware: { ...SMALL.hardware, invtsc: true } }, /invtsc/],
    ['encrypted memory', { hardware: { ...SMALL.hardware, encrypted: true } }, /encrypted/],
    [
      'too long an estimate',
      { hardware: { memoryBytes: 8 * GIB, hugepages: true } },
      /stand still for about 173 s \(95/,
    ],
  ];
  for (const [what, options, said] of refusals) {
    it(`is refused: ${what}`, async () => {
      const uuid = add(options);
      await begun();
      assert.equal(bench.calls('managedSave'), 0);
      assert.equal(bench.way(uuid)?.phase, 'refused');
      assert.match(bench.way(uuid)?.message ?? '', said);
      assert.match(bench.label(uuid), /^pending-restart/);
    });
  }

  it('is refused without max-downtime, paused, or without room, and done as soon as that is mended', async () => {
    bench.setClass('svirt: { mode: static, apply: save-restore }');
    const uuid = add();
    await begun();
    assert.match(bench.way(uuid)?.message ?? '', /no svirt.max-downtime/);
    bench.setClass(AT_ONCE);
    bench.libvirt.setState(uuid, 'paused');
    await bench.reload();
    await bench.live();
    assert.match(bench.way(uuid)?.message ?? '', /^it is paused/);
    bench.saveSpace = { ok: true, freeBytes: 64 * 2 ** 20 };
    bench.libvirt.setState(uuid, 'running');
    await bench.live();
    assert.match(bench.way(uuid)?.message ?? '', /on disk, and 64 MiB are free/);
    bench.saveSpace = { ok: false, reason: 'it is not there' };
    await bench.live();
    assert.match(bench.way(uuid)?.message ?? '', /cannot be told: it is not there/);
    assert.equal(bench.calls('managedSave'), 0);
    bench.saveSpace = { ok: true, freeBytes: GIB };
    await bench.live();
    assert.ok(asDefined(uuid));
  });

  it('is not begun for a transient guest, held, observed, stopped by the kill switch', async () => {
    const transient = add({ name: 't', persistent: false });
    const uuid = add();
    bench.mode = 'observe';
    await begun();
    await bench.core.operator.hold({ domain: 'db-1' }, null);
    bench.mode = 'enforce';
    await bench.boot(({ parts }) => {
      parts.gate.stop = () => 'kill switch';
    });
    await bench.live(2);
    assert.equal(bench.calls('tune'), 0);
    await begun();
    assert.equal(bench.calls('managedSave'), 0);
    bench.onCall = (op) => {
      if (op === 'tune') writeFileSync(bench.configOf().killSwitch, '');
    };
    await bench.core.operator.resume({ domain: 'db-1' });
    await bench.live(3);
    assert.equal(bench.calls('managedSave'), 0);
    assert.equal(bench.way(uuid)?.message, 'nothing may be begun now');
    assert.equal(bench.way(transient), null);
  });
});

describe('a fault on the way', () => {
  const MENDED: readonly (readonly [string, 'managedSave' | 'managedSaveDefine' | 'startGuest', SaveFault, RegExp])[] =
    [
      ['the save is refused', 'managedSave', { kind: 'refuse', message: 'no space' }, /goes on as it was: no space/],
      [
        'the image keeps its label',
        'managedSaveDefine',
        { kind: 'refuse', message: 'damaged' },
        /damaged; it runs as before/,
      ],
    ];
  for (const [what, op, fault, said] of MENDED) {
    it(`${what}: the guest runs as before, and that is told`, async () => {
      const uuid = add();
      bench.libvirt.faultOn(uuid, op, fault);
      await begun();
      assert.ok(bench.runs(uuid) && !asDefined(uuid));
      assert.equal(bench.way(uuid)?.phase, 'failed');
      assert.match(bench.way(uuid)?.message ?? '', said);
      assert.equal(bench.onDisk()?.journey, null);
      assert.equal(bench.logged('svirt.save_restore_failed').length, 1);
      assert.equal(bench.core.parts.counters.saveRestores.failed, 1);
      assert.equal(bench.calls('managedSave'), 1);
    });
  }

  it('the new label is refused at the start: it starts with the old one', async () => {
    const uuid = add();
    const { saveSpace } = bench;
    bench.saveSpace = { ok: false, reason: 'not yet' };
    await bench.boot();
    await bench.settle();
    bench.libvirt.refuseLabel(bench.defined(uuid) ?? '', 'unable to set security context');
    bench.saveSpace = saveSpace;
    await bench.live(2);
    assert.ok(bench.runs(uuid) && !asDefined(uuid));
    assert.match(
      bench.way(uuid)?.message ?? '',
      /^it does not start as static .*unable to set.*; it runs as before, as dynamic/,
    );
    assert.notEqual(bench.way(uuid)?.downtimeSeconds, null);
    assert.equal(bench.calls('startGuest'), 2);
  });

  it('it does not start at all: tried again, further and further apart, and said loudly', async () => {
    const uuid = add();
    bench.libvirt.faultOn(uuid, 'startGuest', { kind: 'refuse', message: 'host has no memory' });
    await begun();
    assert.ok(!bench.runs(uuid));
    assert.match(
      bench.way(uuid)?.message ?? '',
      /^IT IS OFF and does not start: host has no memory; its memory is kept/,
    );
    assert.equal(bench.snapshot(uuid).label?.saveRestore?.phase, 'failed');
    const starts = bench.calls('startGuest');
    await bench.live(20);
    const later = bench.calls('startGuest');
    assert.ok(later > starts && later - starts <= 10, `${later - starts} tries in 100 s`);
    // Neither a kill switch nor a hold keeps it off.
    await bench.core.operator.hold({ domain: 'db-1' }, null);
    writeFileSync(bench.configOf().killSwitch, '');
    bench.libvirt.faultOn(uuid, 'startGuest', null);
    bench.elapsedMs += 300_000;
    await bench.live(2);
    assert.ok(asDefined(uuid));
    assert.equal(bench.way(uuid)?.phase, 'done');
  });

  it('never boots a guest whose memory is gone', async () => {
    const uuid = add();
    bench.libvirt.faultOn(uuid, 'managedSaveDefine', { kind: 'refuse', message: 'no image' });
    bench.onCall = (op) => {
      if (op === 'managedSaveDefine') bench.libvirt.forgetSaved(uuid);
    };
    await begun();
    await bench.live(3);
    assert.equal(bench.runs(uuid), false);
    assert.equal(bench.onDisk()?.journey, null);
    assert.equal(bench.logged('svirt.save_restore_called_off').length, 1);
  });

  it('an operator starts it himself: he is not fought', async () => {
    for (const when of ['managedSaveDefine', 'startGuest'] as const) {
      const uuid = add({ name: when });
      bench.onCall = (op) => {
        if (op !== when || bench.runs(uuid)) return;
        bench.onCall = () => undefined;
        bench.libvirt.startDomain(uuid);
      };
      await begun();
      assert.ok(bench.runs(uuid));
      const early = when === 'managedSaveDefine';
      assert.equal(bench.way(uuid)?.phase, early ? 'failed' : 'done', `${when}: ${bench.way(uuid)?.message}`);
      if (early) assert.match(bench.way(uuid)?.message ?? '', /^somebody else has started it; it runs as before/);
      assert.equal(bench.logged('svirt.save_restore_stuck').length, 0);
      assert.equal(bench.onDisk()?.journey, null);
    }
  });

  it('a save that neither ends nor can be called off is waited for', async () => {
    for (const takesEffect of [true, false]) {
      const uuid = add({ name: takesEffect ? 'late' : 'never' });
      bench.setClass('svirt: { mode: static, apply: save-restore, max-downtime: 2s }');
      bench.libvirt.faultOn(uuid, 'managedSave', { kind: 'hang', ignoresAbort: true, takesEffect });
      await bench.boot();
      await bench.live();
      await pause(1_100);
      await bench.live(4);
      assert.equal(bench.way(uuid)?.phase, 'saving');
      assert.equal(bench.core.parts.labels.saveRestore.isUnderWay(uuid), true);
      bench.libvirt.faultOn(uuid, 'managedSave', null);
      bench.libvirt.recover(uuid);
      await bench.live(16);
      assert.ok(bench.runs(uuid));
      assert.equal(asDefined(uuid), takesEffect);
      assert.equal(bench.way(uuid)?.phase, takesEffect ? 'done' : 'failed');
    }
  });
});

describe('libvirtd dies', () => {
  for (const op of ['managedSave', 'managedSaveDefine', 'startGuest', 'managedSaveXml'] as const) {
    for (const when of ['before', 'after'] as const) {
      it(`${when} ${op}: the guest runs when it is back, however long that takes`, async () => {
        const uuid = add();
        bench.libvirt.faultOn(uuid, op, { kind: 'die', when });
        await bench.boot();
        await bench.live(2);
        bench.libvirt.faultOn(uuid, op, null);
        if (op !== 'managedSaveXml') {
          bench.elapsedMs += 10 * 3_600_000;
          await bench.live(3);
          assert.notEqual(bench.core.parts.labels.state.current.journey, null, 'not given up');
        }
        bench.libvirt.reconnect({ emptyLists: 1 });
        await bench.live(18);
        assert.ok(bench.runs(uuid));
        const went = op !== 'managedSave' || when === 'after';
        assert.equal(asDefined(uuid), went, bench.way(uuid)?.message);
        assert.equal(bench.way(uuid)?.phase, went ? 'done' : 'failed');
        assert.equal(bench.onDisk()?.journey, null);
      });
    }
  }
});

describe('kill -9 of the daemon', () => {
  for (const op of ['managedSave', 'managedSaveDefine', 'startGuest', 'facts'] as const) {
    for (const when of ['before', 'after'] as const) {
      it(`${when} ${op}: the next one brings the guest back`, async () => {
        const uuid = add();
        if (op === 'facts') {
          // The question that follows the start.
          bench.onCall = (call) => {
            if (call === 'startGuest') bench.crashAt = { op, when };
          };
        } else bench.crashAt = { op, when };
        await bench.bootToDeath();
        assert.ok(bench.isDead);
        bench.onCall = () => undefined;
        assert.notEqual(bench.onDisk()?.journey ?? null, null);
        bench.mode = 'observe';
        await bench.boot();
        await bench.live(16);
        assert.ok(bench.runs(uuid), 'even where nothing new would be begun');
        const went = op !== 'managedSave' || when === 'after';
        assert.equal(asDefined(uuid), went, bench.way(uuid)?.message);
        assert.equal(bench.onDisk()?.journey, null);
        assert.equal(bench.way(uuid)?.phase, went ? 'done' : 'failed');
      });
    }
  }

  it('while libvirt saves: waited for, and called off when it takes too long', async () => {
    const uuid = add();
    await bench.boot(({ parts }) => {
      parts.labels.saveRestore.act = () => undefined;
    });
    await bench.live(2);
    const sinceMs = bench.clock.nowMs();
    const journey = {
      uuid,
      name: 'db-1',
      phase: 'saving',
      to: `static ${bench.defined(uuid)}`,
      from: 'dynamic',
    } as const;
    await bench.core.parts.labels.state.change({ journey: { ...journey, sinceMs, maxDowntimeMs: 30_000 } });
    await bench.kill();
    bench.libvirt.setState(uuid, 'paused');
    await bench.boot();
    await bench.live(2);
    assert.equal(bench.calls('abortJob'), 0);
    await bench.live(3);
    assert.ok(bench.calls('abortJob') > 0);
    assert.equal(bench.way(uuid)?.message, 'it stands still: what was begun goes on without us');
    bench.libvirt.saveGuest(uuid);
    await bench.live(2);
    assert.ok(asDefined(uuid));
  });
});

describe('the daemon is stopped', () => {
  it('while the guest is saved: it goes on, and is tried again by the next', async () => {
    const uuid = add();
    bench.libvirt.faultOn(uuid, 'managedSave', { kind: 'hang' });
    await bench.boot();
    await bench.live();
    await bench.stopDaemon();
    assert.ok(bench.runs(uuid));
    assert.equal(bench.onDisk()?.journey, null);
    assert.deepEqual(bench.onDisk()?.failed, {});
    bench.libvirt.faultOn(uuid, 'managedSave', null);
    await begun();
    assert.ok(asDefined(uuid));
  });
});

describe('a disk that cannot be written', () => {
  it('before the guest is touched: nothing is begun', async () => {
    const uuid = add();
    await bench.boot(({ parts }) => {
      parts.labels.state.change = () => Promise.reject(new Error('ENOSPC'));
    });
    await bench.live(4);
    assert.equal(bench.calls('managedSave'), 0);
    assert.equal(bench.core.parts.labels.state.current.journey, null);
    assert.ok(bench.runs(uuid));
  });
});
