/** What operators change while the daemon runs: policies, the clock's schedules, hold and resume. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { limitCores, readCpuFiles, writeForeignQuota } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';
import { sleep, waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

const FILE = '10-batch.yaml';
/** Reloads are promised within 2 s; applying them takes a moment more. */
const RELOAD_SECONDS = 2.5;

function policy(limit: string, schedules = ''): string {
  return `version: 1
classes:
  batch: { cpu: { limit: ${limit} } }
assignments:
  - { class: batch, match: { name: "batch-*" } }
${schedules}`;
}

const guest = await lab.startGuest({ name: 'batch', burn: false });
const untouched = readCpuFiles(guest.groups);
const daemon = await lab.startDaemon({ policies: { [FILE]: policy('50%') } });
await daemon.waitUntilCompliant([guest]);

const limit = () => limitCores(guest.groups, 'vcpu0');
const untilLimit = (cores: number | null, seconds = RELOAD_SECONDS) =>
  waitUntil(`a limit of ${cores} cores`, () => limit() === cores, { seconds });

test('a policy saved in place is in force within seconds', async () => {
  assert.equal(limit(), 0.5);
  daemon.writePolicy(FILE, policy('40%'));
  await untilLimit(0.4);
});

test('a policy saved by rename is in force within seconds', async () => {
  const temporary = join(daemon.policyDir, `.${FILE}.new`);
  writeFileSync(temporary, policy('41%'), { mode: 0o644 });
  renameSync(temporary, join(daemon.policyDir, FILE));
  await untilLimit(0.41);
});

test('a policy behind a swapped symlink is in force within seconds', async () => {
  for (const [version, text] of Object.entries({ v1: policy('42%'), v2: policy('43%') })) {
    const directory = join(daemon.policyDir, `.${version}`);
    mkdirSync(directory, { mode: 0o755 });
    writeFileSync(join(directory, FILE), text, { mode: 0o644 });
  }
  symlinkSync('.v1', join(daemon.policyDir, '.data'));
  rmSync(join(daemon.policyDir, FILE));
  symlinkSync(join('.data', FILE), join(daemon.policyDir, FILE));
  await untilLimit(0.42);
  symlinkSync('.v2', join(daemon.policyDir, '.data.new'));
  renameSync(join(daemon.policyDir, '.data.new'), join(daemon.policyDir, '.data'));
  await untilLimit(0.43);
  rmSync(join(daemon.policyDir, FILE));
  daemon.writePolicy(FILE, policy('44%'));
  await untilLimit(0.44);
});

test('a bad policy is refused with its place, and the last good one stays in force', async () => {
  daemon.writePolicy(FILE, policy('4O%'));
  await waitUntil('the refusal', async () => (await daemon.metric('virtsla_policy_last_reload_successful')) === 0, {
    seconds: RELOAD_SECONDS,
  });
  writeForeignQuota(guest.groups, 'vcpu0', 70_000);
  await untilLimit(0.44, 1.5);
  const { code, stdout, stderr } = await daemon.virtslad('check');
  assert.equal(code, 1);
  assert.match(stdout + stderr, new RegExp(`${FILE}:3:26: `), 'no file:line:column');
  assert.doesNotMatch(stdout + stderr, /\n\s+at /, 'a stack trace');
  daemon.writePolicy(FILE, policy('45%'));
  await untilLimit(0.45);
  // The picture that scrapes see may be half a second old.
  await waitUntil('the metric', async () => (await daemon.metric('virtsla_policy_last_reload_successful')) === 1, {
    seconds: RELOAD_SECONDS,
  });
  assert.equal((await daemon.virtslad('check')).code, 0);
});

test('an empty policy directory releases nothing', async () => {
  rmSync(join(daemon.policyDir, FILE));
  await waitUntil('the refusal', async () => (await daemon.metric('virtsla_policy_last_reload_successful')) === 0, {
    seconds: RELOAD_SECONDS,
  });
  await sleep(0.5);
  assert.equal(limit(), 0.45);
  daemon.writePolicy(FILE, policy('46%'));
  await untilLimit(0.46);
});

