/**
 * A QEMU that does not answer: facts and lists never ask it; a call that changes something waits for whoever does, and
 * must hold up nobody else.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import type { LibvirtClient, LibvirtEvent, LibvirtOutcome } from '../../src/host/libvirt/client.js';
import { connectLibvirt } from '../../src/host/libvirt/connect.js';
import { keepingLog } from './keeping-log.js';
import { QEMU_URI, qemuMissing, type RealGuest, startGuest, virsh } from './real-guests.js';

const DEADLINE_MS = 700;

describe('a guest whose QEMU is stopped', { skip: qemuMissing() }, () => {
  let stuck: RealGuest;
  let other: RealGuest;
  let client: LibvirtClient;
  let asking: ChildProcess | null = null;
  const events: LibvirtEvent[] = [];

  before(async () => {
    stuck = startGuest('stuck');
    other = startGuest('other');
    client = connectLibvirt({ uri: QEMU_URI, log: keepingLog(), deadlineMs: DEADLINE_MS });
    client.onEvent((event) => events.push(event));
    await client.start(new AbortController().signal);
    process.kill(stuck.pid(), 'SIGSTOP');
  });
  after(async () => {
    if (stuck !== undefined) process.kill(stuck.pid(), 'SIGCONT');
    await client?.stop();
    asking?.kill();
    stuck?.remove();
    other?.remove();
  });

  it('is read and changed like any other while nobody asks its monitor', async () => {
    const id = await idOf(stuck);
    assert.equal(kind(await client.facts(stuck.uuid)), 'ok');
    assert.equal(kind(await client.setScheduler(stuck.uuid, id, { vcpu_quota: 40_000n })), 'ok');
    assert.equal(kind(await client.setOriginals(stuck.uuid, id, null)), 'ok');
  });

  it('is quarantined, alone, when someone waits for its monitor', async () => {
    const id = await idOf(stuck);
    const otherId = await idOf(other);
    // Holds the domain's job for as long as QEMU is silent.
    asking = spawn('virsh', ['--connect', QEMU_URI, 'qemu-monitor-command', stuck.name, '--hmp', 'info status'], {
      stdio: 'ignore',
    });
    await until(async () => kind(await client.setScheduler(stuck.uuid, id, { vcpu_quota: 41_000n })) === 'timeout');
    const beganMs = performance.now();
    assert.equal(kind(await client.setScheduler(stuck.uuid, id, { vcpu_quota: 42_000n })), 'quarantined');
    assert.equal(kind(await client.facts(stuck.uuid)), 'quarantined');
    assert.equal(kind(await client.setScheduler(other.uuid, otherId, { vcpu_quota: 43_000n })), 'ok');
    assert.equal(kind(await client.facts(other.uuid)), 'ok');
    assert.equal(kind(await client.list()), 'ok');
    assert.ok(performance.now() - beganMs < DEADLINE_MS, 'nobody waits for the stopped one');
    const { quarantined, abandonedWorkers, connected } = client.status();
    assert.deepEqual([quarantined, abandonedWorkers, connected], [[stuck.uuid], 1, true]);
    assert.match(virsh('schedinfo', other.name), /vcpu_quota\s*:\s*43000/);
  });

  it('recovers when QEMU goes on', async () => {
    process.kill(stuck.pid(), 'SIGCONT');
    await until(async () => client.status().quarantined.length === 0);
    assert.ok(events.some((event) => event.kind === 'recovered' && event.uuid === stuck.uuid));
    assert.equal(client.status().abandonedWorkers, 0);
    assert.equal(kind(await client.setScheduler(stuck.uuid, await idOf(stuck), { vcpu_quota: 44_000n })), 'ok');
    assert.match(virsh('schedinfo', stuck.name), /vcpu_quota\s*:\s*44000/);
  });

  async function idOf(guest: RealGuest): Promise<number> {
    const list = await client.list();
    assert.ok(list.ok);
    return list.value.find(({ uuid }) => uuid === guest.uuid)?.id ?? assert.fail(`${guest.name} does not run`);
  }
});

function kind(outcome: LibvirtOutcome<unknown>): string {
  return outcome.ok ? 'ok' : outcome.failure;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 250; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail('it did not happen within 5 s');
}
