/** Do no harm: observe mode writes nothing, the kill switch stops all writes, and there is one writer at a time. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { groupDirectories, limitCores, readCpuFiles, writeForeignQuota } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';
import { sleep, waitUntil } from '../support/wait.js';
import { WriteWatch } from '../support/write-watch.js';

const lab = await Lab.open();
after(() => lab.close());

const FILE = '10-harmless.yaml';

function policy(limit: number): string {
  return `version: 1
classes:
  batch: { cpu: { limit: ${limit}%, weight: 20 } }
assignments:
  - { class: batch, match: { any: true } }
`;
}

const guest = await lab.startGuest({ name: 'first', burn: false });
lab.uuid('later');
const limit = () => limitCores(guest.groups, 'vcpu0');

test('observe mode writes nothing, and says what it would', async () => {
  const schedinfo = await guest.schedinfo();
  const before = readCpuFiles(guest.groups);
  const watch = await WriteWatch.start(groupDirectories(guest.groups));
  const daemon = await lab.startDaemon({ policies: { [FILE]: policy(30) }, mode: 'observe' });
  const later = await lab.startGuest({ name: 'later', burn: false });
  daemon.writePolicy(FILE, policy(35));
  await sleep(8);
  assert.deepEqual(watch.writes, []);
  assert.deepEqual(readCpuFiles(guest.groups), before);
  assert.equal(await guest.schedinfo(), schedinfo);
  assert.equal(limitCores(later.groups, 'vcpu0'), null);
  assert.equal(await daemon.metric('virtsla_domain_compliant', { uuid: guest.uuid }), 0);
  assert.match(await daemon.virtsladOk('plan'), /35/);
  assert.equal((await daemon.virtslad('plan', '--detailed-exitcode')).code, 2);
  const released = await daemon.virtslad('release', '--all');
  assert.doesNotMatch(released.stderr, /\n\s+at /, 'a stack trace');
  assert.deepEqual(watch.writes, []);
  // The witness works.
  writeForeignQuota(guest.groups, 'vcpu0', 50_000);
  await waitUntil('inotifywait to see a foreign write', () => watch.writes.length > 0, { seconds: 2 });
  await watch.stop();
  writeForeignQuota(guest.groups, 'vcpu0', -1);
  await daemon.kill('SIGTERM');
  await later.destroy();
});

test('plan and explain without a daemon write nothing', async () => {
  const daemon = lab.daemon({ policies: { [FILE]: policy(30) } });
  await daemon.start();
  await daemon.kill('SIGKILL');
  daemon.writePolicy(FILE, policy(31));
  const watch = await WriteWatch.start(groupDirectories(guest.groups));
  const plan = await daemon.virtsladOk('plan');
  const explain = await daemon.virtsladOk('explain', guest.name);
  assert.match(plan, /31/);
  assert.match(explain, new RegExp(`${FILE}:3:\\d+`), 'no file:line:column');
  assert.deepEqual(watch.writes, []);
  await watch.stop();
  await daemon.virtsladOk('release', '--all');
});

test('the kill switch stops all writes within a second; without it they go on', async () => {
  const daemon = await lab.startDaemon({ policies: { [FILE]: policy(30) } });
  await daemon.waitUntilCompliant([guest]);
  writeFileSync(daemon.killSwitch, '');
  await sleep(1);
  const watch = await WriteWatch.start(groupDirectories(guest.groups));
  writeForeignQuota(guest.groups, 'vcpu0', 88_000);
  daemon.writePolicy(FILE, policy(40));
  await sleep(7);
  assert.equal(limit(), 0.88);
  assert.equal(watch.writes.length, 1, `written: ${watch.writes.join(' ')}`);
  await watch.stop();
  assert.equal(await daemon.metric('virtsla_kill_switch'), 1);
  rmSync(daemon.killSwitch);
  await waitUntil('enforcement to go on', () => limit() === 0.4, { seconds: 7 });
  await daemon.virtsladOk('release', '--all');
  await daemon.kill('SIGTERM');
});

test('a second daemon on the same run directory refuses to start, and the first goes on', async () => {
  const daemon = await lab.startDaemon({ policies: { [FILE]: policy(30) } });
  await daemon.waitUntilCompliant([guest]);
  const second = await daemon.virtslad('run', '--web.listen-address', '127.0.0.1:0');
  assert.notEqual(second.code, 0);
  assert.match(second.stderr + second.stdout, /\[[A-Z_]*LOCK[A-Z_]*\]|lock/i);
  assert.doesNotMatch(second.stderr + second.stdout, /\n\s+at /, 'a stack trace');
  writeForeignQuota(guest.groups, 'vcpu0', 88_000);
  await waitUntil('the first to mend drift', () => limit() === 0.3, { seconds: 2 });
});
