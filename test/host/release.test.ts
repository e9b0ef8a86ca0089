/** Leaving no trace: release puts back every value, byte for byte, and stays away until it is told to resume. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Guest } from '../support/guest.js';
import { limitCores, readCpuFiles } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';
import { sleep, waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

const POLICY = `version: 1
classes:
  batch: { cpu: { limit: 25%, weight: 30 } }
assignments:
  - { class: batch, match: { any: true } }
`;

const guests: readonly Guest[] = [
  await lab.startGuest({ name: 'plain', burn: false, vcpus: 2 }),
  await lab.startGuest({
    name: 'tuned',
    burn: false,
    cputuneXml: '<cputune><shares>3000</shares><period>40000</period><quota>30000</quota></cputune>',
  }),
  await lab.startGuest({
    name: 'persistent',
    burn: false,
    persistent: true,
    cputuneXml: '<cputune><shares>512</shares><emulator_quota>60000</emulator_quota></cputune>',
  }),
];
lab.uuid('late');
const state = (guest: Guest) => readCpuFiles(guest.groups);
const originals = new Map(guests.map((guest) => [guest.name, state(guest)]));
const schedinfos = new Map<string, string>();
for (const guest of guests) schedinfos.set(guest.name, await guest.schedinfo());

const daemon = await lab.startDaemon({ policies: { '10-release.yaml': POLICY } });
await daemon.waitUntilCompliant(guests);

test('every guest is changed first, else a release proves nothing', () => {
  for (const guest of guests) assert.notDeepEqual(state(guest), originals.get(guest.name), guest.name);
});

test('release --all restores every value, byte for byte, also of guests with a <cputune> of their own', async () => {
  await daemon.virtsladOk('release', '--all');
  for (const guest of guests) {
    assert.deepEqual(state(guest), originals.get(guest.name), guest.name);
    assert.equal(await guest.schedinfo(), schedinfos.get(guest.name), guest.name);
  }
});

test('a released guest stays hands-off, also across a restart of the daemon, until resume', async () => {
  await daemon.kill('SIGTERM');
  await daemon.start();
  await sleep(6);
  for (const guest of guests) {
    assert.deepEqual(state(guest), originals.get(guest.name), guest.name);
    assert.equal(await daemon.metric('virtsla_domain_held', { uuid: guest.uuid }), 1);
  }
  await daemon.virtsladOk('resume', '--all');
  await daemon.waitUntilCompliant(guests);
  for (const guest of guests) assert.equal(limitCores(guest.groups, 'vcpu0'), 0.25, guest.name);
});

test('one guest can be released alone', async () => {
  const [one, ...others] = guests;
  assert.ok(one !== undefined);
  await daemon.virtsladOk('release', one.name);
  assert.deepEqual(state(one), originals.get(one.name));
  for (const other of others) assert.equal(limitCores(other.groups, 'vcpu0'), 0.25, other.name);
  await daemon.virtsladOk('resume', one.name);
  await daemon.waitUntilCompliant([one]);
});

test('a guest that started under the daemon gets what its definition says', async () => {
  const late = await lab.startGuest({
    name: 'late',
    burn: false,
    cputuneXml: '<cputune><shares>777</shares><period>80000</period><quota>70000</quota></cputune>',
  });
  await daemon.waitUntilCompliant([late]);
  await daemon.virtsladOk('release', late.name);
  assert.match(await late.schedinfo(), /cpu_shares\s*: 777\nvcpu_period\s*: 80000\nvcpu_quota\s*: 70000\n/);
  assert.equal(limitCores(late.groups, 'vcpu0'), 0.875);
});

test('release works without a daemon', async () => {
  await daemon.virtsladOk('resume', '--all');
  await daemon.waitUntilCompliant(guests);
  await daemon.kill('SIGKILL');
  await daemon.virtsladOk('release', '--all');
  await waitUntil(
    'the originals',
    () => guests.every((guest) => JSON.stringify(state(guest)) === JSON.stringify(originals.get(guest.name))),
    { seconds: 1 },
  );
});
