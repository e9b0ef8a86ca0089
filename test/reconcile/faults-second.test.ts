/** Faults that outlast a first look: libvirt away or lying, disks that are full or slow, commands that must say so. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import type { LibvirtOutcome } from '../../src/host/libvirt/client.js';
import type { Log } from '../../src/log.js';
import { openLocal } from '../../src/lone-command.js';
import { HandsOffRegister } from '../../src/reconcile/hands-off.js';
import { Bench, NO_REAL_GROUPS, pause } from './faults-bench.js';

const AWAY: LibvirtOutcome<null> = { ok: false, failure: 'disconnected', message: 'no connection' };

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** Answers every scheduler call itself, and in time stops answering, so that a loop cannot hold up the test. */
function answerScheduler(bench: Bench, outcome: () => LibvirtOutcome<null>): { calls: number } {
  const counted = { calls: 0 };
  bench.libvirt.tune = () => {
    counted.calls++;
    return counted.calls > 500 ? new Promise(() => undefined) : Promise.resolve(outcome());
  };
  return counted;
}

describe('libvirt away or lying (systemd owns the scope)', () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench('files');
  });
  afterEach(async () => {
    mock.restoreAll();
    syncBuiltinESMExports();
    await bench.remove();
  });

  test('while libvirt is away, what it would be told is not tried without end', async () => {
    bench.addGuest({ name: 'db-1' });
    bench.setClass('weight: 250');
    const core = await bench.boot();
    await bench.settle();
    // As the real client answers without a connection: at once, in the same turn of the event loop.
    const counted = answerScheduler(bench, () => AWAY);
    bench.libvirt.disconnect('killed');
    bench.setClass('weight: 400');
    await core.operator.reload();
    await pause(300);
    assert.ok(counted.calls < 10, `${counted.calls} calls in 0.3 s`);
  });

  test('a guest that libvirt calls gone while its process lives is not tried without end', async () => {
    bench.addGuest({ name: 'db-1' });
    bench.setClass('weight: 250');
    const core = await bench.boot();
    await bench.settle();
    const counted = answerScheduler(bench, () => ({ ok: false, failure: 'vanished', message: 'does not run' }));
    bench.setClass('weight: 400');
    await core.operator.reload();
    await pause(300);
    assert.ok(counted.calls < 10, `${counted.calls} calls in 0.3 s`);
  });

  test('a value that libvirt takes and the kernel never shows is a failure, not a success without end', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('weight: 250');
    const core = await bench.boot();
    await bench.settle();
    const counted = answerScheduler(bench, () => ({ ok: true, value: null }));
    bench.setClass('weight: 400');
    await core.operator.reload();
    await pause(300);
    assert.equal(bench.weight(uuid), '250');
    assert.ok(counted.calls < 10, `${counted.calls} calls in 0.3 s`);
    assert.ok((core.parts.counters.applyFailures['cpu.weight'] ?? 0) > 0);
  });

  test('a call that no thread ever took up leaves nothing behind that waits for it', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('weight: 250');
    const core = await bench.boot();
    await bench.settle();
    const own = bench.libvirt.tune;
    // All threads are stuck on other guests: answered `timeout`, without this guest being in quarantine.
    bench.libvirt.tune = async () => ({ ok: false, failure: 'timeout', message: 'all libvirt workers wait' });
    bench.setClass('weight: 400');
    await core.operator.reload();
    await bench.settle();
    bench.libvirt.tune = own;
    for (let cycles = 0; cycles < 3; cycles++) {
      bench.aheadMs += 600_000;
      await bench.settle();
    }
    assert.equal(core.parts.teller.busy(uuid, 'cpu.weight'), false, 'busy for good');
    assert.equal(bench.weight(uuid), '400');
  });

  test('apply says what became of a value that only libvirt may set', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('weight: 250');
    const core = await bench.boot();
    await bench.settle();
    bench.setClass('weight: 400');
    const { outcomes } = await core.operator.apply({ acknowledge: null });
    assert.equal(bench.weight(uuid), '400');
    assert.equal(outcomes.find(({ control }) => control === 'cpu.weight')?.outcome, 'applied');
    bench.libvirt.tune = async () => ({ ok: false, failure: 'refused', message: 'no' });
    bench.setClass('weight: 500');
    const second = await core.operator.apply({ acknowledge: null });
    assert.equal(second.outcomes.find(({ control }) => control === 'cpu.weight')?.outcome, 'failed');
  });

  test('release --all with libvirt away does not say that it is done', async () => {
    bench.addGuest({ name: 'db-1' });
    bench.setClass('weight: 250');
    await bench.boot();
    await bench.settle();
    bench.libvirt.disconnect('killed');
    const start = bench.libvirt.start;
    bench.libvirt.start = async () => undefined;
    const core = await bench.boot({ blind: true });
    bench.libvirt.start = start;
    const said = await core.operator.release({ all: true }).then(
      ({ stopped }) => stopped,
      (error: Error) => error.message,
    );
    assert.notEqual(said, null, 'not one guest was reached');
  });
});

