/** Guests that are not alone in their groups, or have no vCPU groups: what is managed and what is claimed of them. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { cpuLimit } from '../../src/controls/cpu-limit.js';
import { locateProcess } from '../../src/domains/locate.js';
import { BLIND } from '../../src/domains/sight.js';
import type { Domain } from '../../src/domains/types.js';
import { findHierarchies } from '../../src/host/cgroup/layout.js';
import { defaultHardware, defaultTuning } from '../fakes/fake-tuning.js';
import { type GuestOnTree, HostTree, type LayoutName } from '../fixtures/host-tree.js';
import { classWith, HOST } from '../reconcile/guest-model.js';

const GUEST: GuestOnTree = { pid: 4242, uuid: '3f6fb426-5ee0-4a59-a5b8-34f545c6bab0', name: 'db-1', id: 7, vcpus: 2 };
const SWTPM = 4300;

let tree: HostTree;
afterEach(() => tree.remove());

for (const layout of ['v1', 'v2-nested'] satisfies LayoutName[]) {
  // qemuSetupCgroupForExtDevices (libvirt src/qemu/qemu_cgroup.c): swtpm, virtiofsd, slirp go into `emulator`.
  test(`${layout}: a guest with a TPM is managed: libvirt puts swtpm into its emulator group`, () => {
    tree = new HostTree(layout);
    tree.addGuest(GUEST);
    tree.addProcess(SWTPM, 'x', 6000, ['/usr/bin/swtpm', 'socket']);
    const domain = tree.domainDir(GUEST);
    const both = `${GUEST.pid}\n${SWTPM}`;
    if (layout === 'v1') {
      tree.write(join(domain, 'emulator', 'cgroup.procs'), both);
    } else {
      // Threaded groups below: the domain's own lists all processes, `emulator` their threads.
      tree.write(join(domain, 'cgroup.procs'), both);
      const worker = GUEST.pid + 1;
      tree.addProcess(worker, 'x', 5000, ['qemu', '-uuid', GUEST.uuid]);
      tree.write(join(domain, 'emulator', 'cgroup.threads'), `${both}\n${worker}`);
    }
    const hierarchies = findHierarchies(tree.cgroup);
    const found = locateProcess(GUEST.pid, GUEST.uuid, {
      hierarchies,
      procRoot: tree.proc,
      runLibvirt: tree.runLibvirt,
    });
    assert.equal(found.ok, true, found.ok ? '' : found.obstacle);
  });
}

test('a running guest without vCPU groups is not said to hold its limit', () => {
  tree = new HostTree('v1');
  tree.addGuest({ ...GUEST, vcpus: 0 });
  const found = locateProcess(GUEST.pid, GUEST.uuid, {
    hierarchies: findHierarchies(tree.cgroup),
    procRoot: tree.proc,
    runLibvirt: tree.runLibvirt,
  });
  assert.ok(found.ok);
  const domain: Domain = {
    uuid: GUEST.uuid,
    name: GUEST.name,
    source: 'libvirt',
    state: 'running',
    facts: {
      uuid: GUEST.uuid,
      name: GUEST.name,
      title: '',
      description: '',
      metadata: [],
      id: GUEST.id,
      state: 'running',
      persistent: true,
      vcpusOnline: 2,
      vcpusMax: 2,
      hardware: defaultHardware(),
      tuning: defaultTuning(),
      definition: null,
      originalsXml: null,
    },
    process: found.process,
    cgroup: found.cgroup,
    groups: found.groups,
    reasons: {},
    gaps: [],
    vcpuGroups: [],
    vcpuThreads: new Map(),
    hostDevices: new Map(),
    security: null,
    obstacle: null,
  };
  const desired = cpuLimit.desired(classWith({ limit: 0.5 }), domain, HOST, BLIND);
  assert.equal(desired.kind, 'unsupported');
});
