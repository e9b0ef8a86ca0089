/** One guest in the inventory: its groups opened once, closed with it, and why it is left alone. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { Entry } from '../../src/domains/entry.js';
import { type Located, locateProcess } from '../../src/domains/locate.js';
import { findHierarchies } from '../../src/host/cgroup/layout.js';
import type { ListedDomain } from '../../src/host/libvirt/client.js';
import type { CgroupEmulator } from '../fakes/cgroup-emulator.js';
import { emulateGuest, emulateTrees } from '../fakes/cgroup-emulator-host.js';
import { type GuestOnTree, HostTree } from '../fixtures/host-tree.js';

const GUEST: GuestOnTree = { pid: 4242, uuid: '3f6fb426-5ee0-4a59-a5b8-34f545c6bab0', name: 'db-1', id: 7, vcpus: 2 };
const LISTED: ListedDomain = { uuid: GUEST.uuid, name: 'db-1', id: 7, state: 'running', persistent: true };

let tree: HostTree;
let kernel: CgroupEmulator;
let seen: string[];
let entry: Entry;

beforeEach(() => {
  tree = new HostTree('v1');
  kernel = emulateTrees(tree);
  seen = [];
  entry = newEntry(LISTED);
  start();
});
afterEach(() => {
  entry.close();
  assert.equal(kernel.openDescriptors, 0);
  tree.remove();
});

function newEntry(listed: ListedDomain): Entry {
  return new Entry(listed, 'libvirt', tree.proc, {
    cgroupFiles: kernel,
    onOpened: () => void seen.push('opened'),
    onClosed: () => void seen.push('closed'),
    onVcpus: (_uuid, handles) => void seen.push(`vcpus ${handles.vcpuGroups().join()}`),
  });
}

function start(): void {
  tree.addGuest(GUEST);
  emulateGuest(kernel, tree, GUEST);
}

function located(): Located {
  const hierarchies = findHierarchies(tree.cgroup, kernel);
  return locateProcess(GUEST.pid, GUEST.uuid, {
    hierarchies,
    procRoot: tree.proc,
    runLibvirt: tree.runLibvirt,
    cgroupFiles: kernel,
  });
}

test('opened, it has its process, groups and vCPUs; again, the old groups are closed first', () => {
  entry.open(located(), []);
  assert.equal(entry.domain.process?.pid, GUEST.pid);
  assert.deepEqual(entry.domain.vcpuGroups, [0, 1]);
  assert.deepEqual(Object.keys(entry.domain.groups).sort(), ['cpuset', 'io', 'memory']);
  assert.equal(entry.alive, true);
  entry.open(located(), []);
  assert.deepEqual(seen, ['vcpus 0,1', 'opened', 'closed', 'vcpus 0,1', 'opened']);
});

test('closed, nothing of the instance is left; once more is nothing', () => {
  entry.open(located(), []);
  entry.close();
  entry.close();
  const { process, cgroup, groups, vcpuGroups } = entry.domain;
  assert.deepEqual([process, cgroup, groups, vcpuGroups], [null, null, {}, []]);
  assert.deepEqual([entry.alive, entry.processAlive, entry.handles], [false, false, null]);
  assert.equal(seen.filter((one) => one === 'closed').length, 1);
});

test('vCPUs that come and go are seen when it is looked at, and said once', () => {
  entry.open(located(), []);
  kernel.make(join(tree.domainDir(GUEST), 'vcpu2'));
  entry.rebuild();
  entry.rebuild();
  assert.deepEqual(entry.domain.vcpuGroups, [0, 1, 2]);
  kernel.removeTree(join(tree.domainDir(GUEST), 'vcpu1'));
  entry.rebuild();
  assert.deepEqual(
    seen.filter((one) => one.startsWith('vcpus')),
    ['vcpus 0,1', 'vcpus 0,1,2', 'vcpus 0,2'],
  );
});

test('an obstacle closes it and stays until it is opened again', () => {
  entry.open(located(), []);
  entry.open({ ok: false, obstacle: 'observed only' }, []);
  assert.deepEqual([entry.domain.obstacle, entry.handles], ['observed only', null]);
  entry.open(located(), []);
  assert.equal(entry.domain.obstacle, null);
});

test('a group that is gone, another by now, another guest’s or not to be opened is an obstacle, each by its name', () => {
  const found = located();
  kernel.removeTree(tree.domainDir(GUEST));
  entry.open(found, []);
  assert.match(entry.domain.obstacle ?? '', /^its cgroup .* is gone$/);
  emulateGuest(kernel, tree, GUEST);
  entry.open(found, []);
  assert.match(entry.domain.obstacle ?? '', /is gone$/, 'made anew under its name');
  const end = kernel.fault({ file: new RegExp(`${tree.domainDir(GUEST)}$`), operation: 'open', errno: 'EMFILE' });
  entry.open(found, []);
  assert.match(entry.domain.obstacle ?? '', /^its cgroup cannot be opened: EMFILE/);
  end();
  const other = newEntry({ ...LISTED, uuid: 'other', name: 'db-2' });
  other.open(located(), []);
  entry.open(located(), [entry, other]);
  assert.equal(entry.domain.obstacle, 'its cgroup is that of guest db-2: left alone');
  other.close();
});

test('alive is the process that it was, in the group that it was', () => {
  entry.open(located(), []);
  tree.addGuest(GUEST, { startTicks: 6000 });
  assert.equal(entry.processAlive, false, 'the pid is another’s now');
  tree.addGuest(GUEST);
  assert.equal(entry.alive, true);
  kernel.removeTree(tree.domainDir(GUEST));
  assert.deepEqual([entry.processAlive, entry.alive], [true, false]);
});

test('it is starting until libvirt says otherwise', () => {
  entry.starting = true;
  entry.rebuild();
  assert.equal(entry.domain.state, 'starting');
  entry.starting = false;
  entry.listed = { ...LISTED, state: 'paused', name: 'renamed' };
  entry.rebuild();
  assert.deepEqual([entry.domain.state, entry.domain.name], ['paused', 'renamed']);
});
