/** Disk limits through QEMU: what QEMU counts of a guest that reads as fast as it may, not what the throttle says. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { READ_LARGE, READ_SMALL } from '../support/boot-sector.js';
import { measureUntil } from '../support/cpu-time.js';
import { diskCounters, measureDisk, measureDiskNear, waitForRequests } from '../support/disk-rate.js';
import { Lab } from '../support/lab.js';
import { diskThrottle } from '../support/tuning-view.js';
import { sleep, waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

const BURST = { iops: 30, limit: 10, seconds: 6 };
const POLICY = `version: 1
classes:
  requests: { disk: { limit: { iops: 20 } } }
  bytes: { disk: { limit: { read: 500kB/s, write-iops: 40 } } }
  burst: { disk: { limit: { iops: ${BURST.limit}, burst: { iops: ${BURST.iops}, for: ${BURST.seconds}s } } } }
assignments:
  - { class: requests, match: { name: "requests-*" } }
  - { class: bytes, match: { name: "bytes-*" } }
  - { class: burst, match: { name: "burst-*" } }
`;
for (const name of ['requests', 'bytes', 'burst']) lab.uuid(name);
const daemon = await lab.startDaemon({ policies: { '10-disk.yaml': POLICY } });

// One guest at a time: each keeps a core of this machine busy, for the BIOS polls.

test('a guest that reads from one of its disks as fast as it may', async (t) => {
  const path = join(lab.directory, 'images', 'second.img');
  writeFileSync(path, Buffer.alloc(1024 * 1024), { mode: 0o644 });
  const guest = await lab.startGuest({
    name: 'requests',
    program: { ...READ_SMALL, disk: 1 },
    disks: [
      { path, readOnly: true },
      { path: null, cdrom: true },
    ],
  });

  await t.test('is limited a moment after its start', async (t) => {
    const began = performance.now();
    await waitUntil('a throttle', async () => 'total_iops_sec' in (await diskThrottle(guest, 'vdb')), { seconds: 10 });
    const ms = performance.now() - began;
    t.diagnostic(`limited ${ms.toFixed(0)} ms after virsh returned`);
    assert.ok(ms <= 1000, `${ms} ms`);
    await daemon.waitUntilCompliant([guest]);
    await waitForRequests(guest, 'vdb');
  });

  await t.test('does its limit of requests ± 10 %', async (t) => {
    const rate = await measureDiskNear(guest, 'vdb', 'reads', 20);
    t.diagnostic(`limit 20 a second, done ${rate.toFixed(1)}`);
    assert.ok(Math.abs(rate - 20) <= 2, `${rate} a second`);
  });

  await t.test('each disk has the limit for itself; an empty drive has none, and explain says so', async () => {
    for (const target of ['vda', 'vdb']) assert.deepEqual(await diskThrottle(guest, target), { total_iops_sec: '20' });
    const explained = await daemon.virtsladOk('explain', guest.name);
    assert.match(explained, /hda: not limited: there is no medium in it/);
    assert.match(explained, /vdb: through QEMU/);
    const limitOf = (disk: string) =>
      daemon.metric('virtsla_disk_limit_actual_operations_per_second', { uuid: guest.uuid, disk });
    assert.deepEqual(await Promise.all(['vda', 'vdb', 'hda'].map(limitOf)), [20, 20, null]);
  });

  await t.test('a throttle that somebody else takes off is back within a second', async (t) => {
    const virsh = await guest.virsh(['blkdeviotune', guest.uuid, 'vdb', '--live', '--total-iops-sec', '0']);
    assert.equal(virsh.code, 0, virsh.stderr);
    const began = performance.now();
    const isBack = async () => (await diskThrottle(guest, 'vdb')).total_iops_sec === '20';
    await waitUntil('the limit', isBack, { seconds: 5 });
    const ms = performance.now() - began;
    t.diagnostic(`mended ${ms.toFixed(0)} ms after virsh returned`);
    assert.ok(ms <= 1000, `${ms} ms`);
  });

  await t.test('what it reads is in the metrics', async (t) => {
    const metric = () => daemon.metric('virtsla_disk_read_requests_total', { uuid: guest.uuid, disk: 'vdb' });
    // Read in rounds of a minute and whenever a throttle was changed; shown with the next cycle.
    await waitUntil('its reads', async () => ((await metric()) ?? 0) > 20, { seconds: 12, everyMs: 200 });
    const [shown, counted] = [await metric(), (await diskCounters(guest, 'vdb')).reads];
    t.diagnostic(`in the metrics ${shown}, in QEMU ${counted}`);
    assert.ok((shown ?? 0) <= counted, `${shown} of ${counted}`);
  });
  await guest.destroy();
});

test('a limit in bytes is kept ± 10 %', async (t) => {
  const guest = await lab.startGuest({ name: 'bytes', program: READ_LARGE });
  await daemon.waitUntilCompliant([guest]);
  await waitForRequests(guest, 'vda');
  const rate = await measureDiskNear(guest, 'vda', 'readBytes', 5e5);
  t.diagnostic(`limit 500 kB/s, done ${(rate / 1e3).toFixed(0)}`);
  assert.ok(Math.abs(rate - 5e5) <= 5e4, `${rate} bytes a second`);
  assert.deepEqual(await diskThrottle(guest, 'vda'), { read_bytes_sec: '500000', write_iops_sec: '40' });
  await guest.destroy();
});

test('a burst gives more for its time and no longer', async (t) => {
  const guest = await lab.startGuest({ name: 'burst', program: READ_SMALL });
  await daemon.waitUntilCompliant([guest]);
  await waitForRequests(guest, 'vda');
  const watchedSeconds = BURST.seconds + 0.5;
  const most = BURST.iops * BURST.seconds + BURST.limit * 0.5;
  const done = async () => (await diskCounters(guest, 'vda')).reads;

  const measure = async () => {
    // The bucket is full whenever it is set.
    await daemon.virtsladOk('release', guest.name);
    await daemon.virtsladOk('resume', guest.name);
    const [before, began] = [await done(), performance.now()];
    await sleep(watchedSeconds);
    const [during, seconds] = [(await done()) - before, (performance.now() - began) / 1000];
    return { during: (during * watchedSeconds) / seconds, later: (await measureDisk(guest, 'vda', 3)).reads };
  };
  const isGood = ({ during, later }: { readonly during: number; readonly later: number }) =>
    Math.abs(during - most) <= most / 10 && Math.abs(later - BURST.limit) <= BURST.limit / 10;
  const result = await measureUntil(isGood, measure);

  const { during, later } = result;
  t.diagnostic(`${during.toFixed(0)} of ${most} in ${watchedSeconds} s, then ${later.toFixed(1)} a second`);
  assert.ok(isGood(result), `${during} requests where ${most} are asked for, then ${later} a second`);
  await guest.destroy();
});
