/** QEMU without libvirt, under a daemon that is told of none: found, held where a group is its own, given back. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { BareGuest, type BareGuestOptions, removeBareLeftovers } from '../support/bare-guest.js';
import { measureCores, measureUntil } from '../support/cpu-time.js';
import type { Daemon } from '../support/daemon.js';
import { limitCores, readCpuFiles } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';
import { waitUntil } from '../support/wait.js';
import { WriteWatch } from '../support/write-watch.js';

removeBareLeftovers();
const lab = await Lab.open();
after(() => lab.close());

const MEND_MS = 1000;
const LIMIT_BYTES = 512 * 1024 * 1024;
const POLICY = `version: 1
classes:
  held:
    cpu: { limit: 10%, weight: 200, burst: 5ms }
    memory: { limit: 512MiB }
    disk: { limit: { read-iops: 100 } }
assignments:
  - { class: held, match: { any: true } }
`;

async function startBare(short: string, options: Partial<BareGuestOptions> = {}): Promise<BareGuest> {
  const guest = new BareGuest(lab.directory, { name: lab.guestName(short), uuid: lab.uuid(short), ...options });
  lab.cleanup.defer(`destroy ${guest.name}`, () => guest.destroy());
  await guest.start();
  return guest;
}

/** Every control file of the guest's own groups, path → text. */
function settingsOf(guest: BareGuest): Readonly<Record<string, string>> {
  const names =
    /^(?:cpu\.(?:max|max\.burst|weight|idle|shares|cfs_\w+_us)|memory\.(?:max|high|low|min|swap\.max|(?:memsw\.)?limit_in_bytes)|io\.(?:max|weight)|blkio\.throttle\.(?:read|write)_(?:bps|iops)_device|cpuset\.(?:cpus|mems))$/;
  const files = [...guest.groups.values()].flatMap((directory) =>
    readdirSync(directory)
      .filter((name) => names.test(name))
      .map((name) => join(directory, name)),
  );
  return Object.fromEntries(files.map((path) => [path, readFileSync(path, 'latin1')]));
}

/** Puts a process that is not QEMU into the guest's groups. */
async function addStranger(to: BareGuest): Promise<() => Promise<void>> {
  const script = 'for directory; do echo $$ > "$directory/cgroup.procs"; done; exec sleep 600';
  const stranger = spawn('sh', ['-euc', script, 'sh', ...to.groups.values()], { stdio: 'ignore' });
  const gone = new Promise<void>((resolve) => stranger.once('exit', () => resolve()));
  const end = async () => {
    stranger.kill('SIGKILL');
    await gone;
  };
  lab.cleanup.defer('kill the stranger', end);
  const isThere = () => readFileSync(`/proc/${stranger.pid}/comm`, 'utf8') === 'sleep\n';
  await waitUntil('the stranger to be there', isThere, { seconds: 5 });
  return end;
}

const explain = (daemon: Daemon, short: string) => daemon.virtsladOk('explain', lab.guestName(short));
const repairs = async (daemon: Daemon) => (await daemon.metric('virtsla_drift_repairs_total')) ?? Number.NaN;

const guest = await startBare('alone', { vcpus: 2, cache: 'none' });
const crowded = await startBare('crowded', { burn: false });
const removeStranger = await addStranger(crowded);
const listed = await lab.startGuest({ name: 'listed', burn: false });
const before = { alone: settingsOf(guest), crowded: settingsOf(crowded), listed: readCpuFiles(listed.groups) };
const watch = await WriteWatch.start([...crowded.groups.values()]);
after(() => watch.stop());
const daemon = await lab.startDaemon({ policies: { '10-bare.yaml': POLICY }, libvirtUri: 'none' });
await daemon.waitUntilCompliant([{ name: guest.name, uuid: guest.uuid ?? '' }]);

/** A file of the guest's own group in one tree, by its name on v1 and on v2. */
function file(tree: 'cpu' | 'memory' | 'blkio', v1: string, v2: string): string {
  const unified = guest.groups.get('unified');
  return unified === undefined ? join(guest.groups.get(tree) ?? '', v1) : join(unified, v2);
}

