/** The inventory of a host with libvirt's guests and bare ones: who is whose, who gives way, what stays while nobody can say. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import type { BareGuest, BareScan } from '../../src/domains/bare.js';
import { parseCommand } from '../../src/domains/bare-command.js';
import { bareFacts } from '../../src/domains/bare-facts.js';
import { parseOptions } from '../../src/domains/bare-options.js';
import type { DomainHandles } from '../../src/domains/handles.js';
import { Inventory } from '../../src/domains/inventory.js';
import { findHierarchies } from '../../src/host/cgroup/layout.js';
import type { CgroupEmulator } from '../fakes/cgroup-emulator.js';
import { emulateGuest, emulateTrees } from '../fakes/cgroup-emulator-host.js';
import { FakeLibvirt } from '../fakes/fake-libvirt.js';
import { HostTree } from '../fixtures/host-tree.js';

const UUIDS = ['a', 'b', 'c'].map((letter) => `${letter.repeat(8)}-0000-4000-8000-000000000000`);
const ARGV = ['/usr/bin/qemu-system-x86_64', '-smp', '1', '-m', '512'];

let tree: HostTree;
let kernel: CgroupEmulator;
let libvirt: FakeLibvirt;
let inventory: Inventory;
let scan: BareScan;
let claimed: ReadonlyMap<string, number | null>;
let opened: string[];
let nextPid: number;

function setUp(uri: string | null): void {
  tree = new HostTree('v2-no-systemd');
  kernel = emulateTrees(tree);
  libvirt = new FakeLibvirt({ uri });
  scan = { guests: [], problem: null };
  opened = [];
  nextPid = 5_000;
  const note = (what: string) => (uuid: string, _handles: DomainHandles) =>
    void opened.push(`${what} ${uuid.slice(0, 1)}`);
  inventory = new Inventory({
    hierarchies: findHierarchies(tree.cgroup, kernel),
    procRoot: tree.proc,
    runLibvirt: tree.runLibvirt,
    cgroupFiles: kernel,
    libvirt,
    bare: {
      scan: async (guests) => {
        claimed = guests ?? new Map();
        return scan;
      },
    },
    devices: { read: () => null, problem: () => null },
    onOpened: note('opened'),
    onClosed: note('closed'),
    onVcpus: () => undefined,
  });
}
beforeEach(() => setUp('fake:///'));
afterEach(() => {
  inventory.close();
  assert.equal(kernel.openDescriptors, 0, 'nothing stays open');
  tree.remove();
});

function bare(uuid: string, changes: Partial<BareGuest> = {}): BareGuest {
  const pid = changes.process?.pid ?? nextPid++;
  const name = changes.name ?? `bare-${pid}`;
  tree.addProcess(pid, `0::/vm/${name}`, pid, ARGV);
  const group = kernel.make(join(tree.cgroup, 'vm', name));
  const directories = { domainDir: group.path, weightDir: group.path, systemdOwned: false, ancestors: [] };
  const cgroup = { version: 2, ...directories, inode: group.inode } as const;
  const options = parseOptions(ARGV.slice(1));
  const command = parseCommand(ARGV, false, options);
  return {
    uuid,
    name,
    process: { pid, startTicks: BigInt(pid) },
    facts: bareFacts(command, { uuid, name, arch: 'x86_64', hugepages: false }),
    vcpuThreads: new Map(),
    gaps: [],
    obstacle: null,
    cgroup,
    groups: { memory: cgroup },
    reasons: {},
    ...changes,
  };
}

function startLibvirtGuest(uuid: string, name: string): number {
  libvirt.define({ uuid, name });
  const id = libvirt.startDomain(uuid);
  const guest = { pid: nextPid++, uuid, name, id, vcpus: 1 };
  tree.addGuest(guest, { startTicks: guest.pid });
  emulateGuest(kernel, tree, guest);
  return guest.pid;
}

const sourceOf = (uuid: string): string | undefined => inventory.get(uuid)?.source;

describe('beside libvirt', () => {
  beforeEach(() => libvirt.start(new AbortController().signal));

  test('the look at processes is told who libvirt’s guests are, with their pids', async () => {
    const pid = startLibvirtGuest(UUIDS[0] ?? '', 'db');
    libvirt.define({ uuid: UUIDS[1] ?? '', name: 'off' });
    await inventory.resync();
    assert.deepEqual(
      [...claimed],
      [
        [UUIDS[0], pid],
        [UUIDS[1], null],
      ],
    );
  });

  test('a bare guest is there with its groups, its facts and its reasons; the same object opens nothing anew', async () => {
    const guest = bare(UUIDS[0] ?? '', { reasons: { io: 'shared' }, gaps: ['its end is missing'] });
    scan = { guests: [guest], problem: null };
    await inventory.resync();
    const found = inventory.get(guest.uuid);
    assert.equal(found?.source, 'bare');
    assert.deepEqual(
      [found?.name, found?.state, found?.reasons, found?.gaps],
      [guest.name, 'running', { io: 'shared' }, ['its end is missing']],
    );
    assert.equal(found?.facts, guest.facts);
    assert.notEqual(inventory.handles(guest.uuid), null);
    await inventory.resync();
    await inventory.resync();
    assert.deepEqual(opened, ['opened a']);
    // Another object is another place or process.
    scan = { guests: [{ ...guest }], problem: null };
    await inventory.resync();
    assert.deepEqual(opened, ['opened a', 'closed a', 'opened a']);
  });

  test('one that is observed only has no handles; it gets them when it is alone, and loses them when it is not', async () => {
    const guest = bare(UUIDS[0] ?? '');
    const shared = { ...guest, cgroup: null, groups: {}, obstacle: 'holds other processes too' };
    for (const [now, handles] of [
      [shared, false],
      [guest, true],
      [shared, false],
      [guest, true],
    ] as const) {
      scan = { guests: [now], problem: null };
      await inventory.resync();
      assert.equal(inventory.handles(guest.uuid) !== null, handles);
      assert.equal(inventory.get(guest.uuid)?.obstacle, handles ? null : 'holds other processes too');
    }
    scan = { guests: [{ ...guest, cgroup: null, groups: {} }], problem: null };
    await inventory.resync();
    assert.match(inventory.get(guest.uuid)?.obstacle ?? '', /no CPU cgroup of its own/);
  });

  test('a uuid that libvirt lists is libvirt’s, whoever had it before; the other finds no place', async () => {
    const uuid = UUIDS[0] ?? '';
    const guest = bare(uuid);
    scan = { guests: [guest], problem: null };
    await inventory.resync();
    assert.equal(sourceOf(uuid), 'bare');
    const pid = startLibvirtGuest(uuid, 'db');
    await inventory.resync();
    assert.equal(sourceOf(uuid), 'libvirt');
    assert.equal(inventory.get(uuid)?.process?.pid, pid);
    assert.equal(inventory.all().length, 1);
    assert.deepEqual(opened, ['opened a', 'closed a', 'opened a']);
  });

  test('two cannot have one group: the second is left alone', async () => {
    startLibvirtGuest(UUIDS[0] ?? '', 'db');
    await inventory.resync();
    const theirs = inventory.get(UUIDS[0] ?? '')?.cgroup ?? assert.fail();
    scan = { guests: [bare(UUIDS[1] ?? '', { cgroup: theirs, groups: {} })], problem: null };
    await inventory.resync();
    assert.match(inventory.get(UUIDS[1] ?? '')?.obstacle ?? '', /its cgroup is that of guest db: left alone/);
    assert.equal(inventory.handles(UUIDS[1] ?? ''), null);
  });

  test('one that the look does not show stays for as long as its process and group live', async () => {
    const guest = bare(UUIDS[0] ?? '');
    scan = { guests: [guest], problem: null };
    await inventory.resync();
    scan = { guests: [], problem: 'EMFILE: too many open files' };
    await inventory.resync();
    assert.equal(inventory.bareProblem, 'EMFILE: too many open files');
    assert.notEqual(inventory.handles(guest.uuid), null);
    endProcess(guest.process.pid);
    await inventory.resync();
    assert.equal(inventory.get(guest.uuid), null);
    assert.deepEqual(opened, ['opened a', 'closed a']);
  });

  test('libvirt does not answer: bare guests are looked for all the same, and its own stay', async () => {
    startLibvirtGuest(UUIDS[0] ?? '', 'db');
    await inventory.resync();
    libvirt.disconnect('killed');
    scan = { guests: [bare(UUIDS[1] ?? '')], problem: null };
    assert.equal((await inventory.resync()).ok, false);
    assert.deepEqual(
      inventory.all().map(({ source }) => source),
      ['libvirt', 'bare'],
    );
  });
});

test('without libvirt the inventory is complete with the first look at processes', async () => {
  inventory.close();
  tree.remove();
  setUp(null);
  assert.equal(inventory.complete, false);
  scan = { guests: [bare(UUIDS[0] ?? '')], problem: null };
  await inventory.resync();
  assert.equal(inventory.complete, true);
  assert.equal(sourceOf(UUIDS[0] ?? ''), 'bare');
});

function endProcess(pid: number): void {
  tree.write(join(tree.proc, String(pid), 'stat'), `${pid} (qemu) ${Array.from({ length: 50 }, () => '1').join(' ')}`);
}

test('whatever comes and goes, in any order: every uuid once, libvirt’s are libvirt’s, handles for what may be acted on', async () => {
  const step = fc.record({
    uuid: fc.constantFrom(...UUIDS),
    does: fc.constantFrom('bare starts', 'bare ends', 'shares', 'libvirt starts', 'away', 'back', 'problem'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      inventory.close();
      tree.remove();
      setUp('fake:///');
      await libvirt.start(new AbortController().signal);
      const bares = new Map<string, BareGuest>();
      const listed = new Set<string>();
      let away = false;
      for (const { uuid, does } of steps) {
        const one = bares.get(uuid);
        if (does === 'bare starts' && one === undefined) bares.set(uuid, bare(uuid));
        if (does === 'bare ends' && one !== undefined) {
          endProcess(one.process.pid);
          bares.delete(uuid);
        }
        if (does === 'shares' && one !== undefined)
          bares.set(uuid, { ...one, cgroup: null, groups: {}, obstacle: 'shared' });
        if (does === 'libvirt starts' && !listed.has(uuid)) {
          startLibvirtGuest(uuid, `vm-${uuid[0]}`);
          listed.add(uuid);
        }
        if (does === 'away' && !away) libvirt.disconnect('killed');
        if (does === 'back' && away) libvirt.reconnect();
        if (does === 'away' || does === 'back') away = does === 'away';
        const problem = does === 'problem' ? 'EMFILE' : null;
        scan = { guests: problem === null ? [...bares.values()] : [], problem };
        const { ok } = await inventory.resync();
        const all = inventory.all();
        assert.equal(new Set(all.map((domain) => domain.uuid)).size, all.length);
        for (const domain of all) {
          const handles = inventory.handles(domain.uuid);
          assert.equal(handles !== null, domain.cgroup !== null);
          if (domain.obstacle !== null) assert.equal(handles, null);
          if (handles !== null) assert.notEqual(domain.process, null);
        }
        if (ok) for (const known of listed) assert.equal(sourceOf(known), 'libvirt');
        if (problem !== null) continue;
        for (const known of bares.keys()) if (sourceOf(known) !== 'libvirt') assert.equal(sourceOf(known), 'bare');
      }
    }),
    { numRuns: 25 },
  );
});
