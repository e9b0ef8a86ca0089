/** Looking through /proc and the group trees of hosts that are plain files: what is QEMU, what is known, what is its own. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { BareGuests } from '../../src/domains/bare.js';
import { locateBare } from '../../src/domains/bare-locate.js';
import { findHierarchies } from '../../src/host/cgroup/layout.js';
import { QemuProcesses } from '../../src/host/proc/qemu-processes.js';
import { VcpuThreadReader } from '../../src/host/proc/vcpu-threads.js';

const UUID = '3f6fb426-5ee0-4a59-a5b8-34f545c6bab0';
const QEMU = '/usr/bin/qemu-system-x86_64';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'virtslad-bare-'));
  write('proc/sys/kernel/random/boot_id', 'boot');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

interface ProcessChange {
  readonly exe?: string | null;
  readonly argv?: readonly string[];
  readonly comm?: string;
  readonly state?: string;
  readonly startTicks?: number;
  readonly stack?: number;
  readonly flags?: number;
  readonly cgroup?: string;
  readonly threads?: Readonly<Record<number, string>>;
}

/** A process as the kernel shows it; again for one that has changed. */
function put(pid: number, change: ProcessChange = {}): void {
  const { exe = QEMU, comm = 'qemu-system-x86', state = 'S', startTicks = 5000, stack = 1 } = change;
  const threads = change.threads ?? { [pid]: comm };
  rmSync(join(root, `proc/${pid}`), { recursive: true, force: true });
  const fields = Array.from({ length: 50 }, () => '0');
  Object.assign(fields, { 0: state, 1: '1', 17: String(Object.keys(threads).length), 19: String(startTicks) });
  Object.assign(fields, { 6: String(change.flags ?? 0), 23: '4096', 25: String(stack) });
  write(`proc/${pid}/stat`, `${pid} (${comm}) ${fields.join(' ')}\n`);
  write(`proc/${pid}/cmdline`, (change.argv ?? [exe ?? 'x']).map((word) => `${word}\0`).join(''));
  write(`proc/${pid}/cgroup`, `${change.cgroup ?? '0::/'}\n`);
  for (const [id, name] of Object.entries(threads)) write(`proc/${pid}/task/${id}/comm`, `${name}\n`);
  if (exe !== null) symlinkSync(exe, join(root, `proc/${pid}/exe`));
}

function processes(): { readonly scan: () => Promise<number[]>; readonly described: string[] } {
  const described: string[] = [];
  const qemu = new QemuProcesses({
    procRoot: join(root, 'proc'),
    describe: ({ argv }) => {
      described.push(argv.join(' '));
      if (argv.includes('throw')) throw new Error('a defect');
      return argv.includes('ignore') ? null : argv;
    },
  });
  return { scan: async () => (await qemu.scan()).processes.map(({ pid }) => pid), described };
}

