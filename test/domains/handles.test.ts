/** The open groups of a guest on an emulated kernel: what is opened, kept and met again when groups come and go. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { AncestorGroups } from '../../src/domains/ancestors.js';
import { DomainHandles } from '../../src/domains/handles.js';
import { type Located, locateProcess } from '../../src/domains/locate.js';
import { findHierarchies } from '../../src/host/cgroup/layout.js';
import type { CgroupEmulator } from '../fakes/cgroup-emulator.js';
import { emulateGuest, emulateTrees } from '../fakes/cgroup-emulator-host.js';
import { type GuestOnTree, HostTree, LAYOUTS, type LayoutName } from '../fixtures/host-tree.js';

const GUEST: GuestOnTree = { pid: 4242, uuid: '3f6fb426-5ee0-4a59-a5b8-34f545c6bab0', name: 'db-1', id: 7, vcpus: 2 };

let tree: HostTree;
let kernel: CgroupEmulator;
let handles: DomainHandles;

function start(layout: LayoutName): Located & { ok: true } {
  tree = new HostTree(layout);
  tree.addGuest(GUEST);
  kernel = emulateTrees(tree);
  emulateGuest(kernel, tree, GUEST);
  const found = locateProcess(GUEST.pid, GUEST.uuid, {
    hierarchies: findHierarchies(tree.cgroup, kernel),
    procRoot: tree.proc,
    runLibvirt: tree.runLibvirt,
    cgroupFiles: kernel,
  });
  assert.ok(found.ok, found.ok ? '' : found.obstacle);
  assert.equal(kernel.openDescriptors, 0, 'a look at a process leaves nothing open');
  handles = DomainHandles.open(found, kernel) ?? assert.fail('gone');
  return found;
}

afterEach(() => {
  handles?.close();
  assert.equal(kernel.openDescriptors, 0, 'closed handles leave nothing open');
  tree.remove();
});

const vcpuMax = (vcpu = 0) => ({ path: join(tree.domainDir(GUEST), `vcpu${vcpu}`, 'cpu.max') });
const memoryMax = () => ({ path: join(tree.domainDir(GUEST, 'memory'), 'memory.max') });
const ioMax = () => ({ path: join(tree.domainDir(GUEST, 'io'), 'io.max'), device: '8:0' });

for (const layout of Object.keys(LAYOUTS) as LayoutName[]) {
  test(`${layout}: every value in the tree of its controller, on a kernel that behaves`, () => {
    const found = start(layout);
    assert.deepEqual(Object.keys(found.groups).sort(), ['cpuset', 'io', 'memory']);
    assert.deepEqual(handles.vcpuGroups(), [0, 1]);
    assert.equal(handles.read(vcpuMax()), 'max 100000');
    assert.equal(handles.read(memoryMax()), 'max');
    assert.equal(handles.read(ioMax()), 'rbps=max wbps=max riops=max wiops=max');
    const cpus = { path: join(handles.cpusetDirectory(1) ?? '', 'cpuset.cpus') };
    assert.equal(handles.read(cpus), found.groups.cpuset?.version === 1 ? '0-7' : '');
    assert.equal(handles.exists({ path: join(handles.cgroup.domainDir, 'cpu.max.burst') }), true);
    const onV2 = found.groups.memory?.version === 2;
    const memory = tree.domainDir(GUEST, 'memory');
    assert.equal(handles.exists({ path: join(memory, 'memory.low') }), onV2);
    assert.equal(handles.exists({ path: join(memory, 'memory.memsw.max') }), !onV2);
    // Both are in no group of threads.
    if (onV2) assert.equal(handles.exists({ path: join(memory, 'vcpu0', 'memory.max') }), false);
  });
}

describe('descriptors', () => {
  test('v2: one for each directory, and one for a value from its second reading on', () => {
    start('v2-no-systemd');
    assert.equal(kernel.openDescriptors, 1);
    handles.read(memoryMax());
    handles.read(ioMax());
    assert.equal(kernel.openDescriptors, 1);
    handles.read(memoryMax());
    handles.read(memoryMax());
    assert.equal(kernel.openDescriptors, 2);
    handles.read(vcpuMax());
    handles.read(vcpuMax());
    assert.equal(kernel.openDescriptors, 4);
  });

  test('figures are read without keeping any', () => {
    start('v2-no-systemd');
    for (let round = 0; round < 3; round++) {
      for (const name of [
        'memory.current',
        'memory.peak',
        'memory.stat',
        'memory.events',
        'memory.pressure',
        'io.stat',
      ]) {
        assert.notEqual(handles.read({ path: join(tree.domainDir(GUEST), name) }), null, name);
      }
    }
    assert.equal(kernel.openDescriptors, 1);
  });

  test('when there are none left a value is unreadable for now, and no group is called gone', () => {
    start('v1');
    const end = kernel.fault({ file: /./, operation: 'open', errno: 'EMFILE' });
    assert.equal(handles.read(vcpuMax()), null);
    assert.equal(handles.exists(vcpuMax()), true);
    assert.equal(handles.exists(), true);
    end();
    assert.equal(handles.read(vcpuMax()), 'max 100000');
  });
});

describe('groups that go and come', () => {
  test('a vCPU that was unplugged and plugged again is read in its new group', () => {
    start('v2-nested');
    kernel.poke(vcpuMax().path, '20000 100000');
    for (let times = 0; times < 2; times++) assert.equal(handles.read(vcpuMax()), '20000 100000');
    const directory = handles.vcpuDirectory(0);
    kernel.removeTree(directory);
    assert.equal(handles.read(vcpuMax()), null);
    assert.deepEqual(handles.vcpuGroups(), [1]);
    kernel.make(directory, { threaded: true });
    assert.equal(handles.read(vcpuMax()), 'max 100000');
  });

  test('the groups of another instance under the same names are never opened', () => {
    start('v1');
    handles.read(vcpuMax());
    handles.read(memoryMax());
    for (const controller of ['cpu', 'memory', 'io', 'cpuset'] as const)
      kernel.removeTree(tree.domainDir(GUEST, controller));
    emulateGuest(kernel, tree, GUEST);
    assert.equal(handles.exists(), false);
    for (const address of [vcpuMax(0), vcpuMax(1), memoryMax(), ioMax()]) {
      assert.equal(handles.read(address), null, address.path);
      assert.equal(handles.exists(address), true, 'nothing is known of what is not there');
    }
    assert.deepEqual(handles.vcpuGroups(), []);
  });

  test('v2: the same for the scope around the guest’s group', () => {
    start('v2-nested');
    const weight = { path: join(tree.weightDir(GUEST), 'cpu.weight') };
    kernel.removeTree(tree.weightDir(GUEST));
    emulateGuest(kernel, tree, GUEST);
    assert.equal(handles.read(weight), null);
  });

  test('closed handles open nothing again', () => {
    start('v1');
    handles.close();
    for (const address of [vcpuMax(), memoryMax(), ioMax()]) assert.equal(handles.read(address), null);
  });
});

describe('the groups above', () => {
  let ancestors: AncestorGroups;
  beforeEach(() => {
    start('v2-nested');
    ancestors = new AncestorGroups(kernel);
  });
  afterEach(() => ancestors.close());

  test('any value of those above the guest, of no others', () => {
    const slice = join(tree.cgroup, 'machine.slice');
    kernel.poke(join(slice, 'memory.low'), '1G');
    assert.equal(ancestors.read({ path: join(slice, 'memory.low') }, handles), '1073741824');
    assert.equal(ancestors.read({ path: join(slice, 'cpu.max') }, handles), 'max 100000');
    assert.equal(ancestors.exists({ path: join(slice, 'memory.min') }, handles), true);
    assert.equal(ancestors.exists({ path: join(slice, 'memory.memsw.max') }, handles), false);
    kernel.make(join(tree.cgroup, 'system.slice'));
    for (const directory of [tree.cgroup, join(tree.cgroup, 'system.slice'), tree.domainDir(GUEST)]) {
      assert.equal(ancestors.read({ path: join(directory, 'cpu.max') }, handles), null, directory);
    }
  });

  test('one that was removed and made again is read anew', () => {
    const max = { path: join(tree.cgroup, 'machine.slice', 'cpu.max') };
    kernel.poke(max.path, '50000 100000');
    assert.equal(ancestors.read(max, handles), '50000 100000');
    kernel.removeTree(join(tree.cgroup, 'machine.slice'));
    assert.equal(ancestors.read(max, handles), null);
    emulateGuest(kernel, tree, GUEST);
    assert.equal(ancestors.read(max, handles), 'max 100000');
  });
});