describe('on the kernel’s groups', { skip: NO_REAL_GROUPS }, () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench('real');
  });
  afterEach(async () => {
    mock.restoreAll();
    syncBuiltinESMExports();
    await bench.remove();
  });

  test('apply with a full disk does not say that all is as it should be', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    const original = promises.open as (...args: unknown[]) => Promise<unknown>;
    mock.method(promises, 'open', (...args: unknown[]) =>
      String(args[0]).endsWith('journal.new')
        ? Promise.reject(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }))
        : original.apply(promises, args),
    );
    syncBuiltinESMExports();
    const core = await bench.boot({ blind: true });
    await core.parts.inventory.resync();
    const report = await core.operator.apply({ acknowledge: null });
    assert.equal(bench.quota(uuid), '-1');
    assert.ok(
      report.stopped !== null || report.outcomes.some(({ outcome }) => outcome === 'failed'),
      JSON.stringify(report.outcomes),
    );
  });

  test('apply --acknowledge without a daemon lets through what was held back', async () => {
    for (let guest = 0; guest < 8; guest++) bench.addGuest({ name: `db-${guest}` });
    bench.setClass('limit: 20%');
    await bench.boot();
    bench.setClass('limit: 30%');
    // As a lone command opens the core: the files are read, nothing is judged yet.
    const lone = await bench.boot({ blind: true });
    await lone.parts.inventory.resync();
    const { stopped } = await lone.operator.apply({ acknowledge: null });
    const id = /--acknowledge (\w+)/.exec(stopped ?? '')?.[1] ?? '';
    const again = await bench.boot({ blind: true });
    await again.parts.inventory.resync();
    const report = await again.operator.apply({ acknowledge: id });
    assert.equal(report.stopped, null);
    assert.equal(report.changes.length, 8);
  });

  test('apply --acknowledge with files that have errors by now says nothing was written and lets nothing through', async () => {
    const uuids = Array.from({ length: 8 }, (_, guest) => bench.addGuest({ name: `db-${guest}` }));
    bench.setClass('limit: 20%');
    const core = await bench.boot();
    await bench.settle();
    bench.setClass('limit: 30%');
    await core.operator.reload();
    const id = core.parts.generations.pending?.generation.id ?? '';
    bench.policy = 'version: 2';
    const { stopped } = await core.operator.apply({ acknowledge: id });
    assert.match(stopped ?? '', /errors/);
    await core.reconciler.full();
    assert.equal(bench.quota(uuids[0] ?? ''), '20000');
  });

  test('a guest that libvirt lists as started and does not describe is not judged by its old description', async () => {
    const uuid = bench.libvirt.define({ name: 'db-1' });
    bench.setClass('limit: 20%');
    const core = await bench.boot();
    bench.libvirt.disconnect('killed');
    // It comes from a host where another virtslad had set 30 %; its originals travel with it.
    bench.startGuest(uuid, { name: 'db-1' });
    bench.setQuota(uuid, 30_000);
    bench.libvirt.refuse(uuid, 'cannot acquire state change lock');
    bench.libvirt.reconnect();
    await bench.settle();
    bench.libvirt.refuse(uuid, null);
    const xml =
      '<originals><setting control="cpu.limit" key="vcpu0/cpu.max" original="max 100000"><written>30000 100000</written></setting></originals>';
    await bench.libvirt.setOriginals(uuid, bench.libvirt.id(uuid) ?? 0, xml);
    await core.reconciler.resync();
    await bench.settle();
    assert.equal(bench.quota(uuid), '20000');
    await core.operator.release({ domain: 'db-1' });
    await bench.settle();
    assert.equal(bench.quota(uuid), '-1');
  });

  test('an undone edit stays undone, though the disk was slow to accept the edit', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    const core = await bench.boot();
    await bench.settle();
    const fifo = join(bench.stateDir, 'accepted-policy.json.new');
    execFileSync('mkfifo', [fifo]);
    bench.setClass('limit: 40%');
    await core.parts.generations.reload();
    const full = core.reconciler.full();
    await pause(50);
    bench.setClass('limit: 20%');
    await core.parts.generations.reload();
    const reader = openSync(fifo, 'r+');
    await full;
    await pause(50);
    await bench.settle();
    assert.equal(bench.quota(uuid), '20000', `descriptor ${reader}`);
  });

  test('what we tell libvirt about two controls at once is not taken for somebody else’s doing', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%, weight: 50');
    const core = await bench.boot();
    await bench.settle();
    assert.equal(core.parts.attribution.by(uuid, bench.clock.monotonicMs()), 'unknown');
  });
});