describe('which processes are QEMU', () => {
  test('by the program, whatever it calls itself, also after an upgrade', async () => {
    put(10);
    put(11, { exe: `${QEMU} (deleted)`, comm: 'web (1) x' });
    put(12, { exe: '/usr/libexec/qemu-kvm' });
    put(13, { exe: '/opt/kvm' });
    put(14, { exe: '/nix/store/x/bin/.qemu-system-x86_64-wrapped' });
    put(20, { exe: '/usr/bin/qemu-img' });
    put(21, { exe: '/usr/bin/qemu-x86_64-static' });
    put(22, { exe: '/usr/bin/sleep', argv: ['qemu-system-x86_64'], comm: 'qemu-system-x86' });
    put(23, { exe: null, argv: [], comm: 'kvm-nx-lpage-re' });
    put(24, { exe: null, argv: [''], comm: 'kvm' });
    put(25, { state: 'Z' });
    write('proc/self/stat', 'x');
    mkdirSync(join(root, 'proc/30'));
    write('proc/31/stat', 'nonsense');
    assert.deepEqual(await processes().scan(), [10, 11, 12, 13, 14]);
  });

  test('by its first word when the kernel does not show the program', async () => {
    put(10, { exe: null, argv: ['/usr/bin/qemu-system-x86_64', '-S'] });
    put(11, { exe: null, argv: ['vi', 'qemu-system-x86_64'] });
    assert.deepEqual(await processes().scan(), [10]);
  });

  test('one that is known is not described again, one that became another program is', async () => {
    put(10, { argv: ['qemu', 'a'] });
    put(11, { exe: '/bin/sh', argv: ['sh', 'qemu-system-x86_64'], comm: 'qemu-system-x86' });
    put(12, { exe: '/bin/sh', argv: ['sh'], comm: 'launch' });
    put(13, { argv: ['qemu', 'ignore'] });
    const { scan, described } = processes();
    assert.deepEqual(await scan(), [10]);
    assert.deepEqual(await scan(), [10]);
    assert.deepEqual(described, ['qemu a', 'qemu ignore']);
    // A wrapper with QEMU's own name, one that renames itself to the old name, and a pid that was used again.
    put(11, { argv: ['qemu', 'b'] });
    put(12, { argv: ['qemu', 'c'], comm: 'launch', stack: 2 });
    put(10, { argv: ['qemu', 'd'], startTicks: 6000 });
    assert.deepEqual(await scan(), [10, 11, 12]);
    assert.deepEqual(described.slice(2).sort(), ['qemu b', 'qemu c', 'qemu d']);
    rmSync(join(root, 'proc/10'), { recursive: true });
    assert.deepEqual(await scan(), [11, 12]);
  });

  test('a program that has no command line yet is looked at again', async () => {
    put(10, { argv: [] });
    const { scan } = processes();
    assert.deepEqual(await scan(), []);
    put(10, { argv: ['qemu'] });
    assert.deepEqual(await scan(), [10]);
  });

  test('what cannot be told is said, and what is known stays', async () => {
    put(10);
    put(11, { argv: ['qemu', 'throw'] });
    const qemu = new QemuProcesses({
      procRoot: join(root, 'proc'),
      describe: ({ argv }) => {
        if (argv.includes('throw')) throw new Error('a defect');
        return argv;
      },
    });
    const first = await qemu.scan();
    assert.deepEqual([first.processes.length, first.problem], [1, 'process 11 cannot be described: a defect']);
    renameSync(join(root, 'proc'), join(root, 'away'));
    const blind = await qemu.scan();
    assert.equal(blind.processes.length, 1);
    assert.match(blind.problem ?? '', /ENOENT/);
  });

  test('words of any bytes, and no more of them than is good', async () => {
    put(10, { argv: ['qemu', '-name', 'ü', 'x'.repeat(600 * 1024)] });
    const { scan, described } = processes();
    assert.deepEqual(await scan(), [10]);
    assert.equal(described[0], 'qemu -name ü');
  });
});

test('vCPU threads by name, also of those plugged in later; a name that is not yet set is read again', () => {
  const names = { 10: 'qemu-system-x86', 11: 'CPU 0/KVM', 12: 'qemu-system-x86', 13: 'worker' };
  put(10, { threads: names });
  const reader = new VcpuThreadReader(join(root, 'proc'), 10);
  const first = reader.read(4);
  assert.deepEqual([...first.byVcpu], [[0, 11]]);
  assert.equal(reader.read(4), first);
  put(10, { threads: { ...names, 12: 'CPU 1/KVM', 14: 'CPU 12/KVM' } });
  assert.deepEqual(
    [...reader.read(5).byVcpu],
    [
      [0, 11],
      [1, 12],
      [12, 14],
    ],
  );
  put(10, { threads: { 10: 'x', 20: 'ALL CPUs/TCG' } });
  assert.deepEqual([reader.read(2).byVcpu.size, reader.read(2).shared], [0, 20]);
  rmSync(join(root, 'proc/10'), { recursive: true });
  assert.equal(reader.read(1).shared, null);
});

