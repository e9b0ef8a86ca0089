/**
 * cgroup v2 under systemd: at which level each value stands, and whether the kernel does with it what was promised. Read and
 * counted in the kernel's own files; time is the guest kernel's, for around it everything is emulated.
 */
import './support/on-system.js';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { output } from '../support/command.js';
import type { Guest } from '../support/guest.js';
import { levelsOf, MACHINE_SLICE, readGroup, unitProperty } from './support/v2-groups.js';

const { Lab } = await import('../support/lab.js');
const { sleep, waitUntil } = await import('../support/wait.js');
const { findWholeDisks } = await import('../support/whole-disks.js');

const lab = await Lab.open();
after(() => lab.close());

const [MEBIBYTE, GIBIBYTE] = [2 ** 20, 2 ** 30];
const IMAGE_BYTES = 16 * MEBIBYTE;
const POLICY = `version: 1
classes:
  soft:
    cpu: { limit: 30%, weight: 400, burst: 5ms, pin: "1" }
    memory: { guarantee: 50%, high: 480MiB, limit: 512MiB, swap: 64MiB }
    disk: { via: cgroup, limit: { read-iops: 20, write: 1MiB/s } }
  hard:
    memory: { guarantee: 100%, hard: true }
    cpu: { limit: 80% }
assignments:
  - { class: soft, match: { name: "soft-*" } }
  - { class: hard, match: { name: "hard-*" } }
`;

// Guests that are busy would make its start much longer.
for (const name of ['soft', 'hard', 'plain']) lab.uuid(name);
const daemon = await lab.startDaemon({ policies: { '10-levels.yaml': POLICY } });
const before = { low: readGroup(MACHINE_SLICE, 'memory.low'), min: readGroup(MACHINE_SLICE, 'memory.min') };
const soft = await lab.startGuest({ name: 'soft', memoryMebibytes: 64, bootDisk: { cache: 'none' } });
const program = { kind: 'read', sectorsPerRequest: 64, spanBytes: IMAGE_BYTES } as const;
const reader = { program, bootDisk: { bytes: IMAGE_BYTES, cache: 'writeback' } } as const;
const hard = lab.guest({ name: 'hard', memoryMebibytes: 64, ...reader });
const plain = lab.guest({ name: 'plain', memoryMebibytes: 64, ...reader });
// What this process has written is not charged to them.
await output('sh', ['-c', 'sync && echo 3 >/proc/sys/vm/drop_caches']);
for (const guest of [hard, plain]) await guest.start();
const [softLevels, hardLevels] = [levelsOf(soft), levelsOf(hard)];
const [disk] = await findWholeDisks(lab.directory);
await daemon.waitUntilCompliant([soft, hard]);

test('the weight is on the scope, and is systemd’s and libvirt’s own too', async () => {
  assert.equal(readGroup(softLevels.scope, 'cpu.weight'), '400');
  assert.equal(await unitProperty(softLevels.scope, 'CPUWeight'), '400');
  assert.match(await soft.schedinfo(), /cpu_shares\s*: 400\n/);
  assert.equal(readGroup(softLevels.libvirt, 'cpu.weight'), '100', 'the level below has one of its own');
});

test('quota, burst and pin are on each vCPU’s group, and on no other', async () => {
  const vcpu = `${softLevels.libvirt}/vcpu0`;
  assert.equal(readGroup(vcpu, 'cpu.max'), '30000 100000');
  assert.equal(readGroup(vcpu, 'cpu.max.burst'), '5000');
  assert.equal(readGroup(vcpu, 'cpuset.cpus'), '1');
  for (const group of [softLevels.scope, softLevels.libvirt, `${softLevels.libvirt}/emulator`]) {
    assert.equal(readGroup(group, 'cpu.max'), 'max 100000', group);
  }
  assert.equal(readGroup(softLevels.scope, 'cpuset.cpus') || readGroup(softLevels.libvirt, 'cpuset.cpus'), '');
});

test('ceilings of memory are on libvirt’s level', async () => {
  assert.equal(readGroup(softLevels.libvirt, 'memory.max'), String(512 * MEBIBYTE));
  assert.equal(readGroup(softLevels.libvirt, 'memory.high'), String(480 * MEBIBYTE));
  assert.equal(readGroup(softLevels.libvirt, 'memory.swap.max'), String(64 * MEBIBYTE));
  for (const file of ['memory.max', 'memory.high', 'memory.swap.max']) {
    assert.equal(readGroup(softLevels.scope, file), 'max', file);
  }
});

