/** The client with its worker threads on libvirt's built-in test driver: no daemon needed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LibvirtEvent } from '../../src/host/libvirt/client.js';
import { connectLibvirt } from '../../src/host/libvirt/connect.js';
import { keepingLog } from './keeping-log.js';
import { libraryMissing } from './library.js';

describe('without libvirt', () => {
  it('is disconnected for good, and says why', async () => {
    const client = connectLibvirt({ uri: null, log: keepingLog() });
    await client.start(new AbortController().signal);
    const { uri, connected, lastError } = client.status();
    assert.deepEqual([uri, connected], [null, false]);
    assert.match(lastError ?? '', /switched off/);
    for (const outcome of [
      await client.list(),
      await client.facts('x'),
      await client.tune('x', 1, [{ call: 'scheduler', parameters: {} }]),
      await client.disks('x', 1),
      await client.setOriginals('x', 1, null),
    ]) {
      assert.equal(outcome.ok ? 'ok' : outcome.failure, 'disconnected');
    }
    await client.stop();
  });
});

describe('the client on worker threads', { skip: libraryMissing() }, () => {
  it('connects, lists, reads, hears of a change, stops', async (t) => {
    const client = connectLibvirt({ uri: 'test:///default', log: keepingLog() });
    t.after(() => client.stop());
    const events: LibvirtEvent[] = [];
    client.onEvent(() => {
      throw new Error('a listener with a defect');
    });
    client.onEvent((event) => events.push(event));
    assert.equal((await client.list()).ok, false, 'nothing happens before start');
    await client.start(new AbortController().signal);
    assert.equal(client.status().connected, true);
    const list = await client.list();
    assert.ok(list.ok);
    const uuid = list.value[0]?.uuid ?? '';
    // More calls than threads, about one domain and about none.
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) => client.facts(i % 2 ? uuid : `00000000-0000-4000-8000-0000000000${10 + i}`)),
    );
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.ok ? outcome.value.name : outcome.failure)),
      Array.from({ length: 20 }, (_, i) => (i % 2 ? 'test' : 'vanished')),
    );
    assert.equal((await client.setOriginals(uuid, 1, '<originals/>')).ok, true);
    const facts = await client.facts(uuid);
    assert.equal(facts.ok && facts.value.originalsXml, '<originals/>');
    assert.equal((await client.setOriginals(uuid, 1, null)).ok, true);
    for (let i = 0; i < 200 && events.length < 3; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(events, [{ kind: 'connected' }, { kind: 'metadata', uuid }, { kind: 'metadata', uuid }]);
    const beganMs = performance.now();
    await client.stop();
    assert.ok(performance.now() - beganMs < 2000);
    const after = await client.list();
    assert.equal(after.ok ? 'ok' : after.failure, 'disconnected');
  });

  it('goes on trying with a wrong URI, quietly for its callers', async (t) => {
    const log = keepingLog();
    const client = connectLibvirt({ uri: 'nonsense:///', log });
    t.after(() => client.stop());
    await client.start(new AbortController().signal);
    const outcome = await client.list();
    assert.equal(outcome.ok ? 'ok' : outcome.failure, 'disconnected');
    assert.match(outcome.ok ? '' : outcome.message, /nonsense|Failed to connect socket/);
    for (let i = 0; i < 300 && log.lines.length < 2; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(log.lines.map(({ level, event }) => `${level} ${event}`).slice(0, 2), [
      'warn libvirt.connect_failed',
      'warn libvirt.connect_failed',
    ]);
  });

  it('stops when its signal is aborted', async () => {
    const abort = new AbortController();
    const client = connectLibvirt({ uri: 'test:///default', log: keepingLog() });
    await client.start(abort.signal);
    abort.abort();
    await client.stop();
    assert.equal(client.status().connected, false);
  });
});
