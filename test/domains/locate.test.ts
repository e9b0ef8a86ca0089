/** Finding a guest's process and groups in every layout, and refusing everything that is not clearly the guest's own. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { CONTROLS } from '../../src/controls/registry.js';
import { DomainHandles } from '../../src/domains/handles.js';
import { isAlive, type Located, type LocateOptions, locateProcess } from '../../src/domains/locate.js';
import type { Controller, Domain } from '../../src/domains/types.js';
import { domainGroups, findHierarchies, groupPath, isCleanPath } from '../../src/host/cgroup/layout.js';
import { pidOf, readPidFiles } from '../../src/host/libvirt/pid-files.js';
import { planDomain } from '../../src/reconcile/plan.js';
import { type GuestOnTree, HostTree, LAYOUTS, type LayoutName } from '../fixtures/host-tree.js';
import { classWith, HOST } from '../reconcile/guest-model.js';

const GUEST: GuestOnTree = { pid: 4242, uuid: '3f6fb426-5ee0-4a59-a5b8-34f545c6bab0', name: 'db-1', id: 7, vcpus: 2 };

let tree: HostTree;
afterEach(() => tree.remove());

function optionsOf(host: HostTree): LocateOptions {
  return { hierarchies: findHierarchies(host.cgroup), procRoot: host.proc, runLibvirt: host.runLibvirt };
}

function locate(host: HostTree, guest = GUEST): Located {
  return locateProcess(guest.pid, guest.uuid, optionsOf(host));
}

function obstacle(found: Located): string {
  assert.equal(found.ok, false);
  return found.ok ? '' : found.obstacle;
}

for (const layout of Object.keys(LAYOUTS) as LayoutName[]) {
  test(`${layout}: the right groups, the same verdict, the right owner`, () => {
    tree = new HostTree(layout);
    tree.addGuest(GUEST);
    assert.equal(readPidFiles(tree.runLibvirt).get('db-1'), GUEST.pid);
    assert.equal(pidOf(new Map([['a&quot;&lt;b&gt;&amp;&apos;', 7]]), `a"<b>&'`), 7, 'libvirt escapes the file name');
    assert.equal(pidOf(new Map(), 'db-1'), null);
    const found = locate(tree);
    assert.ok(found.ok, found.ok ? '' : found.obstacle);
    const { version, systemdOwned } = tree.layout;
    assert.equal(found.cgroup.version, version);
    assert.equal(found.cgroup.domainDir, tree.domainDir(GUEST));
    assert.equal(found.cgroup.weightDir, tree.weightDir(GUEST));
    assert.equal(found.cgroup.systemdOwned, systemdOwned);

    const handles = DomainHandles.open(found);
    assert.ok(handles);
    const domain: Domain = {
      uuid: GUEST.uuid,
      name: GUEST.name,
      source: 'libvirt',
      state: 'running',
      facts: null,
      process: found.process,
      cgroup: found.cgroup,
      groups: found.groups,
      reasons: {},
      gaps: [],
      vcpuGroups: handles.vcpuGroups(),
      vcpuThreads: new Map(),
      hostDevices: new Map(),
      security: null,
      obstacle: null,
    };
    const { controls } = planDomain({
      domain,
      effective: classWith({ limit: 0.5, guarantee: 0.25 }),
      host: HOST,
      controls: CONTROLS,
      sight: {
        read: (address) => handles.read(address),
        exists: (address) => handles.exists(address),
        problem: () => null,
      },
      record: () => null,
      baselineUnknown: false,
      mayAdopt: true,
      unsettled: () => false,
      held: () => false,
      occasion: 'policy',
    });
    const writes = controls.flatMap((control) => control.writes);
    assert.deepEqual(
      writes.map(({ path, from, text, writer }) => [path, from, text, writer]),
      [
        [join(tree.domainDir(GUEST), 'vcpu0/cpu.max'), 'max 100000', '50000 100000', 'direct'],
        [join(tree.domainDir(GUEST), 'vcpu1/cpu.max'), 'max 100000', '50000 100000', 'direct'],
        version === 1
          ? [join(tree.weightDir(GUEST), 'cpu.shares'), '1024', '512', systemdOwned ? 'libvirt' : 'direct']
          : [join(tree.weightDir(GUEST), 'cpu.weight'), '100', '50', systemdOwned ? 'libvirt' : 'direct'],
      ],
    );
    assert.ok(writes.every(({ path }) => !path.includes('emulator')));
    handles.close();
  });
}

describe('the groups of the other controllers', () => {
  const OTHERS = ['memory', 'io', 'cpuset'] as const satisfies readonly Controller[];

  for (const layout of Object.keys(LAYOUTS) as LayoutName[]) {
    test(`${layout}: each in its own tree, with one text for a value everywhere`, () => {
      tree = new HostTree(layout);
      tree.addGuest(GUEST);
      const found = locate(tree);
      assert.ok(found.ok, found.ok ? '' : found.obstacle);
      for (const controller of OTHERS) {
        assert.equal(found.groups[controller]?.domainDir, tree.domainDir(GUEST, controller), controller);
        assert.equal(found.groups[controller]?.weightDir, tree.weightDir(GUEST, controller), controller);
      }
      const handles = DomainHandles.open(found);
      assert.ok(handles);
      const memory = tree.domainDir(GUEST, 'memory');
      assert.equal(handles.read({ path: join(memory, 'memory.max') }), 'max');
      assert.equal(handles.read({ path: join(memory, 'memory.current') }), '104857600');
      const disk = { path: join(tree.domainDir(GUEST, 'io'), 'io.max'), device: '8:0' };
      assert.equal(handles.read(disk), 'rbps=max wbps=max riops=max wiops=max');
      assert.equal(handles.cpusetDirectory(1), join(tree.domainDir(GUEST, 'cpuset'), 'vcpu1'));
      assert.equal(handles.read({ path: join(handles.cpusetDirectory(1) ?? '', 'cpuset.cpus') }), '');
      const version = found.groups.memory?.version;
      assert.equal(handles.exists({ path: join(memory, 'memory.max') }), true);
      assert.equal(handles.exists({ path: join(memory, 'memory.high') }), version === 2);
      assert.equal(handles.exists({ path: join(memory, 'memory.memsw.max') }), version === 1);
      assert.equal(handles.exists({ path: join(memory, 'memory.peak') }), false);
      handles.close();
    });
  }

  test('nothing but the guest’s own groups is opened', () => {
    tree = new HostTree('v2-nested');
    tree.addGuest(GUEST);
    const found = locate(tree);
    assert.ok(found.ok);
    const handles = DomainHandles.open(found);
    const domain = tree.domainDir(GUEST);
    tree.write(join(domain, 'payload', 'memory.max'), 'max');
    for (const path of [domain, tree.weightDir(GUEST), join(domain, 'vcpu0'), join(domain, 'emulator')]) {
      assert.equal(handles?.group(path)?.path, path);
    }
    for (const path of [join(domain, 'payload'), join(domain, 'vcpu9'), join(domain, '..', '..'), '/sys/fs/cgroup']) {
      assert.equal(handles?.group(path), null, path);
    }
    const above = join(tree.cgroup, 'machine.slice');
    assert.equal(handles?.group(above), null);
    assert.equal(handles?.versionAbove(above), 2);
    handles?.close();
    assert.equal(handles?.group(domain), null, 'closed handles open nothing again');
  });

  test('v2: a controller that the groups above do not pass on is left out', () => {
    tree = new HostTree('v2-nested');
    tree.addGuest(GUEST);
    tree.write(join(tree.domainDir(GUEST), 'cgroup.controllers'), 'cpu io pids');
    const found = locate(tree);
    assert.ok(found.ok);
    assert.deepEqual(Object.keys(found.groups), ['io']);
  });

  test('v1: a memory group that it shares is left out; the CPU group alone decides', () => {
    tree = new HostTree('v1');
    tree.addGuest(GUEST);
    tree.write(join(tree.domainDir(GUEST, 'memory'), 'cgroup.procs'), `${GUEST.pid}\n4711`);
    const found = locate(tree);
    assert.ok(found.ok);
    assert.deepEqual(Object.keys(found.groups), ['io', 'cpuset']);
  });

  test('v1: a process in no memory group of its own', () => {
    tree = new HostTree('v1');
    tree.addGuest(GUEST);
    const lines = tree.cgroupLines(GUEST).replace(/:memory:.*/, ':memory:/');
    tree.addProcess(GUEST.pid, lines, 5000, ['qemu', '-uuid', GUEST.uuid]);
    const found = locate(tree);
    assert.ok(found.ok);
    assert.deepEqual(Object.keys(found.groups), ['io', 'cpuset']);
  });

  test('a controller that is not mounted', () => {
    tree = new HostTree('hybrid');
    assert.deepEqual(Object.keys(findHierarchies(tree.cgroup)).sort(), ['cpu', 'cpuset', 'io', 'memory']);
    rmSync(join(tree.cgroup, 'blkio'), { recursive: true });
    assert.deepEqual(Object.keys(findHierarchies(tree.cgroup)).sort(), ['cpu', 'cpuset', 'memory']);
  });

  test('v1 under systemd: the directory is used, not the symbolic link to it', () => {
    tree = new HostTree('v1-systemd');
    assert.equal(findHierarchies(tree.cgroup).cpu?.root, join(tree.cgroup, 'cpu,cpuacct'));
  });

  test('a process may be in a tree of its own for each controller', () => {
    const text = '9:pids:/\n4:memory:/a\n3:cpuset:/b\n2:cpuacct,cpu:/c/emulator\n1:blkio:/d\n0::/e\n';
    assert.deepEqual(
      (['cpu', 'memory', 'io', 'cpuset'] as const).map((controller) => groupPath(text, controller, 1)),
      ['/c/emulator', '/a', '/d', '/b'],
    );
    assert.equal(groupPath(text, 'memory', 2), '/e');
  });

  test('a bare QEMU in a service of its own: systemd owns the group', () => {
    const hierarchy = { version: 2, root: '/cg' } as const;
    assert.equal(domainGroups(hierarchy, '/system.slice/vm.service')?.systemdOwned, true);
    assert.equal(domainGroups(hierarchy, '/system.slice/vm.service/qemu')?.systemdOwned, false);
  });
});