test('SIGHUP reads the policies again', async () => {
  daemon.signal('SIGHUP');
  daemon.writePolicy(FILE, policy('47%'));
  daemon.signal('SIGHUP');
  await untilLimit(0.47);
  assert.ok(daemon.running);
});

test('a held guest is left alone until it is resumed', async () => {
  await daemon.virtsladOk('hold', guest.name);
  assert.equal(await metricSoon('virtsla_domain_held', 1), 1);
  writeForeignQuota(guest.groups, 'vcpu0', 77_000);
  daemon.writePolicy(FILE, policy('48%'));
  await sleep(3);
  assert.equal(limit(), 0.77, 'a held guest was written');
  await daemon.virtsladOk('resume', guest.name);
  await untilLimit(0.48);
  assert.equal(await metricSoon('virtsla_domain_held', 0), 0);
});

test('a hold for a time ends by itself', async () => {
  await daemon.virtsladOk('hold', guest.name, '--for', '3s');
  writeForeignQuota(guest.groups, 'vcpu0', 78_000);
  await sleep(2);
  assert.equal(limit(), 0.78, 'the hold ended early');
  await untilLimit(0.48, 7);
});

test('a schedule opens and closes its window at the minute and the second', { timeout: 100_000 }, async (t) => {
  // The window opens at each full minute. It closes at least 8 s from now, so that both boundaries can be watched.
  const secondOfMinute = () => (Date.now() / 1000) % 60;
  const forSeconds = secondOfMinute() < 30 ? Math.ceil(secondOfMinute()) + 10 : 20;
  const schedules = `schedules:
  - { name: each-minute, cron: "* * * * *", for: ${forSeconds}s, set: { batch.cpu.limit: 80% } }
`;
  const boundaries = [
    { at: forSeconds, cores: 0.2, word: 'closes' },
    { at: 60, cores: 0.8, word: 'opens' },
  ];
  const openNow = secondOfMinute() < forSeconds;
  daemon.writePolicy(FILE, policy('20%', schedules));
  await untilLimit(openNow ? 0.8 : 0.2);
  for (const { at, cores, word } of openNow ? boundaries : [...boundaries].reverse()) {
    const minute = Math.floor(Date.now() / 60_000) * 60;
    const boundary = (minute + at) * 1000;
    await waitUntil(`the window to change: it ${word}`, () => limit() === cores, { seconds: 65, everyMs: 20 });
    const lateMs = Date.now() - boundary;
    t.diagnostic(`${word}: limit ${cores} after ${lateMs} ms`);
    assert.ok(lateMs >= -100 && lateMs <= 1500, `${word} ${lateMs} ms after its time`);
  }
});

test('a key that leaves its class goes back to what stood there before', async () => {
  daemon.writePolicy(
    FILE,
    'version: 1\nclasses:\n  batch: { cpu: { weight: 70 } }\nassignments:\n  - { class: batch, match: { name: "batch-*" } }\n',
  );
  await untilLimit(null);
  await daemon.waitUntilCompliant([guest]);
  daemon.writePolicy(
    FILE,
    'version: 1\nclasses:\n  batch: { cpu: { weight: 70 } }\nassignments:\n  - { class: batch, match: { name: "nobody-*" } }\n',
  );
  await waitUntil(
    'the weight to go back',
    () => JSON.stringify(readCpuFiles(guest.groups)) === JSON.stringify(untouched),
    {
      seconds: RELOAD_SECONDS,
    },
  );
});

/** The metric once it has that value, or what it is after two seconds. */
async function metricSoon(name: string, value: number): Promise<number | null> {
  const read = () => daemon.metric(name, { uuid: guest.uuid });
  await waitUntil(name, async () => (await read()) === value, { seconds: 2 }).catch(() => undefined);
  return read();
}
