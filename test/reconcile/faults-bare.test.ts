/**
 * Guests without libvirt that come, go, change and are taken for each other, on hosts with libvirt and without; and what
 * systemd may answer about the scopes and services in which they live.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, join } from 'node:path';
import { afterEach, describe, mock, test } from 'node:test';
import { EmulatedBench } from './emulated-bench.js';
import type { Answer } from './emulated-systemd.js';

const UUID = '3f6fb426-5ee0-4a59-a5b8-34f545c6bab0';
const IMAGE = ['-drive', 'file=/images/db.img,if=virtio,id=disk0,cache=none'];
const EVERY_KEY = `
  cpu: { guarantee: 40%, limit: 50%, burst: 20ms, pin: "0-3" }
  memory: { guarantee: 512MiB, limit: 2GiB, high: 1536MiB, swap: 256MiB, merge: true }
  disk: { weight: 400, limit: { read: 10MiB/s, write-iops: 200 } }
  network: { limit: { in: 10Mbit/s } }`;
const CYCLES_TO_A_WHOLE_LOOK = 13;

let at: EmulatedBench;
afterEach(() => at.remove());

const without = (layout: 'v1' | 'v2-nested' | 'v2-no-systemd' = 'v2-nested'): EmulatedBench =>
  new EmulatedBench(layout, { withoutLibvirt: true });
const uuidOf = (name: string): string =>
  at.core.parts.inventory.all().find((one) => one.name === name)?.uuid ?? assert.fail(`no guest ${name}`);
const peek = (path: string): string => at.kernel.peek(join(at.tree.cgroup, path));
const wrongOf = (name: string): Record<string, string> =>
  Object.fromEntries(Object.entries(at.statuses(uuidOf(name))).filter(([, status]) => status !== 'holds'));

describe('every key', () => {
  for (const { layout, group, units } of [
    { layout: 'v1', group: 'vm/db', units: false },
    { layout: 'v2-nested', group: 'vm/db', units: false },
    { layout: 'v2-nested', group: 'system.slice/vm-db.service', units: true },
    { layout: 'v2-nested', group: 'system.slice/run-u12.scope', units: true },
    { layout: 'v2-nested', group: 'system.slice/pods.service/db', units: false },
  ] as const) {
    test(`${layout}, in ${group}`, async () => {
      at = without(layout);
      at.addBare({ name: 'db', group, vcpus: 2, argv: IMAGE });
      const before = at.values();
      at.setClass(EVERY_KEY);
      const core = await at.boot();
      await at.settle();
      const v1 = layout === 'v1';
      const unsupported = Object.entries(wrongOf('db'));
      assert.deepEqual(
        unsupported.map(([id]) => id),
        [
          ...(units ? ['cpu.burst'] : []),
          'cpu.pin',
          ...(v1 ? ['memory.guarantee', 'memory.high'] : []),
          ...(v1 ? ['disk.weight'] : []),
          ...(units ? ['disk.limit'] : []),
          'network.limit',
        ].sort((a, b) => order(a) - order(b)),
      );
      for (const [id, status] of unsupported) assert.match(status, /^unsupported: ./, id);
      if (!v1) assert.equal(peek(`${group}/cpu.max`), '100000 100000', 'of its two vCPUs half');
      const untouched = at.kernel.writes.filter(
        ({ path }) => units && path.startsWith(join(at.tree.cgroup, 'system.slice')),
      );
      assert.deepEqual(untouched, [], 'systemd’s own files');
      const calls = at.systemd.calls.length;
      const writes = at.kernel.writes.length;
      at.systemd.reload();
      await at.cycles(30);
      await at.boot();
      await at.settle();
      assert.deepEqual([at.kernel.writes.length, at.systemd.calls.length], [writes, calls], 'at rest');
      assert.deepEqual(core.parts.counters.driftRepairs, { libvirt: 0, systemd: 0, unknown: 0 });
      await at.core.operator.release({ all: true });
      await at.settle();
      assert.deepEqual(Object.fromEntries(at.values()), Object.fromEntries(before));
      assert.equal(at.core.parts.journal.uuids().size, 0);
    });
  }

  function order(id: string): number {
    return at.core.parts.controls.findIndex((control) => control.id === id);
  }
});

describe('processes', () => {
  test('appear and vanish: nothing stays behind of them, and nobody is alarmed', async () => {
    at = without();
    at.setClass('cpu: { limit: 50% }\nmemory: { limit: 2GiB }');
    const core = await at.boot();
    for (let round = 0; round < 4; round++) {
      const pid = at.addBare({ name: `db-${round}`, uuid: round % 2 === 0 ? null : UUID });
      await at.cycles(1);
      assert.deepEqual(wrongOf(`db-${round}`), {});
      at.endProcess(pid);
      if (round < 2) at.removeBareGroup(`vm/db-${round}`);
      await at.cycles(1);
      assert.deepEqual(at.core.parts.inventory.all(), []);
      assert.deepEqual(core.parts.picture.domains(), []);
    }
    assert.deepEqual(
      core.log.filter(({ level }) => level === 'error' || level === 'warn'),
      [],
    );
  });

  test('vanish in the middle of a cycle: the others are held', async () => {
    at = without();
    const pid = at.addBare({ name: 'going' });
    at.addBare({ name: 'staying' });
    at.setClass('cpu: { limit: 50% }');
    await at.boot();
    await at.settle();
    at.setClass('cpu: { limit: 30% }');
    await at.core.parts.generations.reload();
    // Both its group and its process are gone, and no look has noticed yet.
    at.endProcess(pid);
    at.removeBareGroup('vm/going');
    await at.core.reconciler.full();
    assert.equal(peek('vm/staying/cpu.max'), '30000 100000');
    await at.cycles(1);
    assert.deepEqual(
      at.core.parts.inventory.all().map(({ name }) => name),
      ['staying'],
    );
    assert.deepEqual(
      at.core.log.filter(({ level }) => level === 'error'),
      [],
    );
  });

  test('one has the pid of another that is gone: it is another guest', async () => {
    at = without();
    at.addBare({ name: 'first', uuid: UUID, pid: 4242, startTicks: 1000 });
    at.setClasses({ gold: ['first', 'cpu: { limit: 50% }'], silver: ['second', 'cpu: { limit: 30% }'] });
    await at.boot();
    await at.settle();
    assert.equal(peek('vm/first/cpu.max'), '50000 100000');
    at.endProcess(4242);
    at.kernel.group(join(at.tree.cgroup, 'vm/first')).processes.clear();
    at.addBare({ name: 'second', pid: 4242, startTicks: 2000 });
    await at.cycles(1);
    assert.deepEqual(
      at.core.parts.inventory.all().map(({ name }) => name),
      ['second'],
    );
    assert.notEqual(uuidOf('second'), UUID);
    assert.equal(peek('vm/second/cpu.max'), '30000 100000');
    const writes = at.kernel.writes.length;
    await at.cycles(15);
    assert.equal(at.kernel.writes.slice(writes).length, 0, 'the group of the first is nobody’s');
  });

  test('the same QEMU, started anew under its pid in its group: what stood there first is its original', async () => {
    at = without();
    at.addBare({ name: 'db', uuid: UUID, pid: 4242, startTicks: 1000 });
    at.kernel.poke(join(at.tree.cgroup, 'vm/db/cpu.max'), '90000 100000');
    at.setClass('cpu: { limit: 50% }');
    await at.boot();
    await at.settle();
    at.endProcess(4242);
    at.addBare({ name: 'db', uuid: UUID, pid: 4242, startTicks: 2000 });
    await at.cycles(2);
    await at.core.operator.release({ all: true });
    await at.settle();
    assert.equal(peek('vm/db/cpu.max'), '90000 100000');
  });

  test('one that is moved to another group is limited there, and that group gets its own value back', async () => {
    at = without();
    const pid = at.addBare({ name: 'db', uuid: UUID, group: 'vm/old' });
    at.setClass('cpu: { limit: 50% }');
    await at.boot();
    await at.settle();
    at.kernel.make(join(at.tree.cgroup, 'vm/new'));
    at.kernel.poke(join(at.tree.cgroup, 'vm/new/cpu.max'), '90000 100000');
    at.kernel.group(join(at.tree.cgroup, 'vm/old')).processes.clear();
    at.kernel.group(join(at.tree.cgroup, 'vm/old')).threads.clear();
    at.addBare({ name: 'db', uuid: UUID, group: 'vm/new', pid });
    await at.cycles(2);
    assert.equal(peek('vm/new/cpu.max'), '50000 100000');
    await at.core.operator.release({ all: true });
    await at.settle();
    assert.equal(peek('vm/new/cpu.max'), '90000 100000');
  });

  test('cannot be looked for now (too many open files): those that are known stay, and are mended', async () => {
    at = without();
    at.addBare({ name: 'db', uuid: UUID });
    at.setClass('cpu: { limit: 50% }');
    const core = await at.boot();
    await at.settle();
    const readdir = fs.readdirSync;
    const open = fs.openSync;
    const emfile = (path: unknown): void => {
      if (String(path).startsWith(at.tree.proc)) {
        throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
      }
    };
    mock.method(fs, 'readdirSync', (...args: Parameters<typeof readdir>) => {
      emfile(args[0]);
      return readdir(...args);
    });
    mock.method(fs, 'openSync', (...args: Parameters<typeof open>) => {
      emfile(args[0]);
      return open(...args);
    });
    syncBuiltinESMExports();
    try {
      at.kernel.poke(join(at.tree.cgroup, 'vm/db/cpu.max'), 'max');
      await at.cycles(15);
      assert.match(core.parts.inventory.bareProblem ?? '', /EMFILE/);
      assert.equal(peek('vm/db/cpu.max'), '50000 100000');
      assert.deepEqual(wrongOf('db'), {});
    } finally {
      mock.restoreAll();
      syncBuiltinESMExports();
    }
    await at.cycles(1);
    assert.equal(core.parts.inventory.bareProblem, null);
    assert.equal(uuidOf('db'), UUID);
  });
});

describe('who else is there', () => {
  test('another process comes into the group: nothing is written any more, whatever the policy says', async () => {
    at = without();
    at.addBare({ name: 'db', uuid: UUID });
    at.addBare({ name: 'web' });
    at.setClass('cpu: { limit: 50% }\nmemory: { limit: 2GiB }');
    await at.boot();
    await at.settle();
    const group = join(at.tree.cgroup, 'vm/db');
    at.kernel.enter(group, 99_999);
    await at.cycles(CYCLES_TO_A_WHOLE_LOOK);
    const writes = at.kernel.writes.length;
    at.setClass('cpu: { limit: 30% }\nmemory: { limit: 3GiB }');
    await at.reload();
    await at.cycles(20);
    const { obstacle, compliant } = at.snapshot(UUID);
    assert.match(obstacle ?? '', /holds other processes too: observed only$/);
    assert.equal(compliant, false);
    assert.deepEqual(
      at.kernel.writes.slice(writes).filter(({ path }) => path.startsWith(group)),
      [],
    );
    assert.equal(peek('vm/web/cpu.max'), '30000 100000');
    // Nor is anything given back, which the other may have come to rely on; it is once the guest is alone again.
    await at.core.operator.release({ domain: 'db' });
    await at.cycles(2);
    assert.equal(peek('vm/db/cpu.max'), '50000 100000');
    at.kernel.group(group).processes.delete(99_999);
    at.kernel.group(group).threads.delete(99_999);
    await at.cycles(CYCLES_TO_A_WHOLE_LOOK);
    assert.equal(peek('vm/db/cpu.max'), 'max 100000');
    assert.equal(peek('vm/db/memory.max'), 'max');
  });

  test('a guest of libvirt’s with its uuid appears: the bare one gives way and is left as it is', async () => {
    at = new EmulatedBench('v2-nested');
    at.addBare({ name: 'copy', uuid: UUID });
    at.setClass('cpu: { limit: 50% }');
    await at.boot();
    await at.cycles(1);
    assert.equal(peek('vm/copy/cpu.max'), '50000 100000');
    at.addGuest({ name: 'db-1', uuid: UUID, vcpus: 2, cputune: { vcpuQuotaUsec: 70_000 } });
    await at.cycles(2);
    assert.deepEqual(wrongOf('db-1'), {});
    assert.equal(at.snapshot(UUID).source, 'libvirt');
    assert.equal(at.value(UUID, 'cpu', 'vcpu1/cpu.max'), '50000 100000');
    const copy = uuidOf('copy');
    assert.notEqual(copy, UUID);
    assert.match(at.snapshot(copy).obstacle ?? '', /says it is guest 3f6fb426-.*libvirt.*observed only$/);
    const writes = at.kernel.writes.length;
    at.setClass('cpu: { limit: 30% }');
    await at.reload();
    await at.cycles(3);
    const below = join(at.tree.cgroup, 'vm/copy');
    assert.deepEqual(
      at.kernel.writes.slice(writes).filter(({ path }) => path.startsWith(below)),
      [],
    );
    assert.equal(at.value(UUID, 'cpu', 'vcpu0/cpu.max'), '30000 100000');
    await at.core.operator.release({ all: true });
    await at.settle();
    assert.equal(at.value(UUID, 'cpu', 'vcpu0/cpu.max'), '70000 100000');
    // libvirt's is gone: the uuid is the other's again, with what stood in its group before.
    at.stopGuest(UUID);
    at.libvirt.undefine(UUID);
    await at.cycles(CYCLES_TO_A_WHOLE_LOOK);
    assert.deepEqual(
      at.core.parts.inventory.all().map(({ name }) => name),
      ['copy'],
    );
  });

  test('two say that they are the same guest: neither is touched any more', async () => {
    at = without();
    at.addBare({ name: 'one', uuid: UUID });
    at.setClass('cpu: { limit: 50% }');
    await at.boot();
    await at.settle();
    const twin = at.addBare({ name: 'two', uuid: UUID });
    await at.cycles(1);
    const writes = at.kernel.writes.length;
    at.setClass('cpu: { limit: 30% }');
    await at.reload();
    await at.cycles(5);
    assert.equal(at.kernel.writes.length, writes);
    for (const { obstacle } of at.core.parts.picture.domains()) assert.match(obstacle ?? '', /say that they are guest/);
    at.endProcess(twin);
    at.removeBareGroup('vm/two');
    await at.cycles(2);
    assert.equal(peek('vm/one/cpu.max'), '30000 100000');
    assert.deepEqual(wrongOf('one'), {});
  });

  test('libvirt cannot be asked: bare guests are held all the same, and its own are not taken for bare ones', async () => {
    at = new EmulatedBench('v2-nested');
    const own = at.addGuest({ name: 'db-1' });
    at.addBare({ name: 'bare', uuid: UUID });
    at.setClass('cpu: { limit: 50% }');
    at.libvirt.disconnect('not there yet');
    await at.boot();
    await at.cycles(2);
    assert.equal(peek('vm/bare/cpu.max'), '50000 100000');
    assert.deepEqual(
      at.core.parts.inventory.all().map(({ name }) => name),
      ['bare'],
    );
    at.libvirt.reconnect();
    await at.cycles(1);
    assert.equal(at.value(own, 'cpu', 'vcpu0/cpu.max'), '50000 100000');
  });
});

describe('what systemd answers about the unit of a bare guest', () => {
  const CLASS = 'cpu: { limit: 50%, weight: 150 }\nmemory: { guarantee: 512MiB, limit: 2GiB, high: 1536MiB, swap: 0 }';
  const ANSWERS: readonly Answer[] = ['absent', 'vanished', 'timeout', 'refused', 'deaf'];

  test('from the start, then well, then at a release', async () => {
    at = without();
    const unitOf = (answer: string): string => `vm-${answer}.scope`;
    for (const answer of [...ANSWERS, 'ok']) at.addBare({ name: answer, group: `system.slice/${unitOf(answer)}` });
    let faulty = true;
    at.systemd.answer = (unit) => (faulty ? (ANSWERS.find((answer) => unitOf(answer) === unit) ?? 'ok') : 'ok');
    const before = at.values();
    at.setClass(CLASS);
    const core = await at.boot();
    await at.cycles(20);
    assert.deepEqual(wrongOf('ok'), {});
    for (const answer of ANSWERS) {
      const statuses = at.statuses(uuidOf(answer));
      assert.equal(Object.keys(statuses).length, 6);
      for (const [id, status] of Object.entries(statuses)) {
        assert.match(status, answer === 'vanished' ? /^pending: ./ : /^failed: ./, `${answer}, ${id}`);
      }
      const calls = at.systemd.calls.filter(({ unit }) => unit === unitOf(answer)).length;
      assert.ok(calls <= 6 * (answer === 'absent' ? 22 : 6), `${answer}: ${calls} calls`);
    }
    assert.deepEqual(
      at.kernel.writes.filter(({ path }) => basename(path) !== 'memory.low'),
      [],
    );
    faulty = false;
    at.elapsedMs += 11 * 60_000;
    await at.cycles(3);
    for (const answer of ANSWERS) assert.deepEqual(wrongOf(answer), {}, answer);

    faulty = true;
    const { outcomes } = await core.operator.release({ all: true });
    for (const answer of ANSWERS) {
      const applied = outcomes.filter((one) => one.domain === answer && one.outcome === 'applied');
      assert.deepEqual(applied, [], answer);
      assert.equal(core.parts.journal.of(uuidOf(answer)).length, 6, 'its originals stay on record');
    }
    faulty = false;
    at.elapsedMs += 11 * 60_000;
    await at.cycles(3);
    assert.deepEqual(Object.fromEntries(at.values()), Object.fromEntries(before));
    assert.equal(core.parts.journal.uuids().size, 0);
    assert.equal(core.parts.counters.cycleFailures, 0);
  });
});
