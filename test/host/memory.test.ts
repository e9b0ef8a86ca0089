/** Memory limits: set where they are safe, refused with the figures where they would kill, and never something between. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { controllerGroup } from '../support/controller-group.js';
import type { Guest } from '../support/guest.js';
import { limitCores } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';
import { MEND_SECONDS } from '../support/lab-kind.js';
import { kernelTuning, libvirtView } from '../support/tuning-view.js';
import { sleep, waitUntil } from '../support/wait.js';
import { WriteWatch } from '../support/write-watch.js';

const lab = await Lab.open();
after(() => lab.close());

const MEBIBYTE = 1024 * 1024;
const LIMIT_BYTES = 512 * MEBIBYTE;
const POLICY = `version: 1
classes:
  tight: { cpu: { limit: 40% }, memory: { limit: 100MiB, swap: 0 } }
  safe: { memory: { limit: 512MiB, swap: 64MiB } }
  swap: { memory: { swap: 0, guarantee: 50%, high: 90% } }
assignments:
  - { class: tight, match: { name: "tight-*" } }
  - { class: safe, match: { name: "safe-*" } }
  - { class: swap, match: { name: "swap-*" } }
`;
const tight = await lab.startGuest({ name: 'tight', burn: false });
const safe = await lab.startGuest({
  name: 'safe',
  program: { kind: 'touch', toBytes: 48 * MEBIBYTE },
  memoryMebibytes: 48,
});
const swap = await lab.startGuest({ name: 'swap', burn: false });
const { version } = controllerGroup(safe.pid, 'memory');
const [LIMIT, SWAP, USED] =
  version === 1
    ? (['limit_in_bytes', 'memsw.limit_in_bytes', 'usage_in_bytes'] as const)
    : (['max', 'swap.max', 'current'] as const);
/** v1 limits memory and swap together. */
const swapBytes = version === 1 ? LIMIT_BYTES + 64 * MEBIBYTE : 64 * MEBIBYTE;
const path = (guest: Guest, file: string) => join(controllerGroup(guest.pid, 'memory').directory, `memory.${file}`);
const read = (guest: Guest, file: string) => readFileSync(path(guest, file), 'utf8').trim();
const memtune = (guest: Guest) => guest.virshOk(['memtune', guest.uuid]);

const untouched = { kernel: await kernelTuning(safe), libvirt: await libvirtView(safe) };
const refused = { limit: read(tight, LIMIT), swap: read(tight, SWAP), memtune: await memtune(tight) };
const watch = await WriteWatch.start([controllerGroup(tight.pid, 'memory').directory]);
const daemon = await lab.startDaemon({ policies: { '10-memory.yaml': POLICY } });
await daemon.waitUntilCompliant([safe]);
await waitUntil('the memory to be used', () => Number(read(safe, USED)) > 48 * MEBIBYTE, { seconds: 20 });

test('a limit under what the guest may need is refused with the figures, and nothing is written', async () => {
  const explained = await daemon.virtsladOk('explain', tight.name);
  assert.match(
    explained,
    /memory\.limit {2}refused: 100MiB is under the 151 MiB that it may need: guest memory 16 MiB \+ QEMU's own 135 MiB/,
  );
  assert.equal(await daemon.metric('virtsla_domain_compliant', { uuid: tight.uuid }), 0);
  // A cycle and more.
  await sleep(6);
  // v2 limits swap for itself, which kills nobody.
  const isOther = (written: string) => version === 1 || !written.endsWith('/memory.swap.max');
  assert.deepEqual(watch.writes.filter(isOther), []);
  assert.equal(read(tight, LIMIT), refused.limit);
  if (version === 1) {
    assert.deepEqual(
      { swap: read(tight, SWAP), memtune: await memtune(tight) },
      { swap: refused.swap, memtune: refused.memtune },
    );
  }
  // The witness works.
  write(tight, LIMIT, version === 1 ? '-1' : 'max');
  await waitUntil('inotifywait to see a write', () => watch.writes.some(isOther), { seconds: 2 });
  await watch.stop();
  assert.equal(limitCores(tight.groups, 'vcpu0'), 0.4, 'its other controls are held all the same');
});

