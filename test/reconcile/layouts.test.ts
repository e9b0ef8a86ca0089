/**
 * A class with every key on every layout of host and libvirt: where each value comes to stand and who sets it (a golden
 * table), that systemd's files are left to systemd, that it stays at rest, and that a release gives every value back.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { CONTROLS } from '../../src/controls/registry.js';
import { kernelFiles } from '../../src/host/cgroup/files.js';
import { planOf } from '../../src/reconcile/cycle.js';
import type { FakeDomainOptions } from '../fakes/fake-libvirt.js';
import { LAYOUTS, type LayoutName } from '../fixtures/host-tree.js';
import { ROOT } from '../support/paths.js';
import { EmulatedBench, GIB } from './emulated-bench.js';

/** Every key that a built control has, of those that do not exclude each other. */
const everyKey = (via: 'qemu' | 'cgroup'): string => `
  cpu: { guarantee: 40%, limit: 50%, burst: 20ms, pin: "0-3" }
  memory: { guarantee: 512MiB, limit: 2GiB, high: 1536MiB, swap: 256MiB, merge: true }
  disk: { weight: 400, histogram: true, via: ${via}, limit: { read: 10MiB/s, write: 20MiB/s, read-iops: 100, write-iops: 200 } }
  network: { limit: { in: 10Mbit/s, out: { average: 5Mbit/s, burst: 64KiB } } }
  svirt: { required: true }`;

const DEVICES = {
  vcpus: 2,
  disks: [{ target: 'vda' }],
  interfaces: [{ mac: '52:54:00:00:00:01' }],
} satisfies Partial<FakeDomainOptions>;

/** A guest whose definition tunes everything already. */
const TUNED = {
  vcpus: 2,
  cputune: { shares: 300, vcpuPeriodUsec: 50_000, vcpuQuotaUsec: 40_000 },
  memtune: { hardLimitKib: 3 * 1024 ** 2, swapHardLimitKib: 4 * 1024 ** 2 },
  disks: [{ target: 'vda', throttle: { fields: { total_iops_sec: 900, total_iops_sec_max: 1800 }, group: null } }],
  interfaces: [
    { mac: '52:54:00:00:00:03', inbound: { averageKbytes: 700, peakKbytes: 900 }, outbound: { averageKbytes: 800 } },
  ],
  pins: { 0: '1', 1: '2,3' },
} satisfies Partial<FakeDomainOptions>;

const isUnits = (path: string): boolean => /\.(?:scope|slice|service)$/.test(dirname(path));

/** A pin cannot be taken off a group that has threads in it: all CPUs are the same. */
function sameValues(after: ReadonlyMap<string, string>, before: ReadonlyMap<string, string>): void {
  const freed = (values: ReadonlyMap<string, string>) =>
    Object.fromEntries([...values].map(([path, text]) => [path, path.endsWith('cpuset.cpus') ? text || '0-7' : text]));
  assert.deepEqual(freed(after), freed(before));
}

const table: string[] = [];

/** The settings of a guest, those of its second vCPU left out. */
function describeGuest(at: EmulatedBench, uuid: string): string[] {
  const plan = planOf(at.core.parts, uuid) ?? assert.fail('no plan');
  const version = (path: string): 1 | 2 => (path.startsWith('/') ? at.kernel.group(dirname(path)).mount.version : 2);
  return plan.controls.flatMap(({ control, desired, states }) => {
    if (desired.kind !== 'set')
      return [`    ${control.id.padEnd(17)} ${desired.kind}: ${'reason' in desired ? desired.reason : ''}`];
    if (states.length === 0) return [`    ${control.id.padEnd(17)} nothing to set`];
    return states
      .filter(({ setting }) => !setting.key.startsWith('vcpu1/'))
      .map(({ setting: { key, path, text, writer, device } }) => {
        const files = path.startsWith('/') ? kernelFiles(basename(path), version(path)).join(' + ') : path;
        const where = path.startsWith('/') ? dirname(path).slice(at.tree.cgroup.length) : '';
        const line = `${key.padEnd(24)} ${writer.padEnd(8)} ${where === '' ? '' : `${where}/`}${files}`;
        return `    ${control.id.padEnd(17)} ${line} = ${device === undefined ? '' : `${device} `}${text}`;
      });
  });
}