test('a guarantee is on every level down to the guest, soft and hard each in its own file', async (t) => {
  for (const [levels, file, property, bytes] of [
    [softLevels, 'memory.low', 'MemoryLow', 32 * MEBIBYTE],
    [hardLevels, 'memory.min', 'MemoryMin', 64 * MEBIBYTE],
  ] as const) {
    assert.equal(readGroup(levels.libvirt, file), String(bytes), `${file} of libvirt’s level`);
    assert.equal(readGroup(levels.scope, file), String(bytes), `${file} of the scope`);
    assert.equal(await unitProperty(levels.scope, property), String(bytes));
    const slice = () => Number(readGroup(MACHINE_SLICE, file));
    await waitUntil(`${file} of machine.slice`, () => slice() >= bytes, { seconds: 10 });
    assert.equal(slice() % GIBIBYTE, 0, 'in whole GiB');
    assert.equal(await unitProperty(MACHINE_SLICE, property), String(slice()));
    t.diagnostic(`${file}: machine.slice ${slice() / GIBIBYTE} GiB, scope and libvirt/ ${bytes / MEBIBYTE} MiB`);
  }
  assert.equal(readGroup(softLevels.libvirt, 'memory.min'), '0');
  assert.equal(readGroup(hardLevels.libvirt, 'memory.low'), '0');
});

test('the disk limit is on libvirt’s level, for the whole disk', () => {
  const line = `${disk?.device} rbps=max wbps=1048576 riops=20 wiops=max`;
  assert.equal(readGroup(softLevels.libvirt, 'io.max'), line);
  assert.equal(readGroup(softLevels.scope, 'io.max'), '');
});

test('the kernel throttles at the quota, period for period', async (t) => {
  await soft.waitUntilBusy();
  const stat = () => {
    const text = readGroup(`${softLevels.libvirt}/vcpu0`, 'cpu.stat') ?? '';
    const value = (key: string) => Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(text)?.[1]);
    return { usage: value('usage_usec'), periods: value('nr_periods'), throttled: value('nr_throttled') };
  };
  const [from, began] = [stat(), performance.now()];
  await sleep(8);
  const [to, elapsedUsec] = [stat(), (performance.now() - began) * 1000];
  const [periods, throttled] = [to.periods - from.periods, to.throttled - from.throttled];
  const share = (to.usage - from.usage) / elapsedUsec;
  t.diagnostic(`${throttled} of ${periods} periods throttled, ${(share * 100).toFixed(1)} % of a CPU used, limit 30 %`);
  assert.ok(throttled >= periods * 0.8, `${throttled} of ${periods}`);
  assert.ok(share <= 0.33 && share >= 0.2, `${share}`);
});

test('under pressure on machine.slice a guaranteed guest keeps what a guest without promise loses', async (t) => {
  // Their images: page cache, charged to who reads it first. There is no swap here, so all else stays anyway.
  const cached = (guest: Guest) =>
    Number(/^file (\d+)$/m.exec(readGroup(levelsOf(guest).libvirt, 'memory.stat') ?? '')?.[1]);
  const isRead = (guest: Guest) => cached(guest) >= IMAGE_BYTES * 0.9;
  await waitUntil('both to have read their images', () => isRead(hard) && isRead(plain), { seconds: 30, everyMs: 200 });
  for (const guest of [hard, plain]) await guest.virshOk(['suspend', guest.uuid]);
  const from = { hard: cached(hard), plain: cached(plain) };
  try {
    writeFileSync(`${MACHINE_SLICE}/memory.reclaim`, '1G', { flag: 'r+' });
  } catch (error) {
    // It comes short: there is not so much.
    assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
  }
  const to = { hard: cached(hard), plain: cached(plain) };
  const words = (bytes: number) => (bytes / MEBIBYTE).toFixed(1);
  t.diagnostic(
    `guaranteed ${words(from.hard)} → ${words(to.hard)} MiB, without ${words(from.plain)} → ${words(to.plain)} MiB`,
  );
  assert.ok(to.hard >= from.hard - MEBIBYTE, 'the guaranteed guest lost memory');
  assert.ok(to.plain <= from.plain / 2, 'there was no pressure');
});

test('release puts every level back, machine.slice too', async () => {
  await daemon.virtsladOk('release', '--all');
  assert.equal(readGroup(softLevels.scope, 'cpu.weight'), '100');
  for (const [file, text] of [
    ['memory.max', 'max'],
    ['memory.high', 'max'],
    ['memory.swap.max', 'max'],
    ['memory.low', '0'],
    ['io.max', ''],
  ] as const) {
    assert.equal(readGroup(softLevels.libvirt, file), text, file);
  }
  const vcpu = `${softLevels.libvirt}/vcpu0`;
  assert.equal(readGroup(vcpu, 'cpu.max'), 'max 100000');
  assert.equal(readGroup(vcpu, 'cpu.max.burst'), '0');
  for (const [levels, file] of [
    [softLevels, 'memory.low'],
    [hardLevels, 'memory.min'],
  ] as const) {
    assert.equal(readGroup(levels.scope, file), '0', file);
  }
  await waitUntil('machine.slice to be as before', () => readGroup(MACHINE_SLICE, 'memory.low') === before.low, {
    seconds: 10,
  });
  assert.equal(readGroup(MACHINE_SLICE, 'memory.min'), before.min);
});