test('a safe limit stands in the kernel and in what libvirt says', async () => {
  assert.equal(read(safe, LIMIT), String(LIMIT_BYTES));
  assert.match(await memtune(safe), /^hard_limit {5}: 524288\n/);
  assert.equal(await daemon.metric('virtsla_memory_limit_actual_bytes', { uuid: safe.uuid }), LIMIT_BYTES);
});

test('swap is limited beside it', async () => {
  assert.equal(read(safe, SWAP), String(swapBytes));
  if (version === 1) assert.match(await memtune(safe), /^swap_hard_limit: 589824\n/m);
  assert.equal(await daemon.metric('virtsla_memory_swap_limit_desired_bytes', { uuid: safe.uuid }), 64 * MEBIBYTE);
});

test('what cgroup v1 cannot do is unsupported, each with its reason', { skip: version === 2 }, async () => {
  const explained = await daemon.virtsladOk('explain', swap.name);
  assert.match(explained, /memory\.guarantee 50%: cgroup v1 cannot keep memory from being reclaimed/);
  assert.match(explained, /memory\.high 90%: cgroup v1 has no memory\.high/);
  assert.match(
    explained,
    /memory\.swap 0: cgroup v1 limits swap only together with memory, and no memory\.limit is in/,
  );
});

test('what a guest uses is in status and in the metrics', async (t) => {
  const used = async () => (await daemon.metric('virtsla_memory_used_bytes', { uuid: safe.uuid })) ?? 0;
  await waitUntil('its use in the metrics', async () => (await used()) > 48 * MEBIBYTE, { seconds: 12, everyMs: 200 });
  const [shown, kernel] = [await used(), Number(read(safe, USED))];
  t.diagnostic(`in the metrics ${(shown / MEBIBYTE).toFixed(1)} MiB, in the kernel ${(kernel / MEBIBYTE).toFixed(1)}`);
  assert.ok(Math.abs(shown - kernel) < 4 * MEBIBYTE, `${shown} and ${kernel}`);
  const peak = await daemon.metric('virtsla_memory_peak_bytes', { uuid: safe.uuid });
  assert.ok(peak === null || peak >= shown, `peak ${peak}`);
  const status = await daemon.virtsladOk('status', safe.name);
  assert.match(status, new RegExp(`^memory +uses ${(shown / MEBIBYTE).toFixed(0).slice(0, 1)}\\d\\.\\d MiB`, 'm'));
});

test('a limit that somebody else has changed is mended within a second', async (t) => {
  const repairs = async () => (await daemon.metric('virtsla_drift_repairs_total', { uuid: safe.uuid })) ?? 0;
  const before = await repairs();
  write(safe, LIMIT, String(300 * MEBIBYTE));
  const began = performance.now();
  const holds = () => read(safe, LIMIT) === String(LIMIT_BYTES);
  await waitUntil('the limit to be mended', holds, { seconds: 10, everyMs: 5 });
  const byFile = (performance.now() - began) / 1000;
  await safe.virshOk(['memtune', safe.uuid, '--live', '--hard-limit', '400MiB']);
  const returned = performance.now();
  const agrees = async () => holds() && /hard_limit {5}: 524288\n/.test(await memtune(safe));
  await waitUntil('the limit and what libvirt says to be mended', agrees, { seconds: 10 });
  const byVirsh = (performance.now() - returned) / 1000;
  t.diagnostic(
    `a write mended after ${(byFile * 1000).toFixed(0)} ms, virsh memtune after ${(byVirsh * 1000).toFixed(0)}`,
  );
  assert.ok(byFile <= MEND_SECONDS && byVirsh <= MEND_SECONDS, `after ${byFile} and ${byVirsh} s`);
  await waitUntil('the repairs to be counted', async () => (await repairs()) >= before + 2, { seconds: 7 });
});

test('release puts back what stood there', async () => {
  await daemon.virtsladOk('release', safe.name);
  assert.deepEqual({ kernel: await kernelTuning(safe), libvirt: await libvirtView(safe) }, untouched);
});

/** One write(2) and nothing else: O_TRUNC would show up as a second one. */
function write(guest: Guest, file: string, text: string): void {
  const descriptor = openSync(path(guest, file), 'r+');
  try {
    writeSync(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}