test('names whose groups look alike: each process is found in its own', () => {
  tree = new HostTree('v2-nested');
  // systemd escapes `-` as `\x2d`; a guest may be called so outright.
  const names = ['db-1', 'db\\x2d1', 'emulator', 'vcpu0', 'libvirt', 'a.scope'];
  const guests = names.map((name, index) => ({ ...GUEST, pid: 5000 + index, id: 7 + index, name }));
  for (const guest of guests) tree.addGuest(guest);
  const directories = guests.map((guest) => {
    const found = locate(tree, guest);
    assert.ok(found.ok, found.ok ? '' : found.obstacle);
    assert.equal(found.cgroup.domainDir, tree.domainDir(guest));
    assert.deepEqual(found.cgroup.ancestors, [join(tree.cgroup, 'machine.slice')]);
    return found.cgroup.domainDir;
  });
  assert.equal(new Set(directories).size, names.length);
});

test('kernel threads that work for a guest are no strangers: the kernel puts vhost and KVM’s where the process is', () => {
  const PF_KTHREAD = 0x0020_0000;
  tree = new HostTree('v1');
  tree.addGuest(GUEST);
  tree.addProcess(99, '1:cpu:/machine', 1, [''], PF_KTHREAD);
  for (const controller of ['cpu', 'memory'] as const) {
    tree.write(join(tree.domainDir(GUEST, controller), 'cgroup.procs'), `${GUEST.pid}\n99`);
  }
  const found = locate(tree);
  assert.ok(found.ok, found.ok ? '' : found.obstacle);
  assert.ok(found.groups.memory);
});