test('a guest without libvirt is held to its class in the group that is its own', async () => {
  const settings = settingsOf(guest);
  const changed = Object.keys(settings).filter((path) => settings[path] !== before.alone[path]);
  const expected = [
    file('cpu', 'cpu.cfs_quota_us', 'cpu.max'),
    file('cpu', 'cpu.cfs_burst_us', 'cpu.max.burst'),
    file('cpu', 'cpu.shares', 'cpu.weight'),
    file('memory', 'memory.limit_in_bytes', 'memory.max'),
  ];
  // Where temporary files are on no disk of this host, there is none to be limited.
  const isDisk = (path: string) => /\/(?:io\.max|blkio\.throttle\.read_iops_device)$/.test(path);
  assert.deepEqual(changed.filter((path) => !isDisk(path)).sort(), expected.sort());
  assert.equal(settings[file('memory', 'memory.limit_in_bytes', 'memory.max')], `${LIMIT_BYTES}\n`);
  assert.match(await explain(daemon, 'alone'), /libvirt +does not run this guest: found as a QEMU process/);
});

test('its vCPUs together use what their limit allows ± 10 %', async (t) => {
  const isKept = ([cores = 0]: readonly number[]) => Math.abs(cores - 0.2) <= 0.02;
  const used = await measureUntil(isKept, () => measureCores([guest.pid], 4));
  t.diagnostic(`limit 0.200 cores, used ${used[0]?.toFixed(3)}`);
  assert.ok(isKept(used), `used ${used[0]} cores`);
});

test('what somebody else writes is mended within a second', async (t) => {
  const [count, path] = [await repairs(daemon), file('memory', 'memory.limit_in_bytes', 'memory.max')];
  writeFileSync(path, String(LIMIT_BYTES / 2));
  const began = performance.now();
  const isMended = () => readFileSync(path, 'utf8') === `${LIMIT_BYTES}\n`;
  await waitUntil('the limit to be mended', isMended, { seconds: 10, everyMs: 5 });
  const ms = performance.now() - began;
  t.diagnostic(`mended after ${ms.toFixed(0)} ms`);
  assert.ok(ms <= MEND_MS, `${ms} ms`);
  await waitUntil('the repair to be counted', async () => (await repairs(daemon)) > count, { seconds: 7 });
});

test('one that shares its group is observed only, until it is alone', async () => {
  assert.match(
    await explain(daemon, 'crowded'),
    /not compliant, its cgroup \S+ holds other processes too: observed only/,
  );
  assert.deepEqual(settingsOf(crowded), before.crowded);
  assert.deepEqual(watch.writes, []);
  await removeStranger();
  await daemon.waitUntilCompliant([{ name: crowded.name, uuid: crowded.uuid ?? '' }]);
  assert.notDeepEqual(settingsOf(crowded), before.crowded);
});

test('a guest of libvirt is one like any other when there is no libvirt to ask', () => {
  assert.equal(limitCores(listed.groups, 'vcpu0'), 0.1);
});

test('release --all puts back what stood there, byte for byte', async () => {
  await daemon.virtsladOk('release', '--all');
  assert.deepEqual(settingsOf(guest), before.alone);
  assert.deepEqual(settingsOf(crowded), before.crowded);
  assert.deepEqual(readCpuFiles(listed.groups), before.listed);
});

test('beside libvirt, its guests are its own and the others are found all the same', async () => {
  await daemon.kill();
  const beside = await lab.startDaemon({ policies: { '10-bare.yaml': POLICY } });
  await beside.waitUntilCompliant([listed, { name: guest.name, uuid: guest.uuid ?? '' }]);
  assert.match(await explain(beside, 'listed'), /libvirt +connected, says running/);
  assert.match(await explain(beside, 'alone'), /libvirt +does not run this guest/);
  const seen = (await beside.scrape()).filter(({ name }) => name === 'virtsla_domain_info');
  const uuids = seen.map(({ labels }) => labels.uuid).filter((uuid) => [listed.uuid, guest.uuid].includes(uuid ?? ''));
  assert.equal(uuids.length, 2, 'a guest is there twice');
  await beside.virtsladOk('release', '--all');
  assert.deepEqual(settingsOf(guest), before.alone);
});
