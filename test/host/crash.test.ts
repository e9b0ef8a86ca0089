/** A daemon that dies, at any moment and often: limits stand, the next one converges, and no original is lost. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Guest } from '../support/guest.js';
import { limitCores, readCpuFiles, readWeight } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';
import { sleep, waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

const FILE = '10-crash.yaml';
const KILLS = 50;
const LATEST_KILL_SECONDS = 1.2;

function policy(limit: number, weight: number): string {
  return `version: 1
classes:
  batch: { cpu: { limit: ${limit}%, weight: ${weight} } }
assignments:
  - { class: batch, match: { any: true } }
`;
}

const CPUTUNE = '<cputune><shares>2000</shares><period>50000</period><quota>40000</quota></cputune>';
const guests: Guest[] = [
  await lab.startGuest({ name: 'plain', burn: false, vcpus: 2 }),
  await lab.startGuest({ name: 'tuned', burn: false, cputuneXml: CPUTUNE }),
  await lab.startGuest({ name: 'persistent', burn: false, persistent: true, cputuneXml: CPUTUNE }),
];
lab.uuid('late');
const originals = new Map(guests.map((guest) => [guest.name, readCpuFiles(guest.groups)]));
const daemon = lab.daemon({ policies: { [FILE]: policy(30, 30) } });

test(`killed at ${KILLS} random moments and restarted, it converges and loses no original`, {
  timeout: 200_000,
}, async (t) => {
  const moments: number[] = [];
  for (let round = 0; round < KILLS; round += 1) {
    daemon.writePolicy(FILE, round % 2 === 0 ? policy(60, 300) : policy(30, 30));
    await daemon.start({ ready: false });
    // One guest starts while the daemon does, and lives through the rest.
    const starting = round === KILLS / 2 ? lab.startGuest({ name: 'late', burn: false, cputuneXml: CPUTUNE }) : null;
    const moment = Math.random() * LATEST_KILL_SECONDS;
    await sleep(moment);
    moments.push(moment);
    const { signal } = await daemon.kill('SIGKILL');
    assert.equal(signal, 'SIGKILL', `it ended by itself in round ${round}:\n${daemon.log.slice(-2000)}`);
    if (starting !== null) guests.push(await starting);
  }
  const early = moments.filter((moment) => moment < LATEST_KILL_SECONDS / 2).length;
  t.diagnostic(`${KILLS} kills after 0 to ${LATEST_KILL_SECONDS} s, ${early} of them in the first half`);

  daemon.writePolicy(FILE, policy(45, 200));
  const began = performance.now();
  await daemon.start();
  await daemon.waitUntilCompliant(guests);
  t.diagnostic(`converged ${((performance.now() - began) / 1000).toFixed(1)} s after the last start`);
  for (const guest of guests) {
    assert.equal(limitCores(guest.groups, 'vcpu0'), 0.45, guest.name);
    assert.equal(Math.round(readWeight(guest.groups)), 200, guest.name);
  }
  await daemon.virtsladOk('release', '--all');
  for (const guest of guests) {
    const original = originals.get(guest.name);
    if (original !== undefined) assert.deepEqual(readCpuFiles(guest.groups), original, guest.name);
    else assert.match(await guest.schedinfo(), /cpu_shares\s*: 2000\nvcpu_period\s*: 50000\nvcpu_quota\s*: 40000\n/);
  }
  await daemon.virtsladOk('resume', '--all');
  await daemon.waitUntilCompliant(guests);
});

test('SIGTERM ends it within 5 s, with the limits in place', async (t) => {
  const { code, seconds } = await daemon.kill('SIGTERM');
  t.diagnostic(`gone after ${seconds.toFixed(2)} s`);
  assert.equal(code, 0);
  assert.ok(seconds < 5, `${seconds} s`);
  for (const guest of guests) assert.equal(limitCores(guest.groups, 'vcpu0'), 0.45, guest.name);
});

test('a hold outlives a crash', async () => {
  const [guest] = guests;
  assert.ok(guest !== undefined);
  await daemon.start();
  await daemon.virtsladOk('hold', guest.name);
  await daemon.kill('SIGKILL');
  daemon.writePolicy(FILE, policy(50, 200));
  await daemon.start();
  const others = guests.slice(1);
  await waitUntil(
    'the other guests to follow',
    () => others.every((other) => limitCores(other.groups, 'vcpu0') === 0.5),
    {
      seconds: 10,
    },
  );
  assert.equal(limitCores(guest.groups, 'vcpu0'), 0.45, 'a held guest was written');
  assert.equal(await daemon.metric('virtsla_domain_held', { uuid: guest.uuid }), 1);
  await daemon.virtsladOk('resume', guest.name);
  await waitUntil('the resumed guest to follow', () => limitCores(guest.groups, 'vcpu0') === 0.5, { seconds: 5 });
});