describe('what is not clearly the guest’s own is left alone', () => {
  test('a process in a group below its own', () => {
    tree = new HostTree('v1');
    tree.addGuest(GUEST);
    // A bare QEMU right in the partition of others: the limit would be theirs too.
    tree.addProcess(99, '1:cpu:/machine', 1, ['qemu']);
    tree.write(join(tree.cgroup, 'cpu', 'machine', 'cgroup.procs'), '99');
    tree.write(join(tree.domainDir(GUEST), 'nested', 'cgroup.procs'), '4712');
    const inPartition = locateProcess(99, GUEST.uuid, optionsOf(tree));
    assert.match(obstacle(inPartition), /holds other processes/);
    assert.match(obstacle(locate(tree)), /holds other processes/);
  });

  test('another process in its group', () => {
    tree = new HostTree('v1');
    tree.addGuest(GUEST);
    tree.write(join(tree.domainDir(GUEST), 'cgroup.procs'), `${GUEST.pid}\n4711`);
    assert.match(obstacle(locate(tree)), /holds other processes/);
  });

  test('the root group', () => {
    tree = new HostTree('v2-nested');
    tree.addProcess(GUEST.pid, '0::/', 1, ['qemu']);
    assert.match(obstacle(locate(tree)), /no CPU cgroup of its own/);
  });

  test('a process that says it is another guest', () => {
    tree = new HostTree('v1');
    tree.addGuest(GUEST, { cmdlineUuid: '00000000-0000-4000-8000-000000000001' });
    assert.match(obstacle(locate(tree)), /left alone/);
  });

  test('a reused pid is another process', () => {
    tree = new HostTree('v1');
    tree.addGuest(GUEST, { startTicks: 5000 });
    const found = locate(tree);
    assert.ok(found.ok);
    assert.equal(isAlive(found.process, tree.proc), true);
    tree.addGuest(GUEST, { startTicks: 5001 });
    assert.equal(isAlive(found.process, tree.proc), false);
  });

  test('a path that would climb out of the tree', () => {
    tree = new HostTree('v2-nested');
    for (const path of ['/../../etc', '/machine.slice/../..', '//machine', '/a/./b', '/a\u0001b']) {
      assert.equal(isCleanPath(path), false, path);
      tree.addProcess(GUEST.pid, `0::${path}`, 1, ['qemu']);
      assert.equal(locate(tree).ok, false, path);
    }
  });

  test('a recreated directory of the same name is not the one that was opened', () => {
    tree = new HostTree('v1');
    tree.addGuest(GUEST);
    const found = locate(tree);
    assert.ok(found.ok);
    const another = { ...found.cgroup, inode: found.cgroup.inode + 1n };
    assert.equal(DomainHandles.open({ ...found, cgroup: another }), null);
    const memory = found.groups.memory ?? assert.fail('no memory group');
    const handles = DomainHandles.open({ ...found, groups: { memory: { ...memory, inode: memory.inode + 1n } } });
    assert.equal(handles?.group(memory.domainDir), null);
    handles?.close();
  });

  test('a host without a CPU controller', () => {
    tree = new HostTree('v1');
    const nothing = locateProcess(1, GUEST.uuid, { ...optionsOf(tree), hierarchies: {} });
    assert.match(obstacle(nothing), /no CPU controller/);
  });
});
