/**
 * Disk limits through the cgroup: they bind what reaches a disk of the host in the guest's name. cgroup v1 sees that only
 * of disks whose page cache is bypassed; for the others the limit is unsupported, with the reason.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { READ_LARGE, READ_SMALL } from '../support/boot-sector.js';
import { controllerGroup } from '../support/controller-group.js';
import { measureDiskNear, waitForRequests } from '../support/disk-rate.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { ON_SYSTEM } from '../support/lab-kind.js';
import { exposeDevice } from '../support/lab-namespace.js';
import { makeLoopDevice } from '../support/loop-device.js';
import { waitUntil } from '../support/wait.js';
import { findWholeDisks } from '../support/whole-disks.js';

const lab = await Lab.open();
after(() => lab.close());

// The kernel counts requests in slices of a tenth of a second: 20 are 2 in each, 25 would come out as 20.
const POLICY = `version: 1
classes:
  bytes: { disk: { via: cgroup, limit: { read: 500kB/s } } }
  requests: { disk: { via: cgroup, limit: { read-iops: 20 } } }
assignments:
  - { class: bytes, match: { name: "bytes-*" } }
  - { class: requests, match: { any: true } }
`;
for (const name of ['requests', 'bytes', 'loop', 'cached']) lab.uuid(name);
const daemon = await lab.startDaemon({ policies: { '10-disk.yaml': POLICY } });

const disks = await findWholeDisks(lab.directory);
for (const { name } of disks) await exposeDevice(lab.directory, `/dev/${name}`, '0600');
const skip = disks.length === 1 ? false : 'needs temporary files on one disk of this host';

/** What the kernel limits the guest's reads to, as it prints it. */
function kernelLimits(guest: Guest): string {
  const { directory, version } = controllerGroup(guest.pid, 'blkio');
  const files = version === 2 ? ['io.max'] : ['read_iops', 'read_bps'].map((name) => `blkio.throttle.${name}_device`);
  return files.map((file) => readFileSync(join(directory, file), 'utf8')).join('');
}

// One guest at a time: each keeps a core of this machine busy, for the BIOS polls.

test('an image whose page cache is bypassed is held ± 10 % at its limit of requests', { skip }, async (t) => {
  const guest = await lab.startGuest({ name: 'requests', program: READ_SMALL, bootDisk: { cache: 'none' } });
  await daemon.waitUntilCompliant([guest]);
  await waitForRequests(guest, 'vda');
  const [disk] = disks;
  assert.match(kernelLimits(guest), new RegExp(`^${disk?.device} (?:20\n|.*riops=20 )`));
  const explained = await daemon.virtsladOk('explain', guest.name);
  assert.match(
    explained,
    new RegExp(`vda: through the cgroup on ${disk?.name} \\(${disk?.device}\\), .*: as disk.via asks`),
  );
  const told = await guest.virshOk(['blkiotune', guest.uuid]);
  assert.match(told, new RegExp(`^device_read_iops_sec: /dev/${disk?.name},20$`, 'm'), 'libvirt does not know of it');
  const rate = await measureDiskNear(guest, 'vda', 'reads', 20);
  t.diagnostic(`limit 20 a second on ${disk?.name}, done ${rate.toFixed(1)}`);
  assert.ok(Math.abs(rate - 20) <= 2, `${rate} a second`);

  await guest.virshOk(['blkiotune', guest.uuid, '--live', '--device-read-iops-sec', `/dev/${disk?.name},0`]);
  const began = performance.now();
  await waitUntil('the limit to be back', () => /(?: |riops=)20\b/.test(kernelLimits(guest)), {
    seconds: 5,
    everyMs: 5,
  });
  const ms = performance.now() - began;
  t.diagnostic(`taken off by virsh, mended after ${ms.toFixed(0)} ms`);
  assert.ok(ms <= 1000, `${ms} ms`);
  await daemon.virtsladOk('release', guest.name);
  assert.doesNotMatch(kernelLimits(guest), /(?: |riops=)20\b/);
  await guest.destroy();
});

test('a limit in bytes is kept ± 10 %', { skip }, async (t) => {
  const guest = await lab.startGuest({ name: 'bytes', program: READ_LARGE, bootDisk: { cache: 'none' } });
  await daemon.waitUntilCompliant([guest]);
  await waitForRequests(guest, 'vda');
  const rate = await measureDiskNear(guest, 'vda', 'readBytes', 5e5);
  t.diagnostic(`limit 500 kB/s, done ${(rate / 1e3).toFixed(0)}`);
  assert.ok(Math.abs(rate - 5e5) <= 5e4, `${rate} bytes a second`);
  await guest.destroy();
});

test('behind a partition of a loop device the whole disk is found, and the limit kept there', { skip }, async (t) => {
  if (ON_SYSTEM) return t.skip('SELinux keeps guests from looking a loop device up in sysfs');
  if (!existsSync('/dev/loop-control')) return t.skip('the kernel has no loop devices');
  const device = await makeLoopDevice(lab, { partitioned: true });
  const disk = { path: device.partition?.path ?? '', isBlockDevice: true, cache: 'none' } as const;
  const guest = await lab.startGuest({ name: 'loop', program: { ...READ_SMALL, disk: 1 }, disks: [disk] });
  await daemon.waitUntilCompliant([guest]);
  await waitForRequests(guest, 'vdb');
  const explained = await daemon.virtsladOk('explain', guest.name);
  assert.match(explained, new RegExp(`vdb: through the cgroup on ${disks[0]?.name} `));
  assert.match(explained, new RegExp(`behind ${device.path.slice('/dev/'.length)}\n`));
  const rate = await measureDiskNear(guest, 'vdb', 'reads', 20);
  t.diagnostic(`limit 20 a second, done ${rate.toFixed(1)}`);
  assert.ok(Math.abs(rate - 20) <= 2, `${rate} a second`);
  await guest.destroy();
});

test('what goes through the page cache is unsupported on cgroup v1, with the reason, and not written', async (t) => {
  if (controllerGroup(process.pid, 'blkio').version === 2) return t.skip('cgroup v2 sees these requests too');
  const guest = await lab.startGuest({ name: 'cached', burn: false, bootDisk: { cache: 'writeback' } });
  const isNoticed = async () =>
    (await daemon.metric('virtsla_control_noncompliant', { uuid: guest.uuid, control: 'disk.limit' })) !== null ||
    /disk\.limit/.test(await daemon.virtsladOk('explain', guest.name));
  await waitUntil('the guest to be judged', isNoticed, { seconds: 10, everyMs: 100 });
  assert.match(
    await daemon.virtsladOk('explain', guest.name),
    /not supported here\n {2}disk\.limit 20: vda: not limited: cgroup v1 sees its requests only with cache none or directsync/,
  );
  assert.equal(kernelLimits(guest), '');
  await guest.destroy();
});
