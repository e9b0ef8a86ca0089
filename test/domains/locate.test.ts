/** Finding a guest's process and groups in every layout, and refusing everything that is not clearly the guest's own. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { CONTROLS } from '../../src/controls/registry.js';
import { DomainHandles } from '../../src/domains/handles.js';
import { isAlive, type Located, type LocateOptions, locateProcess } from '../../src/domains/locate.js';
import type { Domain } from '../../src/domains/types.js';
import { findCpuHierarchy, isCleanPath } from '../../src/host/cgroup/layout.js';
import { pidOf, readPidFiles } from '../../src/host/libvirt/pid-files.js';
import { planDomain } from '../../src/reconcile/plan.js';
import { type GuestOnTree, HostTree, LAYOUTS, type LayoutName } from '../fixtures/host-tree.js';
import { classWith, HOST } from '../reconcile/guest-model.js';

const GUEST: GuestOnTree = { pid: 4242, uuid: '3f6fb426-5ee0-4a59-a5b8-34f545c6bab0', name: 'db-1', id: 7, vcpus: 2 };

let tree: HostTree;
afterEach(() => tree.remove());

function optionsOf(host: HostTree): LocateOptions {
  return { hierarchy: findCpuHierarchy(host.cgroup), procRoot: host.proc, runLibvirt: host.runLibvirt };
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

    const handles = DomainHandles.open(found.cgroup);
    assert.ok(handles);
    const domain: Domain = {
      uuid: GUEST.uuid,
      name: GUEST.name,
      state: 'running',
      facts: null,
      process: found.process,
      cgroup: found.cgroup,
      vcpuGroups: handles.vcpuGroups(),
      obstacle: null,
    };
    const { controls } = planDomain({
      domain,
      effective: classWith({ limit: 0.5, guarantee: 0.25 }),
      host: HOST,
      controls: CONTROLS,
      read: (path) => handles.read(path),
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

describe('what is not clearly the guest’s own is left alone', () => {
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
    assert.equal(DomainHandles.open({ ...found.cgroup, inode: found.cgroup.inode + 1n }), null);
  });

  test('a host without a CPU controller', () => {
    tree = new HostTree('v1');
    const nothing = locateProcess(1, GUEST.uuid, { ...optionsOf(tree), hierarchy: null });
    assert.match(obstacle(nothing), /no CPU controller/);
  });
});
