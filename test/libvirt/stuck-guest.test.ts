/**
 * A QEMU that does not answer: facts and lists never ask it; a call that changes something waits for whoever does, and
 * must hold up nobody else.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import type { LibvirtClient, LibvirtEvent, LibvirtOutcome } from '../../src/host/libvirt/client.js';
import { connectLibvirt } from '../../src/host/libvirt/connect.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { waitUntil } from '../support/wait.js';
import { keepingLog } from './keeping-log.js';

const DEADLINE_MS = 700;

const lab = await Lab.open();
const stuck = await lab.startGuest({ name: 'stuck', burn: false });
const other = await lab.startGuest({ name: 'other', burn: false });
const client: LibvirtClient = connectLibvirt({ uri: lab.libvirtd.uri, log: keepingLog(), deadlineMs: DEADLINE_MS });
const events: LibvirtEvent[] = [];
let asking: ChildProcess | null = null;

describe('a guest whose QEMU is stopped', () => {
  before(async () => {
    client.onEvent((event) => events.push(event));
    await client.start(new AbortController().signal);
    process.kill(stuck.pid, 'SIGSTOP');
  });
  after(async () => {
    process.kill(stuck.pid, 'SIGCONT');
    await client.stop();
    asking?.kill();
    await lab.close();
  });

  it('is read and changed like any other while nobody asks its monitor', async () => {
    const id = await idOf(stuck);
    assert.equal(kind(await client.facts(stuck.uuid)), 'ok');
    assert.equal(kind(await setQuota(stuck.uuid, id, 40_000n)), 'ok');
    assert.equal(kind(await client.setOriginals(stuck.uuid, id, null)), 'ok');
  });

  it('is quarantined, alone, when someone waits for its monitor', async () => {
    const id = await idOf(stuck);
    const otherId = await idOf(other);
    askMonitor();
    await waitUntil('a call to time out', async () => kind(await setQuota(stuck.uuid, id, 41_000n)) === 'timeout', {
      seconds: 10,
      everyMs: 20,
    });
    const beganMs = performance.now();
    assert.equal(kind(await client.disks(stuck.uuid, id)), 'quarantined');
    assert.equal(kind(await client.disks(other.uuid, otherId)), 'ok');
    assert.equal(kind(await setQuota(stuck.uuid, id, 42_000n)), 'quarantined');
    assert.equal(kind(await client.facts(stuck.uuid)), 'quarantined');
    assert.equal(kind(await setQuota(other.uuid, otherId, 43_000n)), 'ok');
    assert.equal(kind(await client.facts(other.uuid)), 'ok');
    assert.equal(kind(await client.list()), 'ok');
    assert.ok(performance.now() - beganMs < DEADLINE_MS, 'nobody waits for the stopped one');
    const { quarantined, abandonedWorkers, connected } = client.status();
    assert.deepEqual([quarantined, abandonedWorkers, connected], [[stuck.uuid], 1, true]);
    assert.match(await other.schedinfo(), /vcpu_quota\s*:\s*43000/);
  });

  it('recovers when QEMU goes on', async () => {
    process.kill(stuck.pid, 'SIGCONT');
    await waitUntil('the quarantine to end', () => client.status().quarantined.length === 0, {
      seconds: 10,
      everyMs: 20,
    });
    assert.ok(events.some((event) => event.kind === 'recovered' && event.uuid === stuck.uuid));
    assert.equal(client.status().abandonedWorkers, 0);
    assert.equal(kind(await setQuota(stuck.uuid, await idOf(stuck), 44_000n)), 'ok');
    assert.match(await stuck.schedinfo(), /vcpu_quota\s*:\s*44000/);
  });

  it('hangs whoever asks for its disks, and nobody else', async () => {
    const [id, otherId] = [await idOf(stuck), await idOf(other)];
    process.kill(stuck.pid, 'SIGSTOP');
    const began = performance.now();
    const hanging = client.disks(stuck.uuid, id);
    // Guests whose disks are asked for at the same time wait for their turn; a limit does not.
    const next = client.disks(other.uuid, otherId);
    assert.equal(kind(await setQuota(other.uuid, otherId, 45_000n)), 'ok');
    assert.ok(performance.now() - began < DEADLINE_MS, 'a limit does not wait for the stopped one');
    assert.deepEqual([kind(await hanging), kind(await next)], ['timeout', 'ok']);
    assert.deepEqual(client.status().quarantined, [stuck.uuid]);
    assert.equal(kind(await client.facts(stuck.uuid)), 'quarantined');
    process.kill(stuck.pid, 'SIGCONT');
    await waitUntil('the quarantine to end', () => client.status().quarantined.length === 0, { seconds: 10 });
    assert.equal(kind(await client.disks(stuck.uuid, id)), 'ok');
  });

  it('is refused its disks while someone else waits for its monitor', async () => {
    const id = await idOf(stuck);
    process.kill(stuck.pid, 'SIGSTOP');
    askMonitor();
    await waitUntil(
      'libvirt to be busy with the guest',
      async () => (await stuck.virsh(['domcontrol', stuck.name])).stdout.startsWith('occupied'),
      { seconds: 10 },
    );
    const began = performance.now();
    const outcome = await client.disks(stuck.uuid, id);
    assert.ok(performance.now() - began < DEADLINE_MS);
    assert.match(outcome.ok ? '' : outcome.message, /libvirt is busy/);
    assert.deepEqual(client.status().quarantined, []);
    process.kill(stuck.pid, 'SIGCONT');
    await waitUntil(
      'libvirt to be done with the guest',
      async () => {
        const again = await client.disks(stuck.uuid, id);
        return again.ok && again.value[0]?.counters !== null;
      },
      { seconds: 10 },
    );
  });

  /** Holds the domain's job for as long as QEMU is silent. */
  function askMonitor(): void {
    const args = ['--connect', lab.libvirtd.uri, 'qemu-monitor-command', stuck.name, '--hmp', 'info status'];
    asking = spawn('virsh', args, { stdio: 'ignore' });
  }

  function setQuota(uuid: string, id: number, vcpu_quota: bigint) {
    return client.tune(uuid, id, [{ call: 'scheduler', parameters: { vcpu_quota } }]);
  }

  async function idOf(guest: Guest): Promise<number> {
    const list = await client.list();
    assert.ok(list.ok);
    return list.value.find(({ uuid }) => uuid === guest.uuid)?.id ?? assert.fail(`${guest.name} does not run`);
  }
});

function kind(outcome: LibvirtOutcome<unknown>): string {
  return outcome.ok ? 'ok' : outcome.failure;
}
