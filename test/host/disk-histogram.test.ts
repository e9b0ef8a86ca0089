/**
 * Latency histograms of a real QEMU: there for the class that asks and for no other guest, agreeing with QEMU's own counters
 * of requests, set anew after a restart, taken off when they are asked for no more. What libvirt says of a taint is read with
 * virsh, the histograms with monitor commands of the test's own once a guest is tainted.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { READ_SMALL } from '../support/boot-sector.js';
import { diskCounters, waitForRequests } from '../support/disk-rate.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { sleep, waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

const policy = (histogram: boolean) => `version: 1
classes:
  counted: { disk: { latency: 20ms, histogram: ${histogram} } }
  plain: { disk: { limit: { iops: 5000 } } }
assignments:
  - { class: counted, match: { name: "counted-*" } }
  - { class: plain, match: { name: "plain-*" } }
`;
for (const name of ['counted', 'plain']) lab.uuid(name);

const second = join(lab.directory, 'images', 'second.img');
writeFileSync(second, Buffer.alloc(1024 * 1024), { mode: 0o644 });
const plain = await lab.startGuest({ name: 'plain', burn: false });
const counted = await lab.startGuest({
  name: 'counted',
  persistent: true,
  program: { ...READ_SMALL, disk: 1 },
  disks: [
    { path: second, readOnly: true },
    { path: null, cdrom: true },
  ],
});

const isTainted = async (guest: Guest): Promise<boolean> =>
  /custom monitor/.test((await guest.virsh(['dominfo', guest.uuid])).stdout);

interface Histogram {
  readonly bins: readonly number[];
  readonly boundaries: readonly number[];
}

/** Of a guest that is tainted already. */
async function askedOf(guest: Guest, alias: string): Promise<Readonly<Record<string, Histogram | undefined>>> {
  assert.ok(await isTainted(guest), 'this question would taint it');
  const command = ['qemu-monitor-command', guest.uuid, '{"execute":"query-blockstats"}'];
  const { return: disks } = JSON.parse((await guest.virsh(command)).stdout);
  return disks.find(({ qdev }: { readonly qdev?: string }) => qdev?.includes(`/${alias}/`)).stats;
}

const sum = (histogram: Histogram | undefined): number => histogram?.bins.reduce((all, one) => all + one, 0) ?? 0;
let iops = 90_000;

/** QEMU is asked again when somebody else has changed a throttle; a round would come within a minute. */
async function forceReading(guest: Guest): Promise<void> {
  const before = await atOf(guest);
  iops++;
  const { code, stderr } = await guest.virsh([
    'blkdeviotune',
    guest.uuid,
    'vdb',
    '--live',
    '--total-iops-sec',
    `${iops}`,
  ]);
  assert.equal(code, 0, stderr);
  await waitUntil('a reading', async () => (await atOf(guest)) > before, { seconds: 20 });
}

async function atOf(guest: Guest): Promise<number> {
  return (await daemon.metric('virtsla_disk_read_requests_total', { uuid: guest.uuid, disk: 'vdb' })) ?? 0;
}

/** Of one answer, and so of one reading. */
async function bothOf({ uuid }: Guest): Promise<readonly [reads: number, inHistogram: number]> {
  const samples = await daemon.scrape();
  const value = (name: string, request?: string): number =>
    samples.find(({ name: one, labels }) => {
      return one === name && labels.uuid === uuid && labels.disk === 'vdb' && labels.request === request;
    })?.value ?? Number.NaN;
  return [value('virtsla_disk_read_requests_total'), value('virtsla_disk_request_duration_seconds_count', 'read')];
}

const count = (guest: Guest, disk = 'vdb', request = 'read') =>
  daemon.metric('virtsla_disk_request_duration_seconds_count', { uuid: guest.uuid, disk, request });

let daemon = await lab.startDaemon({ policies: { '10-disk.yaml': policy(true) }, mode: 'observe' });

test('in observe mode nothing is set; plan says what it would do and that it taints', async () => {
  await sleep(6);
  const planned = await daemon.virtsladOk('plan');
  assert.match(planned, /disk\.histogram .*none → vda, vdb: 12 bins to 1m, by monitor command, which marks the guest/);
  assert.deepEqual([await isTainted(counted), await isTainted(plain)], [false, false]);
  await daemon.kill();
});

