/** What a limit promises: measured at the guest's threads, not read back from where it was written. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { measureCores, measureUntil, vcpuSeconds } from '../support/cpu-time.js';
import { limitCores, readLimit } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';
import { sleep } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

const POLICY = `version: 1
classes:
  fifth: { cpu: { limit: 20% } }
  half: { cpu: { limit: 0.5 cores } }
  whole: { cpu: { limit: 100% } }
assignments:
  - { class: fifth, match: { name: "fifth-*" } }
  - { class: half, match: { name: "half-*" } }
  - { class: whole, match: { name: "whole-*" } }
`;

const fifth = await lab.startGuest({ name: 'fifth' });
const half = await lab.startGuest({ name: 'half', vcpus: 2 });
const whole = await lab.startGuest({ name: 'whole', burn: false });
const stranger = await lab.startGuest({ name: 'stranger', burn: false });
await half.waitUntilBusy();
const daemon = await lab.startDaemon({ policies: { '10-limits.yaml': POLICY } });
await daemon.waitUntilCompliant([fifth, half, whole]);

test('a guest capped at 20 % of a core uses 20 % ± 3', async (t) => {
  const isKept = ([cores = 0]: readonly number[]) => Math.abs(cores - 0.2) <= 0.03;
  const used = await measureUntil(isKept, () => measureCores([fifth.pid], 6));
  t.diagnostic(`limit 0.200 cores, used ${used[0]?.toFixed(3)}`);
  assert.ok(isKept(used), `used ${used[0]} cores`);
});

test('a limit in cores is divided evenly over two vCPUs, and their sum keeps it', async (t) => {
  assert.equal(limitCores(half.groups, 'vcpu0'), 0.25);
  assert.equal(limitCores(half.groups, 'vcpu1'), 0.25);
  const isKept = ([cores = 0]: readonly number[]) => Math.abs(cores - 0.5) <= 0.04;
  const used = await measureUntil(isKept, () => measureCores([half.pid], 6));
  t.diagnostic(`limit 0.500 cores, used ${used[0]?.toFixed(3)}`);
  assert.ok(isKept(used), `used ${used[0]} cores`);
});

test('a limit of 100 % is no quota', () => {
  assert.equal(readLimit(whole.groups, 'vcpu0').quotaUsec, null);
});

test('emulator threads have no quota, and nor has the guest as a whole', () => {
  for (const guest of [fifth, half, whole]) {
    assert.equal(readLimit(guest.groups, 'emulator').quotaUsec, null, guest.name);
    assert.equal(readLimit(guest.groups, '.').quotaUsec, null, guest.name);
  }
});

test('a guest that no assignment matches keeps libvirt’s defaults', async () => {
  assert.deepEqual(readLimit(stranger.groups, 'vcpu0'), { quotaUsec: null, periodUsec: 100_000 });
  assert.equal(await daemon.metric('virtsla_domain_managed', { uuid: stranger.uuid }), 0);
});

test('libvirt’s own view agrees with the kernel', async () => {
  assert.match(await fifth.schedinfo(), /vcpu_quota\s*: 20000\n/);
  assert.match(await half.schedinfo(), /vcpu_quota\s*: 25000\n/);
});

test('the CPU time in /metrics is the kernel’s', async (t) => {
  const usedSeconds = async () => (await daemon.metric('virtsla_cpu_used_seconds_total', { uuid: half.uuid })) ?? NaN;
  const before = { kernel: vcpuSeconds(half.pid), metrics: await usedSeconds() };
  await sleep(12);
  const kernel = vcpuSeconds(half.pid) - before.kernel;
  const metrics = (await usedSeconds()) - before.metrics;
  t.diagnostic(`kernel ${kernel.toFixed(2)} s, /metrics ${metrics.toFixed(2)} s over 12 s`);
  // Each side of the metric is up to one cycle (5 s at 0.5 cores) old.
  assert.ok(Math.abs(metrics - kernel) <= 2.6, `kernel ${kernel}, metrics ${metrics}`);
  const throttled = await daemon.metric('virtsla_cpu_throttled_seconds_total', { uuid: half.uuid });
  assert.ok((throttled ?? 0) > 1, `throttled ${throttled}`);
  assert.equal(await daemon.metric('virtsla_cpu_limit_actual_cores', { uuid: half.uuid }), 0.5);
});
