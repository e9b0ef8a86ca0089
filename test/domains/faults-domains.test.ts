/** Watches and the inventory when directories come again and descriptors run out. */
import assert from 'node:assert/strict';
import fs, { mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { Arrivals } from '../../src/domains/arrivals.js';
import { GroupWatcher } from '../../src/host/cgroup/watch.js';
import { Bench, NO_REAL_GROUPS, pause } from '../reconcile/faults-bench.js';

describe('watches', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'virtslad-watch-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  test('a vCPU group that was removed and made again under its old name is watched again', async () => {
    const group = join(directory, 'vcpu1');
    mkdirSync(group);
    const seen: string[] = [];
    const watcher = new GroupWatcher(({ kind, name }) => seen.push(`${kind} ${name}`));
    try {
      assert.equal(watcher.add(group), true);
      rmdirSync(group);
      await pause(30);
      mkdirSync(group);
      assert.equal(watcher.add(group), true);
      seen.length = 0;
      writeFileSync(join(group, 'cpu.max'), '1');
      await pause(50);
      assert.ok(
        seen.some((one) => one.endsWith('cpu.max')),
        `saw ${seen.join(', ') || 'nothing'}`,
      );
    } finally {
      watcher.close();
    }
  });

  test('a partition that systemd removed when its last guest left, and made again, is watched again', async () => {
    const machine = join(directory, 'machine.slice');
    const proc = join(directory, 'proc');
    mkdirSync(join(proc, '4242'), { recursive: true });
    writeFileSync(join(proc, '4242', 'cmdline'), 'qemu\0-uuid\0aaaa\0');
    mkdirSync(machine);
    const arrived: string[] = [];
    let arrivals: Arrivals | null = null;
    const watcher = new GroupWatcher((change) => void arrivals?.handle(change));
    arrivals = new Arrivals({
      hierarchy: { version: 2, root: directory },
      procRoot: proc,
      watcher,
      onArrival: (uuid) => arrived.push(uuid),
    });
    try {
      arrivals.start();
      rmdirSync(machine);
      await pause(30);
      mkdirSync(machine);
      await pause(30);
      mkdirSync(join(machine, 'machine-qemu.scope'));
      writeFileSync(join(machine, 'machine-qemu.scope', 'cgroup.procs'), '4242\n');
      await pause(100);
      assert.deepEqual(arrived, ['aaaa']);
    } finally {
      arrivals.stop();
      watcher.close();
    }
  });
});

describe('descriptors', { skip: NO_REAL_GROUPS }, () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench('real');
  });
  afterEach(async () => {
    mock.restoreAll();
    syncBuiltinESMExports();
    await bench.remove();
  });

  test('a /proc that cannot be read for want of descriptors does not make guests gone', async () => {
    const uuid = bench.addGuest({ name: 'job-1', persistent: false });
    bench.setClass('limit: 20%');
    const core = await bench.boot();
    await bench.settle();
    const read = fs.readFileSync;
    mock.method(fs, 'readFileSync', (...args: Parameters<typeof read>) => {
      if (String(args[0]).startsWith(bench.tree.proc)) {
        throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
      }
      return read(...args);
    });
    syncBuiltinESMExports();
    bench.libvirt.disconnect('busy');
    await core.reconciler.resync();
    const kept = core.parts.inventory.get(uuid)?.process ?? null;
    mock.restoreAll();
    syncBuiltinESMExports();
    assert.notEqual(kept, null);
  });

  test('a guest that cannot be opened for want of descriptors is not called gone, and is found again', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    const core = await bench.boot({ blind: true });
    const open = fs.openSync;
    mock.method(fs, 'openSync', (...args: Parameters<typeof open>) => {
      if (String(args[0]).includes('machine')) throw Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
      return open(...args);
    });
    syncBuiltinESMExports();
    await core.reconciler.resync();
    await core.reconciler.full();
    assert.doesNotMatch(core.parts.inventory.get(uuid)?.obstacle ?? '', /gone/);
    mock.restoreAll();
    syncBuiltinESMExports();
    await core.reconciler.resync();
    await bench.settle();
    assert.equal(bench.quota(uuid), '20000');
  });
});
