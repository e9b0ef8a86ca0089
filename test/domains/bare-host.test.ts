/** Finding real QEMU processes that libvirt does not run, in the kernel's own /proc and cgroups, beside one that it runs. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { machine } from 'node:os';
import { after, test } from 'node:test';
import { BareGuests, type BareOptions, type BareGuest as FoundGuest } from '../../src/domains/bare.js';
import { DomainHandles } from '../../src/domains/handles.js';
import { findHierarchies } from '../../src/host/cgroup/layout.js';
import { QemuProcesses } from '../../src/host/proc/qemu-processes.js';
import { BareGuest, type BareGuestOptions, removeBareLeftovers } from '../support/bare-guest.js';
import { vcpuThreadIds } from '../support/cpu-time.js';
import { Lab } from '../support/lab.js';
import { sleep, waitUntil } from '../support/wait.js';

removeBareLeftovers();
const lab = await Lab.open();
after(() => lab.close());

const OPTIONS: BareOptions = {
  hierarchies: findHierarchies('/sys/fs/cgroup'),
  procRoot: '/proc',
  runLibvirt: lab.libvirtd.runDir,
  usesLibvirt: true,
  hostArch: machine(),
};

async function startBare(options: BareGuestOptions): Promise<BareGuest> {
  const guest = new BareGuest(lab.directory, options);
  lab.cleanup.defer(`destroy ${guest.name}`, () => guest.destroy());
  await guest.start();
  return guest;
}

/** Other guests may run on this host: only those of this lab are looked at. */
async function find(guests: BareGuests, pid: number): Promise<FoundGuest | undefined> {
  const { guests: found, problem } = await guests.scan();
  assert.equal(problem, null);
  return found.find((one) => one.process.pid === pid);
}

test('a bare guest is found with its name, uuid, vCPU threads and groups', async () => {
  const name = lab.guestName('a,b "c" ü');
  const guest = await startBare({ name, vcpus: 2, burn: false });
  const guests = new BareGuests(OPTIONS);
  const found = await waitUntil(
    'its vCPU threads to have their names',
    async () => {
      const one = await find(guests, guest.pid);
      return one?.vcpuThreads.size === 2 ? one : null;
    },
    { seconds: 5 },
  );
  assert.equal(found.uuid, guest.uuid);
  assert.equal(found.name, name);
  assert.equal(found.obstacle, null);
  assert.deepEqual(found.reasons, {});
  assert.deepEqual([...found.vcpuThreads].sort(), [...vcpuThreadIds(guest.pid)].sort());
  assert.equal(found.facts.vcpusOnline, 2);
  assert.equal(found.facts.hardware.memoryBytes, 16 * 2 ** 20);
  assert.equal(found.facts.hardware.arch, 'x86_64');
  assert.equal(found.cgroup?.domainDir, guest.groups.get('cpu') ?? guest.groups.get('unified'));
  assert.deepEqual(Object.keys(found.groups).sort(), ['cpuset', 'io', 'memory']);
  const handles = DomainHandles.open({ cgroup: found.cgroup ?? assert.fail('no CPU group'), groups: found.groups });
  assert.ok(handles);
  assert.deepEqual(handles.vcpuGroups(), []);
  handles.close();
  assert.equal(await find(guests, guest.pid), found, 'nothing changed: the same object');

  const { pid } = guest;
  await guest.destroy();
  assert.equal(await find(guests, pid), undefined);
});

test('on v1, a group of its own in one tree says nothing of the others', async (t) => {
  if (OPTIONS.hierarchies.memory?.version !== 1) return t.skip('memory is not on cgroup v1 here');
  const guest = await startBare({ name: lab.guestName('half'), burn: false, ownGroups: ['cpu'] });
  const found = await find(new BareGuests(OPTIONS), guest.pid);
  assert.equal(found?.cgroup?.domainDir, guest.groups.get('cpu'));
  assert.equal(found?.obstacle, null);
  assert.deepEqual(found?.groups, {});
  assert.match(found?.reasons.memory ?? '', /no memory cgroup of its own|holds other processes/);
  await guest.destroy();
});