describe('its own groups', () => {
  const v2 = 'cpuset cpu io memory pids';

  function group(path: string, procs: readonly number[], controllers = v2): void {
    write(`cgroup/${path}/cgroup.procs`, procs.map((pid) => `${pid}\n`).join(''));
    if (controllers !== '') write(`cgroup/${path}/cgroup.controllers`, `${controllers}\n`);
  }

  function locate(pid = 10, vcpuThreadIds: readonly number[] = []) {
    const options = {
      hierarchies: findHierarchies(join(root, 'cgroup')),
      procRoot: join(root, 'proc'),
      runLibvirt: join(root, 'run'),
    };
    return locateBare({ pid, uuid: UUID, offshoots: [99], vcpuThreadIds }, options);
  }

  beforeEach(() => group('', []));

  for (const [path, systemdOwned] of [
    ['vm/db', false],
    ['system.slice/vm-foo.service', true],
    ['system.slice/run-u12.scope', true],
    ['qemu.slice/100.scope', true],
    ['system.slice/pods.service/db', false],
  ] as const) {
    test(`v2: /${path}`, () => {
      group(path, [10, 99]);
      put(10, { cgroup: `0::/${path}` });
      const { cgroup, groups, reasons } = locate();
      assert.deepEqual(reasons, {});
      assert.equal(cgroup?.domainDir, join(root, 'cgroup', path));
      assert.equal(cgroup?.weightDir, cgroup?.domainDir);
      assert.equal(cgroup?.systemdOwned, systemdOwned);
      assert.deepEqual(Object.keys(groups).sort(), ['cpuset', 'io', 'memory']);
    });
  }

  for (const [what, path, procs, reason] of [
    ['the root group', '', [10], /no cpu cgroup of its own/],
    ['a slice', 'vms.slice', [10], /no cpu cgroup of its own/],
    ['a user’s own systemd', 'user.slice/user-0.slice/user@0.service/app.slice/vm.scope', [10], /another systemd/],
    ['somebody else in it', 'user.slice/user-0.slice/session-1.scope', [9, 10], /holds other processes too/],
    ['it has left', 'vm', [], /does not hold process 10 any more/],
  ] as const) {
    test(`v2, observed only: ${what}`, () => {
      group(path, procs);
      put(10, { cgroup: `0::/${path}` });
      const { cgroup, reasons } = locate();
      assert.equal(cgroup, null);
      assert.match(reasons.cpu ?? '', reason);
    });
  }

  test('v2, observed only: somebody else below it', () => {
    group('vm', [10]);
    group('vm/a', []);
    group('vm/a/b', [11]);
    put(10, { cgroup: '0::/vm' });
    assert.match(locate().reasons.cpu ?? '', /holds other processes too/);
  });

  test('v2: a controller that is not passed on', () => {
    group('vm', [10], 'cpu');
    put(10, { cgroup: '0::/vm' });
    const { cgroup, groups, reasons } = locate();
    assert.ok(cgroup);
    assert.deepEqual(groups, {});
    assert.match(reasons.memory ?? '', /has no memory controller/);
  });

  test('v2: kernel threads that work for it are no strangers', () => {
    group('vm', [10, 77]);
    put(10, { cgroup: '0::/vm' });
    put(77, { exe: null, argv: [], comm: 'vhost-10', flags: 0x208040 });
    assert.equal(locate().reasons.cpu, undefined);
    put(77, { exe: null, argv: [], comm: 'vhost-10' });
    assert.match(locate().reasons.cpu ?? '', /holds other processes too/);
  });

  test('v2: a group that cannot be read is not taken for empty', () => {
    group('vm', [10]);
    rmSync(join(root, 'cgroup/vm/cgroup.procs'));
    put(10, { cgroup: '0::/vm' });
    assert.match(locate().reasons.cpu ?? '', /cannot be read wholly/);
  });

  test('v1: its own group in one tree, a shared one and none in others', () => {
    rmSync(join(root, 'cgroup'), { recursive: true });
    for (const tree of ['cpu,cpuacct', 'memory', 'blkio']) group(tree, [], '');
    group('cpu,cpuacct/vm', [10], '');
    group('memory/all', [10, 11], '');
    put(10, { cgroup: '3:cpu,cpuacct:/vm\n2:memory:/all\n1:blkio:/\n0::/' });
    const { cgroup, groups, reasons } = locate();
    assert.equal(cgroup?.version, 1);
    assert.equal(cgroup?.domainDir, join(root, 'cgroup/cpu,cpuacct/vm'));
    assert.deepEqual(groups, {});
    assert.match(reasons.memory ?? '', /holds other processes too/);
    assert.match(reasons.io ?? '', /no io cgroup of its own/);
    assert.match(reasons.cpuset ?? '', /no cpuset controller mounted/);
  });

  test('a vCPU thread that was put elsewhere', () => {
    group('vm', [10]);
    put(10, { cgroup: '0::/vm', threads: { 10: 'x', 11: 'CPU 0/KVM', 12: 'CPU 1/KVM' } });
    write('proc/10/task/11/cgroup', '0::/vm/vcpu0\n');
    write('proc/10/task/12/cgroup', '0::/other\n');
    assert.ok(locate(10, [11]).cgroup);
    assert.match(locate(10, [11, 12]).reasons.cpu ?? '', /vCPU thread 12 is in another cgroup/);
  });

  test('a guest of libvirt’s, where libvirt is not asked', () => {
    const path = 'machine/qemu-1-x.libvirt-qemu';
    group(path, [10]);
    write(`cgroup/${path}/emulator/cgroup.threads`, '10\n98\n');
    write(`cgroup/${path}/cgroup.procs`, '10\n98\n');
    mkdirSync(join(root, 'cgroup', path, 'vcpu0'));
    put(10, { cgroup: `0::/${path}/emulator`, argv: [QEMU, '-uuid', UUID] });
    put(98, { exe: '/usr/bin/swtpm', comm: 'swtpm', argv: ['swtpm'] });
    assert.equal(locate().cgroup?.domainDir, join(root, 'cgroup', path));
  });

  describe('look by look', () => {
    function guestsOf(usesLibvirt = true): BareGuests {
      return new BareGuests({
        hierarchies: findHierarchies(join(root, 'cgroup')),
        procRoot: join(root, 'proc'),
        runLibvirt: join(root, 'run'),
        usesLibvirt,
        hostArch: 'x86_64',
      });
    }
    const argv = [QEMU, '-name', 'db,debug-threads=on', '-uuid', UUID, '-smp', '2'];
    const threads = { 10: 'qemu-system-x86', 11: 'CPU 0/TCG', 12: 'CPU 1/TCG' };
    function putGuest(change: ProcessChange = {}): void {
      put(10, { argv, threads, cgroup: '0::/vm', ...change });
      for (const id of [11, 12]) write(`proc/10/task/${id}/cgroup`, `${change.cgroup ?? '0::/vm'}\n`);
    }

    test('it moves into a group of its own, out of it, and ends', async () => {
      group('vm', [10]);
      putGuest({ cgroup: '0::/' });
      const guests = guestsOf();
      const [homeless] = (await guests.scan()).guests;
      assert.match(homeless?.obstacle ?? '', /no cpu cgroup of its own: observed only/);
      putGuest();
      const [found] = (await guests.scan()).guests;
      assert.equal(found?.obstacle, null);
      assert.deepEqual([found?.uuid, found?.name, found?.process.startTicks], [UUID, 'db', 5000n]);
      assert.deepEqual(
        [...(found?.vcpuThreads ?? [])],
        [
          [0, 11],
          [1, 12],
        ],
      );
      assert.equal((await guests.scan()).guests[0], found);
      putGuest({ cgroup: '0::/' });
      assert.notEqual((await guests.scan()).guests[0]?.obstacle, null);
      rmSync(join(root, 'proc/10'), { recursive: true });
      assert.deepEqual((await guests.scan()).guests, []);
    });

    test('somebody who joins its group is seen before long', async () => {
      group('vm', [10]);
      putGuest();
      const guests = guestsOf();
      assert.equal((await guests.scan()).guests[0]?.obstacle, null);
      group('vm', [10, 11]);
      let looks = 0;
      while ((await guests.scan()).guests[0]?.obstacle === null) assert.ok(++looks <= 12);
      group('vm', [10]);
      assert.equal((await guests.scan()).guests[0]?.obstacle, null, 'and seen to leave at once');
    });

    test('libvirt’s are told by any one mark', async () => {
      group('vm', [10]);
      for (const [why, change] of Object.entries({
        'its command line': { argv: [...argv, '-object', 'secret,id=masterKey0,format=raw,file=/x'] },
        'its group': { cgroup: '0::/machine/qemu-1-db.libvirt-qemu/emulator' },
      })) {
        putGuest(change);
        assert.deepEqual((await guestsOf().scan()).guests, [], why);
        assert.equal((await guestsOf(false).scan()).guests.length, 1, why);
      }
      putGuest();
      assert.equal((await guestsOf().scan()).guests.length, 1);
      assert.deepEqual((await guestsOf().scan(new Map([[UUID, 10]]))).guests, [], 'libvirt itself says so');
      write('run/qemu/db.pid', '10\n');
      assert.deepEqual((await guestsOf().scan()).guests, [], 'its pid file');
      assert.equal((await guestsOf(false).scan()).guests.length, 1);
    });
  });
});
