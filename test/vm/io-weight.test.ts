/**
 * Disk weights that the kernel keeps because virtslad has switched its io cost controller on, and only for as long as a
 * guest needs it: two guests that read the same real disk at once, by their weights.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { READ_LARGE } from '../support/boot-sector.js';
import { Cleanup } from '../support/cleanup.js';
import { output } from '../support/command.js';
import { measureDisk, waitForRequests } from '../support/disk-rate.js';
import { Guest } from '../support/guest.js';
import { waitUntil } from '../support/wait.js';
import {
  cgroupOf,
  IMAGE_DIR,
  metric,
  PATIENCE_SECONDS,
  removePolicy,
  SYSTEM_LIBVIRT,
  systemctl,
  virtslad,
  waitUntilCompliant,
  writePolicies,
} from './support/system.js';

const DISK = '/dev/vdb';
const DIRECTORY = join(IMAGE_DIR, 'io-weight');
const QOS = '/sys/fs/cgroup/io.cost.qos';
const POLICY = `version: 1
classes:
  heavy: { disk: { weight: 400, iocost: true } }
  light: { disk: { weight: 100, iocost: true } }
assignments:
  - { class: heavy, match: { name: "io-heavy" } }
  - { class: light, match: { name: "io-light" } }
`;
const MODEL = '/sys/fs/cgroup/io.cost.model';
/** The kernel takes the disk for what `SLOW` says, whatever its latency. */
const STEADY = 'ctrl=user rpct=0.00 rlat=250000 wpct=0.00 wlat=250000 min=100.00 max=100.00';
/** 24 requests a second: less than either guest asks for, one request after the other. */
const SLOW = 'ctrl=user model=linear rbps=1000000000 rseqiops=24 rrandiops=24 wbps=1000000000 wseqiops=24 wrandiops=24';

const cleanup = new Cleanup();
after(async () => assert.deepEqual(await cleanup.run(), []));

const skip = existsSync(DISK) ? false : `the guest has no ${DISK}`;
const guests: Guest[] = [];
let device = '';

/** What the kernel says of the disk; empty when it has no line. */
function standing(): string {
  const lines = readFileSync(QOS, 'utf8').split('\n');
  return lines.find((line) => line.startsWith(`${device} `))?.slice(device.length + 1) ?? '';
}

function weightOf(guest: Guest): string {
  return readFileSync(join(cgroupOf(guest.pid), '../..', 'io.weight'), 'utf8').trim();
}

async function rates(): Promise<{ readonly heavy: number; readonly light: number; readonly words: string }> {
  const [heavy = 0, light = 0] = (await Promise.all(guests.map((guest) => measureDisk(guest, 'vda', 15)))).map(
    ({ reads }) => reads,
  );
  const words = `${heavy.toFixed(1)} : ${light.toFixed(1)} requests a second = ${(heavy / light).toFixed(2)} : 1`;
  return { heavy, light, words };
}

before(async () => {
  if (skip !== false) return;
  await output('mkfs.ext4', ['-q', '-F', DISK], { timeoutSeconds: 120 });
  mkdirSync(DIRECTORY, { recursive: true });
  await output('mount', [DISK, DIRECTORY]);
  cleanup.defer('unmount the disk', async () => void (await output('umount', [DIRECTORY])));
  await output('restorecon', ['-R', DIRECTORY]);
  device = readFileSync('/sys/block/vdb/dev', 'utf8').trim();
  cleanup.defer('leave the disk to the kernel', () => {
    writeFileSync(QOS, `${device} enable=0 ctrl=auto`);
    writeFileSync(MODEL, `${device} ctrl=auto`);
  });
  // The operator's part, off as it is; only the switch is virtslad's.
  writeFileSync(QOS, `${device} ${STEADY}`);
  writeFileSync(MODEL, `${device} ${SLOW}`);
  for (const name of ['io-heavy', 'io-light']) {
    const guest = new Guest(SYSTEM_LIBVIRT, DIRECTORY, { name, program: READ_LARGE, bootDisk: { cache: 'none' } });
    cleanup.defer(`destroy ${name}`, () => guest.destroy());
    await guest.start();
    guests.push(guest);
  }
  for (const guest of guests) await waitForRequests(guest, 'vda');
});

test('weights 4:1 are kept once the io cost controller is on, which the class allows', { skip }, async (t) => {
  assert.equal(standing(), `enable=0 ${STEADY}`);
  const without = await rates();
  t.diagnostic(`without: ${without.words}`);
  writePolicies({ 'io-weight.yaml': POLICY });
  cleanup.defer('remove the policy', () => removePolicy('io-weight.yaml'));
  const [heavy, light] = guests as [Guest, Guest];
  await waitUntil('the controller to be on', () => standing().startsWith('enable=1'), {
    seconds: PATIENCE_SECONDS,
    everyMs: 200,
  });
  assert.equal(standing(), `enable=1 ${STEADY}`, 'more than the switch was touched');
  const weighted = (): boolean => weightOf(heavy) === 'default 400' && weightOf(light) === 'default 100';
  await waitUntil('the weights', weighted, { seconds: PATIENCE_SECONDS, everyMs: 200 });
  for (const { uuid } of guests) await waitUntilCompliant(uuid);
  assert.equal(await metric('virtsla_host_io_cost_actual', { number: device }), 1);
  const { stdout } = await virtslad('status');
  assert.match(stdout, /^io cost +switched on by virtslad for vdb \(\d+:\d+\)/m);
  const kept = await rates();
  t.diagnostic(`with: ${kept.words}`);
  assert.ok(Math.abs(without.heavy / without.light - 1) < 0.5, `without: ${without.words}`);
  assert.ok(kept.heavy / kept.light > 3 && kept.heavy / kept.light < 5, `with: ${kept.words}`);
});

test('switched off by somebody else, it is on again within a cycle', { skip }, async () => {
  writeFileSync(QOS, `${device} enable=0`);
  await waitUntil('the controller to be on again', () => standing().startsWith('enable=1'), {
    seconds: 20,
    everyMs: 100,
  });
});

test('it stays on for the guest that is left, and goes off with the release of the last', { skip }, async () => {
  const [heavy, light] = guests as [Guest, Guest];
  assert.equal((await virtslad('release', heavy.name)).code, 0);
  assert.match(standing(), /^enable=1/);
  assert.equal((await virtslad('release', light.name)).code, 0);
  assert.equal(standing(), `enable=0 ${STEADY}`);
  assert.deepEqual([weightOf(heavy), weightOf(light)], ['default 100', 'default 100']);
  assert.equal((await virtslad('resume', '--all')).code, 0);
  assert.match(standing(), /^enable=1/);
});

test('killed, and started where nobody asks any more, the daemon gives it back', { skip }, async () => {
  await systemctl('kill', '--signal=KILL', 'virtslad.service');
  removePolicy('io-weight.yaml');
  writePolicies({ 'io-weight.yaml': POLICY.replaceAll('iocost: true', 'iocost: false') });
  await systemctl('start', 'virtslad.service');
  await waitUntil('the controller to be off', () => standing().startsWith('enable=0'), {
    seconds: PATIENCE_SECONDS,
    everyMs: 200,
  });
});
