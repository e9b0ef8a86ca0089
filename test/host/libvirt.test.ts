/** libvirtd is restarted, frozen, missing, and a single guest hangs: limits stand, nobody is released, others go on. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { limitCores, readCpuFiles, writeForeignQuota } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';
import { sleep, waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

const FILE = '10-libvirt.yaml';

function policy(limit: number): string {
  return `version: 1
classes:
  batch: { cpu: { limit: ${limit}%, weight: 40 } }
assignments:
  - { class: batch, match: { any: true } }
`;
}

const first = await lab.startGuest({ name: 'first', burn: false });
const second = await lab.startGuest({ name: 'second', burn: false });
const guests = [first, second] as const;
lab.uuid('later');
const daemon = await lab.startDaemon({ policies: { [FILE]: policy(30) } });
await daemon.waitUntilCompliant(guests);

const connected = (value: 0 | 1, seconds: number) =>
  waitUntil(
    value === 1 ? 'libvirt to be connected' : 'the loss of libvirt to be seen',
    async () => (await daemon.metric('virtsla_libvirt_connected')) === value,
    { seconds, everyMs: 100 },
  );

test('libvirtd stopped: limits stand, nothing is released, /metrics says so; started: a full resync', async () => {
  const before = guests.map((guest) => readCpuFiles(guest.groups));
  await lab.libvirtd.stop();
  await connected(0, 30);
  await sleep(6);
  assert.deepEqual(
    guests.map((guest) => readCpuFiles(guest.groups)),
    before,
  );
  assert.equal((await fetch(`${daemon.url}/-/healthy`)).status, 200);
  await lab.libvirtd.start();
  const began = performance.now();
  await connected(1, 30);
  await daemon.waitUntilCompliant(guests, 10);
  assert.ok((performance.now() - began) / 1000 < 30);
  assert.deepEqual(
    guests.map((guest) => readCpuFiles(guest.groups)),
    before,
  );
});

test('libvirtd restarted: the daemon comes back to it and manages guests that start afterwards', async (t) => {
  const reconnects = async () => (await daemon.metric('virtsla_libvirt_reconnects_total')) ?? 0;
  const before = await reconnects();
  await lab.libvirtd.restart();
  const began = performance.now();
  await waitUntil('a new connection', async () => (await reconnects()) > before, { seconds: 20, everyMs: 50 });
  t.diagnostic(`connected again after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  const later = await lab.startGuest({ name: 'later', burn: false });
  await waitUntil('the new guest to be capped', () => limitCores(later.groups, 'vcpu0') === 0.3, { seconds: 2 });
  await later.destroy();
  await waitUntil(
    'its series to go',
    async () => (await daemon.metric('virtsla_domain_compliant', { uuid: later.uuid })) === null,
    { seconds: 15, everyMs: 200 },
  );
});

test('libvirtd frozen: /metrics answers, drift in the kernel is mended, and afterwards all is well', async (t) => {
  await daemon.waitUntilCompliant(guests, 20);
  lab.libvirtd.freeze();
  try {
    await sleep(2);
    const began = performance.now();
    await daemon.scrape();
    const scrapeMs = performance.now() - began;
    writeForeignQuota(first.groups, 'vcpu0', 90_000);
    const foreign = performance.now();
    await waitUntil('drift to be mended', () => limitCores(first.groups, 'vcpu0') === 0.3, { seconds: 8, everyMs: 5 });
    t.diagnostic(`scrape ${scrapeMs.toFixed(0)} ms, drift mended after ${(performance.now() - foreign).toFixed(0)} ms`);
    assert.ok(scrapeMs < 500, `${scrapeMs} ms`);
    await sleep(6);
    for (const guest of guests) assert.equal(limitCores(guest.groups, 'vcpu0'), 0.3, guest.name);
  } finally {
    lab.libvirtd.thaw();
  }
  await connected(1, 30);
  daemon.writePolicy(FILE, policy(35));
  await waitUntil('a new policy', () => guests.every((guest) => limitCores(guest.groups, 'vcpu0') === 0.35), {
    seconds: 15,
  });
  await daemon.waitUntilCompliant(guests, 20);
});

test('one guest whose QEMU is frozen stalls nobody', async (t) => {
  const { pid } = first;
  process.kill(pid, 'SIGSTOP');
  try {
    daemon.writePolicy(FILE, policy(50));
    const began = performance.now();
    await waitUntil('the other guest to follow', () => limitCores(second.groups, 'vcpu0') === 0.5, { seconds: 15 });
    t.diagnostic(`the other guest followed after ${(performance.now() - began).toFixed(0)} ms`);
    assert.ok(performance.now() - began < 5_000);
    writeForeignQuota(second.groups, 'vcpu0', 90_000);
    await waitUntil('drift of the other guest to be mended', () => limitCores(second.groups, 'vcpu0') === 0.5, {
      seconds: 2,
    });
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await waitUntil('the guest itself to follow', () => limitCores(first.groups, 'vcpu0') === 0.5, { seconds: 20 });
  await daemon.waitUntilCompliant(guests, 30);
});

test('started while libvirtd is down, it says what it lacks and takes over when libvirtd comes', async () => {
  await daemon.kill('SIGTERM');
  await lab.libvirtd.stop();
  daemon.writePolicy(FILE, policy(60));
  const logged = daemon.log.length;
  await daemon.start({ ready: false });
  await waitUntil('the daemon to serve', async () => (await fetch(`${daemon.url}/-/healthy`).catch(() => null))?.ok, {
    seconds: 10,
    everyMs: 50,
  });
  assert.equal(await daemon.metric('virtsla_libvirt_connected'), 0);
  assert.ok(((await daemon.metric('virtsla_lacks')) ?? 0) >= 1, 'it lacks nothing');
  await waitUntil('the log to say so', () => /"event":"libvirt/.test(daemon.log.slice(logged)), { seconds: 10 });
  const status = await daemon.virtslad('status');
  assert.match(status.stdout + status.stderr, /libvirt/i);
  assert.doesNotMatch(daemon.log.slice(logged), /\\n\s+at /, 'a stack trace');
  await lab.libvirtd.start();
  await waitUntil('the guests to follow', () => guests.every((guest) => limitCores(guest.groups, 'vcpu0') === 0.6), {
    seconds: 40,
  });
  await daemon.waitUntilCompliant(guests, 20);
});
