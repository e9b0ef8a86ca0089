/** The client against a libvirtd that is not there, goes away, comes back, and stops answering. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { LibvirtClient, LibvirtEvent, LibvirtOutcome } from '../../src/host/libvirt/client.js';
import { connectLibvirt } from '../../src/host/libvirt/connect.js';
import { waitUntil } from '../support/wait.js';
import { keepingLog } from './keeping-log.js';
import { libvirtdMissing, type PrivateLibvirtd, privateLibvirtd } from './private-libvirtd.js';

const WITHIN = { seconds: 20, everyMs: 20 };

describe('the client and a faulty libvirtd', { skip: libvirtdMissing() }, () => {
  let libvirtd: PrivateLibvirtd;
  let client: LibvirtClient;
  let events: string[];

  before(() => {
    libvirtd = privateLibvirtd();
  });
  after(() => libvirtd?.remove());
  beforeEach(() => {
    events = [];
    client = connectLibvirt({
      uri: libvirtd.uri,
      log: keepingLog(),
      // Long enough for a busy machine, short enough that both rounds of the frozen one end before the keepalive does.
      deadlineMs: 1500,
      bulkDeadlineMs: 2000,
      keepaliveSeconds: 2,
    });
    client.onEvent((event: LibvirtEvent) => events.push(event.kind));
  });
  afterEach(async () => {
    await libvirtd.signal('SIGCONT');
    await client.stop();
    await libvirtd.signal('SIGKILL');
  });

  it('waits for one that is not there yet', async () => {
    await client.start(new AbortController().signal);
    assert.equal(client.status().connected, false);
    assert.match(client.status().lastError ?? '', /No such file|Connection refused/);
    assert.equal(kind(await client.list()), 'disconnected');
    await libvirtd.start();
    await waitUntil('the client to connect', () => client.status().connected, WITHIN);
    assert.equal(kind(await client.list()), 'ok');
    assert.deepEqual(events, ['connected']);
  });

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    it(`comes back after ${signal} and a restart, every thread of it`, async () => {
      await libvirtd.start();
      await client.start(new AbortController().signal);
      const uuid = await testDomain();
      assert.equal(kind(await client.facts(uuid)), 'ok');
      await libvirtd.signal(signal);
      await waitUntil('the loss to be seen', () => !client.status().connected, WITHIN);
      assert.equal(kind(await client.facts(uuid)), 'disconnected');
      await libvirtd.start();
      await waitUntil('the client to connect', () => client.status().connected, WITHIN);
      // At once: the call workers' own connections are dead and they have to find out.
      assert.deepEqual((await Promise.all([client.list(), client.facts(uuid), client.facts('x')])).map(kind), [
        'ok',
        'ok',
        'refused',
      ]);
      assert.equal((await client.setOriginals(uuid, 1, '<originals/>')).ok, true);
      await waitUntil('four events', () => events.length === 4, WITHIN);
      assert.deepEqual(events, ['connected', 'disconnected', 'connected', 'metadata'], 'events are registered again');
      assert.equal(client.status().reconnects, 1);
    });
  }

  it('says so when one stops answering, and goes on when it answers again', async () => {
    await libvirtd.start();
    await client.start(new AbortController().signal);
    const uuid = await testDomain();
    await client.facts(uuid);
    await libvirtd.signal('SIGSTOP');
    assert.deepEqual((await Promise.all([client.list(), client.facts(uuid)])).map(kind), ['timeout', 'timeout']);
    assert.deepEqual((await Promise.all([client.list(), client.facts(uuid)])).map(kind), ['timeout', 'quarantined']);
    await waitUntil('the loss to be seen', () => !client.status().connected, WITHIN);
    assert.match(client.status().lastError ?? '', /keepalive/);
    assert.deepEqual((await Promise.all([client.list(), client.facts(uuid)])).map(kind), [
      'disconnected',
      'disconnected',
    ]);
    await libvirtd.signal('SIGCONT');
    await waitUntil(
      'all to be well',
      () => client.status().connected && client.status().abandonedWorkers === 0,
      WITHIN,
    );
    assert.deepEqual((await Promise.all([client.list(), client.facts(uuid)])).map(kind), ['ok', 'ok']);
    assert.ok(events.includes('recovered'));
  });

  it('starts, and stops, while one accepts no connection', async () => {
    await libvirtd.start();
    await libvirtd.signal('SIGSTOP');
    const beganMs = performance.now();
    await client.start(new AbortController().signal);
    assert.ok(performance.now() - beganMs < 2000, 'the attempt goes on in the background');
    assert.equal(client.status().connected, false);
    const stoppingMs = performance.now();
    await client.stop();
    assert.ok(performance.now() - stoppingMs < 2000);
  });

  async function testDomain(): Promise<string> {
    const list = await waitUntil(
      'the list',
      async () => {
        const answer = await client.list();
        return answer.ok && answer;
      },
      WITHIN,
    );
    return list.value[0]?.uuid ?? assert.fail('the test driver has no domain');
  }
});

function kind(outcome: LibvirtOutcome<unknown>): string {
  return outcome.ok ? 'ok' : outcome.failure;
}