describe('every key on every layout', () => {
  for (const layout of Object.keys(LAYOUTS) as LayoutName[]) {
    test(layout, async () => {
      const at = new EmulatedBench(layout);
      const byQemu = at.addGuest({ name: 'db-1', ...DEVICES });
      const byCgroup = at.addGuest({ name: 'web-1', ...DEVICES });
      const tuned = at.addGuest({ name: 'db-2', ...TUNED });
      const before = at.values();
      const beforeView = [byQemu, byCgroup, tuned].map((uuid) => at.libvirt.tuning(uuid));
      at.setClasses({ gold: ['db-*', everyKey('qemu')], silver: ['web-*', everyKey('cgroup')] });
      const core = await at.boot();
      await at.settle();

      for (const uuid of [byQemu, byCgroup, tuned]) {
        assert.equal(at.snapshot(uuid).obstacle, null);
        const left = Object.entries(at.statuses(uuid)).filter(([, status]) => !/^(?:holds|unsupported)/.test(status));
        assert.deepEqual(left, []);
      }
      const built = CONTROLS.filter((control) => control.built).map(({ id }) => id);
      assert.deepEqual(Object.keys(at.statuses(byQemu)), built, 'a class with every key has every control');
      table.push(layout, '  disk.via: qemu', ...describeGuest(at, byQemu));
      table.push('  disk.via: cgroup', ...describeGuest(at, byCgroup).filter((line) => line.includes('disk.limit')));

      const writes = at.kernel.writes.length;
      assert.deepEqual(
        at.kernel.writes.filter(({ errno }) => errno !== null),
        [],
      );
      assert.deepEqual(
        at.kernel.writes.filter(({ path }) => isUnits(path)),
        [],
        'systemd’s own files',
      );
      const calls = (): number =>
        at.systemd.calls.length + at.libvirt.calls.filter(({ op }) => /tune|set/.test(op)).length;
      const asked = calls();
      if (layout !== 'v1-systemd') at.systemd.reload();
      await at.cycles(30);
      await at.boot();
      await at.settle();
      assert.equal(at.kernel.writes.length, writes, 'at rest nothing is written, after a restart neither');
      assert.equal(calls(), asked, 'and nobody is told again');
      assert.deepEqual(core.parts.counters.driftRepairs, { libvirt: 0, systemd: 0, unknown: 0 });

      const { outcomes } = await at.core.operator.release({ all: true });
      assert.deepEqual(
        outcomes.filter(({ outcome }) => outcome === 'failed'),
        [],
      );
      await at.settle();
      sameValues(at.values(), before);
      assert.deepEqual([...at.core.parts.journal.uuids()], []);
      [byQemu, byCgroup, tuned].forEach((uuid, index) => {
        const [now, then] = [at.libvirt.tuning(uuid), beforeView[index]];
        assert.deepEqual(now.disks, then?.disks);
        assert.deepEqual(now.interfaces, then?.interfaces);
        assert.equal(at.libvirt.originalsXml(uuid), null);
      });
      await at.remove();
    });
  }

  after(() => {
    const file = join(ROOT, 'test', 'golden', 'reconcile', 'layouts.txt');
    const text = `${table.join('\n')}\n`;
    if (process.env.UPDATE_GOLDEN === '1') {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
    assert.equal(text, readFileSync(file, 'utf8'), 'layouts.txt is stale: UPDATE_GOLDEN=1 writes it anew');
  });
});

describe('guests whose names come to the same in the name of their group', () => {
  // virSystemdMakeMachineName drops what is no letter, digit, `-` or single dot; ids keep the groups apart.
  const NAMES = ['db1', 'db 1', 'd&b1', 'dü"b1', 'd\\x20b1'];

  for (const layout of ['v1', 'v1-systemd', 'v2-nested', 'v2-flat', 'v2-no-systemd', 'v2-partition'] as const) {
    test(layout, async () => {
      const at = new EmulatedBench(layout);
      const uuids = NAMES.map((name) =>
        at.addGuest({ name, ...DEVICES, machineName: 'db1', title: `t${name.length}` }),
      );
      const before = at.values();
      const body = (index: number): string =>
        `cpu: { limit: ${20 + index}%, weight: ${200 + index} }\nmemory: { limit: ${2 + index}GiB, swap: 0 }`;
      at.setClasses(
        Object.fromEntries(uuids.map((uuid, index) => [`c${index}`, [uuid, body(index)]] as const)),
        'uuid',
      );
      await at.boot();
      await at.settle();
      uuids.forEach((uuid, index) => {
        const v1 = layout.startsWith('v1');
        assert.deepEqual(
          [at.snapshot(uuid).name, at.snapshot(uuid).obstacle, at.statuses(uuid)],
          [
            NAMES[index],
            null,
            Object.fromEntries(['cpu.limit', 'cpu.weight', 'memory.limit', 'memory.swap'].map((id) => [id, 'holds'])),
          ],
        );
        assert.match(
          at.value(uuid, 'cpu', `vcpu1/${v1 ? 'cpu.cfs_quota_us' : 'cpu.max'}`),
          new RegExp(`^${20 + index}000`),
        );
        const weight = at.value(uuid, 'cpu', v1 ? 'cpu.shares' : 'cpu.weight', 'scope');
        assert.equal(weight, String(v1 ? Math.round((200 + index) * 10.24) : 200 + index));
        const limit = at.value(uuid, 'memory', v1 ? 'memory.limit_in_bytes' : 'memory.max');
        assert.equal(limit, String((2 + index) * GIB));
      });
      assert.equal(new Set(uuids.map((uuid) => at.directory(uuid))).size, NAMES.length);
      await at.core.operator.release({ all: true });
      await at.settle();
      sameValues(at.values(), before);
      await at.remove();
    });
  }
});