test('without a group of its own it is observed only, until it is alone', async () => {
  const guest = await startBare({ name: lab.guestName('shared'), burn: false, ownGroups: ['cpu'] });
  const guests = new BareGuests(OPTIONS);
  const group = guest.groups.get('cpu') ?? guest.groups.get('unified');
  const stranger = spawn('sh', ['-c', `echo $$ > ${group}/cgroup.procs; exec sleep 60`], { stdio: 'ignore' });
  lab.cleanup.defer('kill the stranger', () => void stranger.kill('SIGKILL'));
  await sleep(0.3);
  const shared = await find(guests, guest.pid);
  assert.equal(shared?.cgroup, null);
  assert.match(shared?.obstacle ?? '', /holds other processes too: observed only$/);
  const gone = new Promise((resolve) => stranger.once('exit', resolve));
  stranger.kill('SIGKILL');
  await gone;
  assert.equal((await find(guests, guest.pid))?.obstacle, null);
  await guest.destroy();

  const homeless = await startBare({ name: lab.guestName('homeless'), uuid: null, burn: false, ownGroups: [] });
  const found = await find(guests, homeless.pid);
  assert.match(found?.obstacle ?? '', /observed only$/);
  assert.match(found?.uuid ?? '', /^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  await homeless.destroy();
});

test('two with one uuid are both observed only, and a guest of libvirt keeps its uuid', async () => {
  const first = await startBare({ name: lab.guestName('one'), burn: false });
  const guests = new BareGuests(OPTIONS);
  assert.equal((await find(guests, first.pid))?.obstacle, null);
  const second = await startBare({ name: lab.guestName('two'), uuid: first.uuid, burn: false });
  const both = [await find(guests, first.pid), await find(guests, second.pid)];
  assert.deepEqual(
    both.map((one) => one?.obstacle),
    Array(2).fill(`processes ${first.pid} and ${second.pid} say that they are guest ${first.uuid}: observed only`),
  );
  assert.equal(both[0]?.uuid, first.uuid);
  assert.notEqual(both[1]?.uuid, first.uuid);
  await second.destroy();
  assert.equal((await find(guests, first.pid))?.obstacle, null);

  const { guests: listed } = await guests.scan(new Map([[first.uuid ?? '', 1]]));
  const claimant = listed.find((one) => one.process.pid === first.pid);
  assert.equal(
    claimant?.obstacle,
    `process ${first.pid} says it is guest ${first.uuid}, which is libvirt's process 1: observed only`,
  );
  assert.notEqual(claimant?.uuid, first.uuid);
  await first.destroy();
});

test('a guest of libvirt is not taken for bare, also with libvirtd gone; without libvirt it is one like any other', async () => {
  const guest = await lab.startGuest({ name: 'libvirts', vcpus: 2, burn: false });
  const { pid } = guest;
  // Nothing but the process itself to tell it by.
  const blind = { ...OPTIONS, runLibvirt: '/nonexistent' };
  for (const options of [OPTIONS, blind]) assert.equal(await find(new BareGuests(options), pid), undefined);
  await lab.libvirtd.stop('SIGKILL');
  assert.equal(await find(new BareGuests(blind), pid), undefined);
  const found = await find(new BareGuests({ ...OPTIONS, usesLibvirt: false }), pid);
  assert.equal(found?.obstacle, null);
  assert.equal(found?.uuid, guest.uuid);
  assert.equal(found?.name, guest.name);
  assert.equal(found?.cgroup?.domainDir, guest.groups.domainDir);
  assert.equal(found?.vcpuThreads.size, 2);
  await lab.libvirtd.start();
  await guest.destroy();
});

test('what QEMU splits off itself is no guest and no stranger', async () => {
  const guest = await startBare({ name: lab.guestName('torn'), burn: false, extra: ['-async-teardown'] });
  await sleep(0.5);
  const { guests } = await new BareGuests(OPTIONS).scan();
  const found = guests.filter((one) => one.uuid === guest.uuid || one.name === guest.name);
  assert.deepEqual(
    found.map(({ process, obstacle }) => [process.pid, obstacle]),
    [[guest.pid, null]],
  );
  await guest.destroy();
});

test('one thread that runs all vCPUs stands for each of them', async () => {
  const guest = await startBare({ name: lab.guestName('single'), vcpus: 3, burn: false, accel: 'tcg,thread=single' });
  const guests = new BareGuests(OPTIONS);
  const found = await waitUntil(
    'its thread to have its name',
    async () => {
      const one = await find(guests, guest.pid);
      return one?.vcpuThreads.size === 3 ? one : null;
    },
    { seconds: 5 },
  );
  assert.equal(new Set(found.vcpuThreads.values()).size, 1);
  await guest.destroy();
});

test('a process that becomes QEMU after it was seen is found', async () => {
  const guest = new BareGuest(lab.directory, { name: lab.guestName('late'), burn: false });
  lab.cleanup.defer('destroy late', () => guest.destroy());
  const processes = new QemuProcesses({ procRoot: '/proc', describe: ({ argv }) => argv });
  const starting = guest.start();
  while (!(await processes.scan()).processes.some(({ pid }) => pid === guest.pid)) await sleep(0.001);
  await starting;
  await guest.destroy();
});
