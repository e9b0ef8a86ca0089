/**
 * Guests whose own definitions tune CPU, disks and interfaces get every bit of that back on release, also after a save and
 * restore, when values of ours stand in the XML as if they were the guest's own.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { exposeDevice } from '../support/lab-namespace.js';
import { LabNetwork } from '../support/network.js';
import { kernelTuning, libvirtView } from '../support/tuning-view.js';
import { findWholeDisks } from '../support/whole-disks.js';

const lab = await Lab.open();
after(() => lab.close());

// No memory.limit: a hard limit in a saved image needs CAP_SYS_RESOURCE at the restore, which not every host of tests has.
const POLICY = `version: 1
classes:
  cgroup:
    cpu: { limit: 25%, weight: 30, burst: 5ms, pin: "0" }
    disk: { via: cgroup, limit: { read-iops: 50 } }
  qemu:
    cpu: { limit: 25%, weight: 30, burst: 5ms, pin: "0" }
    disk: { limit: { iops: 50 } }
    network: { limit: { in: 4Mbit/s } }
assignments:
  - { class: cgroup, match: { name: "devices-*" } }
  - { class: qemu, match: { any: true } }
`;

const network = await LabNetwork.open(lab);
const disks = await findWholeDisks(lab.directory);
for (const { name } of disks) await exposeDevice(lab.directory, `/dev/${name}`, '0600');
const [disk] = disks;
const interfaces = network === null ? [] : [{ source: 'ethernet' as const }];

const guests: Guest[] = [
  await lab.startGuest({ name: 'plain', burn: false, interfaces }),
  await lab.startGuest({
    name: 'tuned',
    burn: false,
    vcpus: 2,
    cputuneXml:
      '<cputune><vcpupin vcpu="0" cpuset="1"/><shares>3000</shares><period>40000</period><quota>30000</quota></cputune>',
    bootDisk: {
      iotuneXml:
        '<iotune><read_iops_sec>500</read_iops_sec><read_iops_sec_max>900</read_iops_sec_max><read_iops_sec_max_length>4</read_iops_sec_max_length></iotune>',
    },
    interfaces: interfaces.map((each) => ({
      ...each,
      bandwidthXml: '<bandwidth><inbound average="900" peak="1800" burst="64"/></bandwidth>',
    })),
  }),
  await lab.startGuest({
    name: 'devices',
    burn: false,
    bootDisk: { cache: 'none' },
    tuningXml:
      disk === undefined
        ? ''
        : `<blkiotune><device><path>/dev/${disk.name}</path><read_iops_sec>300</read_iops_sec><write_bytes_sec>7000000</write_bytes_sec></device></blkiotune>`,
  }),
];

/** All that limits a guest, but for the names that another instance gets: libvirt's id, the tap. */
async function tuning(guest: Guest): Promise<Readonly<Record<string, string>>> {
  const view = { ...(await kernelTuning(guest)), ...(await libvirtView(guest)) };
  const plain = (path: string) => path.replace(/\/qemu-\d+-/, '/qemu-').replace(/vnet\d+$/, 'vnet');
  return Object.fromEntries(
    Object.entries(view).map(([name, text]) => [plain(name), text.replace(/vnet\d+/g, 'vnet')]),
  );
}

const originals = new Map<Guest, Readonly<Record<string, string>>>();
for (const guest of guests) originals.set(guest, await tuning(guest));
const daemon = await lab.startDaemon({ policies: { '10-release.yaml': POLICY } });
await daemon.waitUntilCompliant(guests);

async function assertOriginal(): Promise<void> {
  for (const guest of guests) assert.deepEqual(await tuning(guest), originals.get(guest), guest.name);
}

test('every guest is changed in each of its controls first, else a release proves nothing', async (t) => {
  for (const guest of guests) {
    const [before, now] = [originals.get(guest) ?? {}, await tuning(guest)];
    const changed = Object.keys(now).filter((name) => now[name] !== before[name]);
    t.diagnostic(`${guest.name}: ${changed.length} of ${Object.keys(now).length} differ`);
    for (const one of [
      'cfs_quota_us|cpu.max',
      'cfs_burst_us|max.burst',
      'shares|weight',
      'cpuset.cpus',
      'blk',
      'vcpupin',
    ]) {
      assert.ok(
        changed.some((name) => new RegExp(one).test(name)),
        `${guest.name}: nothing like ${one} has changed`,
      );
    }
  }
});

test('release --all gives it all back, byte for byte', async () => {
  await daemon.virtsladOk('release', '--all');
  await assertOriginal();
  await daemon.virtsladOk('resume', '--all');
  await daemon.waitUntilCompliant(guests);
});

test('so it does after a save and restore under the daemon', async () => {
  await Promise.all(guests.map((guest) => guest.saveAndRestore()));
  await daemon.waitUntilCompliant(guests);
  await daemon.virtsladOk('release', '--all');
  await assertOriginal();
  await daemon.virtsladOk('resume', '--all');
  await daemon.waitUntilCompliant(guests);
});

test('so it does after a save and restore while the daemon was away', async () => {
  await daemon.kill();
  await Promise.all(guests.map((guest) => guest.saveAndRestore()));
  await daemon.start();
  await daemon.waitUntilCompliant(guests);
  await daemon.virtsladOk('release', '--all');
  await assertOriginal();
  await daemon.virtsladOk('resume', '--all');
  await daemon.waitUntilCompliant(guests);
});

test('so it does when the journal was lost meanwhile: the guests carry their originals with them', async () => {
  await daemon.kill();
  await Promise.all(guests.map((guest) => guest.saveAndRestore()));
  const another = await lab.startDaemon({ policies: { '10-release.yaml': POLICY } });
  await another.waitUntilCompliant(guests);
  await another.virtsladOk('release', '--all');
  await assertOriginal();
});