test('a class that asks has a histogram of each disk, and only its guest is tainted', async (t) => {
  daemon = await lab.startDaemon({ policies: { '10-disk.yaml': policy(true) } });
  await daemon.waitUntilCompliant([counted, plain], 30);
  for (const alias of ['virtio-disk0', 'virtio-disk1']) {
    const stats = await askedOf(counted, alias);
    for (const kind of ['rd', 'wr', 'flush']) {
      const boundaries = stats[`${kind}_latency_histogram`]?.boundaries ?? [];
      assert.equal(boundaries.length, 11, `${alias} ${kind}`);
      assert.ok(boundaries.includes(20e6), 'the bound of its class');
    }
  }
  assert.equal(await isTainted(plain), false);
  const explained = await daemon.virtsladOk('explain', counted.name);
  t.diagnostic(explained.split('\n').find((line) => line.includes('monitor command')) ?? '');
  assert.match(explained, /hda: no histogram: there is no medium in it/);
});

test('it has the requests that QEMU counts over the same time', async (t) => {
  await waitForRequests(counted, 'vdb');
  await forceReading(counted);
  const [reads, counts] = await bothOf(counted);
  await sleep(5);
  await forceReading(counted);
  const [readsLater, countsLater] = await bothOf(counted);
  const [rose, counting] = [readsLater - reads, countsLater - counts];
  t.diagnostic(`${rose} reads by the counter, ${counting} in the histogram`);
  assert.ok(rose > 50, `${rose} reads`);
  // The two are read some milliseconds apart.
  assert.ok(Math.abs(rose - counting) <= Math.max(5, rose / 50), `${rose} reads, ${counting} in the histogram`);
  const text = await daemon.scrapeText();
  const series = text.split('\n').filter((line) => line.startsWith('virtsla_disk_request_duration_seconds'));
  assert.equal(series.length, 2 * 2 * 14, 'two disks, reads and writes');
  assert.ok(series.every((line) => line.includes(counted.uuid)));
});

test('at rest it is not set anew', async () => {
  const before = sum((await askedOf(counted, 'virtio-disk1')).rd_latency_histogram);
  await sleep(12);
  const now = sum((await askedOf(counted, 'virtio-disk1')).rd_latency_histogram);
  assert.ok(now > before, `${now} after ${before}`);
});

test('a restart of the guest is no rise and no fall: it begins anew, and is set again', async (t) => {
  await counted.virshOk(['destroy', counted.uuid]);
  assert.equal(await isTainted(counted), false);
  await counted.virshOk(['start', counted.uuid]);
  const began = performance.now();
  await waitUntil('the taint', () => isTainted(counted), { seconds: 60, everyMs: 200 });
  t.diagnostic(`set ${((performance.now() - began) / 1000).toFixed(1)} s after the start`);
  await daemon.waitUntilCompliant([counted], 30);
  await waitForRequests(counted, 'vdb');
  await forceReading(counted);
  const [shown, done] = [(await count(counted)) ?? -1, (await diskCounters(counted, 'vdb')).reads];
  assert.ok(shown >= 0 && shown <= done, `${shown} of ${done}`);
});

test('a disk that is plugged in has one too, and nobody else’s begins anew', async (t) => {
  const path = join(lab.directory, 'images', 'third.img');
  writeFileSync(path, Buffer.alloc(1024 * 1024), { mode: 0o644 });
  const before = sum((await askedOf(counted, 'virtio-disk1')).rd_latency_histogram);
  const began = performance.now();
  await counted.plugDisk({ target: 'vdc', path, readOnly: true });
  const isThere = async () => (await askedOf(counted, 'virtio-disk2')).rd_latency_histogram !== undefined;
  await waitUntil('its histogram', isThere, { seconds: 30, everyMs: 200 });
  t.diagnostic(`set ${((performance.now() - began) / 1000).toFixed(1)} s after it was plugged in`);
  const now = sum((await askedOf(counted, 'virtio-disk1')).rd_latency_histogram);
  assert.ok(now > before, `${now} after ${before}`);
});

test('released it is taken off; resumed it is back', async () => {
  await daemon.virtsladOk('release', counted.name);
  assert.equal((await askedOf(counted, 'virtio-disk1')).rd_latency_histogram, undefined);
  await daemon.virtsladOk('resume', counted.name);
  assert.notEqual((await askedOf(counted, 'virtio-disk1')).rd_latency_histogram, undefined);
});

test('asked for no more it is taken off; the taint stays, and the other guest is as it was', async () => {
  daemon.writePolicy('10-disk.yaml', policy(false));
  const isOff = async () => (await askedOf(counted, 'virtio-disk1')).rd_latency_histogram === undefined;
  await waitUntil('it to go', isOff, { seconds: 20 });
  const stats = await askedOf(counted, 'virtio-disk0');
  assert.deepEqual(
    [stats.rd_latency_histogram, stats.wr_latency_histogram, stats.flush_latency_histogram],
    [undefined, undefined, undefined],
  );
  await waitUntil('its series to go', async () => (await count(counted)) === null, { seconds: 90, everyMs: 500 });
  assert.deepEqual([await isTainted(counted), await isTainted(plain)], [true, false]);
});
