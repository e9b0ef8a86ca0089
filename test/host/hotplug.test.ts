/** What is plugged into a running guest is held to its class within a second. Timed from the moment at which virsh returns. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { limitCores, readLimit } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';
import { MEND_SECONDS } from '../support/lab-kind.js';
import { LabNetwork } from '../support/network.js';
import { diskThrottle, tapQueues } from '../support/tuning-view.js';
import { waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

const HELD_MS = MEND_SECONDS * 1000;
const POLICY = `version: 1
classes:
  held:
    cpu: { limit: 20%, weight: 50 }
    disk: { limit: { iops: 20 } }
    network: { limit: { in: 4Mbit/s } }
assignments:
  - { class: held, match: { any: true } }
`;
const network = await LabNetwork.open(lab);
// It burns, for only so does it let go of what is to be unplugged.
const guest = await lab.startGuest({ name: 'plugged', maxVcpus: 2 });
const daemon = await lab.startDaemon({ policies: { '10-hotplug.yaml': POLICY } });
const isCompliant = async () => (await daemon.metric('virtsla_domain_compliant', { uuid: guest.uuid })) === 1;
await waitUntil('the disk to be held', async () => 'total_iops_sec' in (await diskThrottle(guest, 'vda')), {
  seconds: 10,
});

/** Milliseconds until `isHeld`, from now. */
async function heldAfter(what: string, isHeld: () => boolean | Promise<boolean>): Promise<number> {
  const began = performance.now();
  await waitUntil(`${what} to be held`, isHeld, { seconds: 10, everyMs: 5 });
  return performance.now() - began;
}

test('a vCPU', async (t) => {
  assert.ok(!existsSync(join(guest.groups.domainDir, 'vcpu1')));
  await guest.plugVcpus(2);
  const ms = await heldAfter('the vCPU', () => limitCores(guest.groups, 'vcpu1') === 0.2);
  t.diagnostic(`held ${ms.toFixed(0)} ms after virsh returned`);
  assert.ok(ms <= HELD_MS, `${ms} ms`);
  assert.equal(limitCores(guest.groups, 'vcpu0'), 0.2);
  assert.equal(readLimit(guest.groups, 'emulator').quotaUsec, null);
  const metric = () => daemon.metric('virtsla_cpu_limit_actual_cores', { uuid: guest.uuid });
  await waitUntil('both in the metrics', async () => (await metric()) === 0.4, { seconds: 7, everyMs: 50 });
});

test('a disk, also when it is plugged in again', async (t) => {
  const path = join(lab.directory, 'images', 'plugged.img');
  writeFileSync(path, Buffer.alloc(1024 * 1024), { mode: 0o644 });
  for (const time of ['first', 'second']) {
    await guest.plugDisk({ path, target: 'vdb' });
    const ms = await heldAfter('the disk', async () => (await diskThrottle(guest, 'vdb')).total_iops_sec === '20');
    t.diagnostic(`held ${ms.toFixed(0)} ms after virsh returned for the ${time} time`);
    assert.ok(ms <= HELD_MS, `${ms} ms`);
    await guest.unplugDisk('vdb');
    await waitUntil(
      'the disk to go from the metrics',
      async () =>
        (await daemon.metric('virtsla_disk_limit_actual_operations_per_second', { uuid: guest.uuid, disk: 'vdb' })) ===
        null,
      { seconds: 7, everyMs: 100 },
    );
  }
  assert.deepEqual(await diskThrottle(guest, 'vda'), { total_iops_sec: '20' });
});

test('an interface, also when it is plugged in again', async (t) => {
  if (network === null) return t.skip('this host has no taps');
  const mac = '52:54:00:76:73:02';
  for (const time of ['first', 'second']) {
    await guest.plugInterface({ source: 'ethernet', mac });
    const began = performance.now();
    const tap = await guest.tap();
    await heldAfter('the interface', async () => /rate 4Mbit/.test(await tapQueues(tap)));
    const ms = performance.now() - began;
    t.diagnostic(`held ${ms.toFixed(0)} ms after virsh returned for the ${time} time`);
    assert.ok(ms <= HELD_MS, `${ms} ms`);
    await waitUntil('the guest to be compliant', isCompliant, { seconds: 7, everyMs: 100 });
    await guest.unplugInterface(mac);
  }
});

test('afterwards nothing has failed, and release finds everything that is left', async () => {
  await waitUntil('the guest to be compliant', isCompliant, { seconds: 7, everyMs: 100 });
  assert.equal(await daemon.metric('virtsla_apply_failures_total'), 0);
  await daemon.virtsladOk('release', guest.name);
  for (const vcpu of ['vcpu0', 'vcpu1']) assert.equal(limitCores(guest.groups, vcpu), null, vcpu);
  assert.deepEqual(await diskThrottle(guest, 'vda'), {});
});
