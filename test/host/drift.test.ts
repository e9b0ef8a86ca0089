/** One owner for each knob: what others write is put back and counted, and what holds is never written again. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  groupDirectories,
  limitCores,
  readCpuFiles,
  readWeight,
  writeForeignQuota,
  writeForeignWeight,
} from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';
import { MEND_SECONDS } from '../support/lab-kind.js';
import { sleep, waitUntil } from '../support/wait.js';
import { WriteWatch } from '../support/write-watch.js';

const lab = await Lab.open();
after(() => lab.close());

const POLICY = `version: 1
classes:
  bronze: { cpu: { limit: 30%, weight: 50 } }
assignments:
  - { class: bronze, match: { any: true } }
`;
const guests = [
  await lab.startGuest({ name: 'first', burn: false, vcpus: 2 }),
  await lab.startGuest({ name: 'second', burn: false }),
  await lab.startGuest({ name: 'nervous', burn: false }),
] as const;
const [first, second, nervous] = guests;
const directories = guests.flatMap((guest) => groupDirectories(guest.groups));
const firstWrites = await WriteWatch.start(directories);
const daemon = await lab.startDaemon({ policies: { '10-drift.yaml': POLICY } });
await daemon.waitUntilCompliant(guests);

const repairs = async ({ uuid }: { readonly uuid: string }) =>
  (await daemon.metric('virtsla_drift_repairs_total', { uuid })) ?? Number.NaN;

/** Seconds until `holds` is true again. */
async function mendedAfter(what: string, holds: () => boolean): Promise<number> {
  const began = performance.now();
  await waitUntil(what, holds, { seconds: 10, everyMs: 5 });
  return (performance.now() - began) / 1000;
}

test('enforcing takes few writes: each value once by us, and once by libvirt when it is told', async (t) => {
  // One cycle for what is still under way.
  await sleep(6);
  await firstWrites.stop();
  // Once told of a weight, systemd writes all files of its scope anew; what is below it is not systemd's.
  const isOurs = (path: string) => first.groups.weightDir === first.groups.domainDir || path.includes('/libvirt/');
  const perFile = new Map<string, number>();
  for (const path of firstWrites.writes.filter(isOurs)) perFile.set(path, (perFile.get(path) ?? 0) + 1);
  t.diagnostic(`${firstWrites.writes.length} writes to ${perFile.size} files`);
  const onScope = first.groups.weightDir !== first.groups.domainDir;
  assert.equal(perFile.size, onScope ? 4 : 7, onScope ? 'four quotas' : 'four quotas and three weights');
  assert.deepEqual(
    [...perFile].filter(([, count]) => count > 3),
    [],
  );
});

test('at steady state nothing is written for 15 s', async (t) => {
  const before = guests.map((guest) => readCpuFiles(guest.groups));
  const watch = await WriteWatch.start(directories);
  await sleep(15);
  const writes = [...watch.writes];
  // The witness works: it sees the next write at once.
  writeForeignQuota(second.groups, 'vcpu0', 31_000);
  await waitUntil('inotifywait to see a foreign write', () => watch.writes.length > writes.length, { seconds: 2 });
  await watch.stop();
  t.diagnostic(`${writes.length} writes in 15 s, 3 cycles`);
  assert.deepEqual(writes, []);
  await mendedAfter("the test's own write to be mended", () => limitCores(second.groups, 'vcpu0') === 0.3);
  assert.deepEqual(
    guests.map((guest) => readCpuFiles(guest.groups)),
    before,
  );
});

test('a quota written by a shell is mended within 1 s and counted', async (t) => {
  const before = await repairs(first);
  writeForeignQuota(first.groups, 'vcpu1', 90_000);
  const seconds = await mendedAfter('the quota to be mended', () => limitCores(first.groups, 'vcpu1') === 0.3);
  t.diagnostic(`mended after ${(seconds * 1000).toFixed(0)} ms`);
  assert.ok(seconds <= MEND_SECONDS, `after ${seconds} s`);
  await waitUntil('the repair to be counted', async () => (await repairs(first)) === before + 1, { seconds: 7 });
});

test('a quota set with virsh schedinfo is mended within 1 s, counted and laid to libvirt', async (t) => {
  const before = await repairs(first);
  const byLibvirt = await daemon.metric('virtsla_drift_repairs_by_writer_total', { writer: 'libvirt' });
  const virsh = await first.virsh(['schedinfo', first.uuid, '--set', 'vcpu_quota=-1']);
  assert.equal(virsh.code, 0, virsh.stderr);
  const seconds = await mendedAfter(
    'the quota to be mended',
    () => limitCores(first.groups, 'vcpu0') === 0.3 && limitCores(first.groups, 'vcpu1') === 0.3,
  );
  t.diagnostic(`mended ${(seconds * 1000).toFixed(0)} ms after virsh returned`);
  assert.ok(seconds <= MEND_SECONDS, `after ${seconds} s`);
  await waitUntil('the repair to be counted', async () => (await repairs(first)) > before, { seconds: 7 });
  const laidTo = await daemon.metric('virtsla_drift_repairs_by_writer_total', { writer: 'libvirt' });
  assert.ok((laidTo ?? 0) > (byLibvirt ?? 0), 'laid to somebody else');
  await waitUntil('libvirt to agree again', async () => /vcpu_quota\s*: 30000\n/.test(await first.schedinfo()), {
    seconds: 5,
    everyMs: 100,
  });
});

test('a foreign weight is mended within 1 s', async (t) => {
  writeForeignWeight(second.groups, 1000);
  const seconds = await mendedAfter('the weight to be mended', () => Math.round(readWeight(second.groups)) === 50);
  t.diagnostic(`mended after ${(seconds * 1000).toFixed(0)} ms`);
  assert.ok(seconds <= MEND_SECONDS, `after ${seconds} s`);
});

test('a knob that somebody rewrites again and again is contested, and virtslad backs off', async (t) => {
  const contested = async () => (await daemon.metric('virtsla_control_contested', { uuid: nervous.uuid })) ?? 0;
  assert.equal(await contested(), 0);
  for (let round = 0; round < 8; round += 1) {
    writeForeignQuota(nervous.groups, 'vcpu0', 80_000 + round);
    await sleep(0.5);
  }
  await waitUntil('the knob to be called contested', async () => (await contested()) > 0, { seconds: 10 });
  const watch = await WriteWatch.start(groupDirectories(nervous.groups));
  for (let round = 0; round < 8; round += 1) {
    writeForeignQuota(nervous.groups, 'vcpu0', 70_000 + round);
    await sleep(0.25);
  }
  await watch.stop();
  const ours = watch.writes.length - 8;
  t.diagnostic(`${ours} writes of ours against 8 foreign ones once contested`);
  assert.ok(ours <= 2, `${ours} writes`);
  assert.equal(await daemon.metric('virtsla_domain_compliant', { uuid: second.uuid }), 1, 'others are not affected');
});