describe('a plan writes nothing', () => {
  test('neither does one that cannot read the journal', async () => {
    const bench = new Bench('files');
    try {
      const path = join(bench.stateDir, 'journal');
      writeFileSync(path, 'virtslad-journal 1 0\n# as good as any other text\n');
      const policy = join(bench.tree.root, 'policies');
      bench.setClass('limit: 20%');
      bench.tree.write(join(policy, '10.yaml'), bench.policy);
      const original = promises.readFile as (...args: unknown[]) => Promise<unknown>;
      mock.method(promises, 'readFile', (...args: unknown[]) =>
        String(args[0]) === path
          ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }))
          : original.apply(promises, args),
      );
      syncBuiltinESMExports();
      const session = await openLocal(
        { ...bench.configOf({ runDir: bench.tree.root, libvirtUri: null }), policyDir: policy },
        SILENT,
        {
          write: false,
        },
      );
      await session.plan().catch(() => undefined);
      await session.close();
      assert.match(readFileSync(path, 'utf8'), /as good as any/);
    } finally {
      mock.restoreAll();
      syncBuiltinESMExports();
      await bench.remove();
    }
  });
});

describe('hands-off', () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench('files');
  });
  afterEach(() => bench.remove());

  test('a hold that ends by itself does not manage a guest that had been released', async () => {
    let nowMs = 1_000;
    const register = new HandsOffRegister(bench.stateDir, { nowMs: () => nowMs, monotonicMs: () => nowMs });
    await register.set('u', { kind: 'released', name: 'db-1', untilMs: null });
    await register.set('u', { kind: 'held', name: 'db-1', untilMs: 2_000 });
    nowMs = 3_000;
    assert.equal(register.of('u')?.kind, 'released');
  });

  test('a hold that ends by itself does not release a guest that had been resumed', async () => {
    let nowMs = 1_000;
    const register = new HandsOffRegister(bench.stateDir, { nowMs: () => nowMs, monotonicMs: () => nowMs });
    await register.setAll([{ uuid: 'u', name: 'db-1' }]);
    await register.clear('u');
    await register.set('u', { kind: 'held', name: 'db-1', untilMs: 2_000 });
    nowMs = 3_000;
    assert.equal(register.of('u'), null);
  });
});

test('one directory may be for state and run alike', async () => {
  const bench = new Bench('files');
  try {
    const session = await openLocal(bench.configOf({ runDir: bench.stateDir, libvirtUri: null }), SILENT, {
      write: true,
    });
    await session.close();
  } finally {
    await bench.remove();
  }
});
