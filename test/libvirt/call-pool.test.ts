import assert from 'node:assert/strict';
import { beforeEach, describe, it, mock } from 'node:test';
import { CallPool, type CallThread } from '../../src/host/libvirt/call-pool.js';
import type { LibvirtOutcome } from '../../src/host/libvirt/client.js';
import type { Call, CallReply, CallValue } from '../../src/host/libvirt/protocol.js';

const DEADLINE_MS = 5000;
const OK: LibvirtOutcome<CallValue> = { ok: true, value: null };

/** A thread whose calls come back when the test says so. */
class FakeThread implements CallThread {
  readonly posted: Call[] = [];
  stopped = false;
  unreferenced = false;
  #reply: (reply: CallReply) => void = () => {};
  #end: (reason: string) => void = () => {};

  post(call: Call): void {
    this.posted.push(call);
  }
  onReply(listener: (reply: CallReply) => void): void {
    this.#reply = listener;
  }
  onEnd(listener: (reason: string) => void): void {
    this.#end = listener;
  }
  async stop(): Promise<void> {
    this.stopped = true;
  }
  unref(): void {
    this.unreferenced = true;
  }
  reply(outcome = OK): void {
    this.#reply({ outcome });
  }
  end(): void {
    this.#end('crashed');
  }
}

interface Harness {
  readonly pool: CallPool;
  readonly threads: FakeThread[];
  readonly recovered: string[];
  facts(uuid: string): Settled;
  set(uuid: string): Settled;
  disks(uuid: string): Settled;
  thread(index: number): FakeThread;
  /** uuids of the calls in the threads' hands, oldest thread first */
  posted(): (string | undefined)[];
}

/** What a call came to, or 'waiting'. */
interface Settled {
  now(): Promise<string>;
}

function harness(options: { size?: number; abandonedMax?: number } = {}): Harness {
  const threads: FakeThread[] = [];
  const recovered: string[] = [];
  const pool = new CallPool({
    startThread: () => {
      const thread = new FakeThread();
      threads.push(thread);
      return thread;
    },
    size: options.size ?? 2,
    deadlineMs: DEADLINE_MS,
    abandonedMax: options.abandonedMax ?? 4,
    onAbandoned: () => {},
    onRecovered: (key) => recovered.push(key),
    now: () => 0,
  });
  const settled = (promise: Promise<LibvirtOutcome<CallValue>>): Settled => {
    let text = 'waiting';
    void promise.then((outcome) => {
      text = outcome.ok ? 'ok' : outcome.failure;
    });
    return {
      now: async () => {
        await new Promise(setImmediate);
        return text;
      },
    };
  };
  return {
    pool,
    threads,
    recovered,
    facts: (uuid) => settled(pool.call(uuid, { op: 'facts', uuid })),
    set: (uuid) => settled(pool.call(uuid, { op: 'tune', uuid, id: 1, calls: [] })),
    disks: (uuid) => settled(pool.call(uuid, { op: 'disks', uuid, id: 1 })),
    thread: (index) => threads[index] ?? assert.fail(`no thread ${index}`),
    posted: () =>
      threads.map((thread) => {
        const call = thread.posted.at(-1);
        return call === undefined || call.op === 'list' ? undefined : call.uuid;
      }),
  };
}

describe('CallPool', () => {
  beforeEach(() => {
    mock.timers.reset();
    mock.timers.enable({ apis: ['setTimeout'] });
  });

  it('starts threads only when there is work, and no more than its size', () => {
    const h = harness();
    assert.equal(h.threads.length, 0);
    h.facts('a');
    assert.equal(h.threads.length, 1);
    h.facts('b');
    h.facts('c');
    assert.deepEqual(h.posted(), ['a', 'b']);
    h.thread(0).reply();
    assert.deepEqual(h.posted(), ['c', 'b']);
  });

  it('answers with what the thread said', async () => {
    const h = harness();
    const call = h.facts('a');
    assert.equal(await call.now(), 'waiting');
    h.thread(0).reply({ ok: false, failure: 'vanished', message: 'gone' });
    assert.equal(await call.now(), 'vanished');
  });

  it('makes the calls of one domain one after another, and lets others pass', () => {
    const h = harness();
    h.facts('a');
    h.facts('a');
    h.facts('b');
    assert.deepEqual(h.posted(), ['a', 'b']);
    h.thread(1).reply();
    assert.equal(h.thread(1).posted.length, 1, 'the second call about a waits for the first');
    h.thread(0).reply();
    assert.equal(h.thread(0).posted.length, 2);
  });

  it('writes before it reads', () => {
    const h = harness({ size: 1 });
    h.facts('a');
    h.facts('b');
    h.set('c');
    h.thread(0).reply();
    assert.deepEqual(h.posted(), ['c']);
    h.thread(0).reply();
    assert.deepEqual(h.posted(), ['b']);
  });

  it('goes round the disks when there is nothing else to do', () => {
    const h = harness({ size: 1 });
    for (const uuid of ['a', 'b', 'c']) h.disks(uuid);
    h.facts('d');
    h.set('e');
    const order = ['a', 'e', 'd', 'b', 'c'];
    for (const uuid of order) {
      assert.deepEqual(h.posted(), [uuid]);
      h.thread(0).reply();
    }
  });

  it('keeps a thread free of disks, however many guests hang', async () => {
    const h = harness({ size: 2 });
    const rounds = ['a', 'b', 'c'].map((uuid) => h.disks(uuid));
    assert.deepEqual(h.posted(), ['a'], 'one at a time');
    const set = h.set('d');
    assert.deepEqual(h.posted(), ['a', 'd']);
    h.thread(1).reply();
    assert.equal(await set.now(), 'ok');
    assert.equal(h.thread(1).posted.length, 1, 'the round does not take the thread that is free');
    mock.timers.tick(DEADLINE_MS);
    assert.equal(await rounds[0]?.now(), 'timeout');
    assert.equal(h.thread(1).posted.at(-1)?.op, 'disks', 'the next one begins once that is known to hang');
    assert.equal(await rounds[2]?.now(), 'waiting');
  });

  it('quarantines a domain whose call overruns, and replaces the thread', async () => {
    const h = harness({ size: 1 });
    const stuck = h.set('a');
    const behind = h.facts('a');
    const other = h.facts('b');
    mock.timers.tick(DEADLINE_MS - 1);
    assert.equal(await stuck.now(), 'waiting');
    mock.timers.tick(1);
    assert.equal(await stuck.now(), 'timeout');
    assert.equal(await behind.now(), 'quarantined');
    assert.equal(await h.facts('a').now(), 'quarantined');
    assert.deepEqual(h.pool.quarantined, ['a']);
    assert.equal(h.pool.stuck, 1);
    assert.ok(h.thread(0).unreferenced, 'the process must be able to end without it');
    h.thread(1).reply();
    assert.equal(await other.now(), 'ok');
  });

  it('ends the quarantine when the call comes back, and goes on with the thread while it has no other', async () => {
    const h = harness({ size: 1 });
    h.set('a');
    mock.timers.tick(DEADLINE_MS);
    assert.deepEqual(h.recovered, []);
    h.thread(0).reply();
    assert.deepEqual(h.recovered, ['a']);
    assert.deepEqual(h.pool.quarantined, []);
    assert.equal(h.pool.stuck, 0);
    assert.ok(!h.thread(0).stopped);
    const again = h.facts('a');
    h.thread(0).reply();
    assert.equal(await again.now(), 'ok');
    assert.equal(h.threads.length, 1);
  });

  it('ends an abandoned thread that comes back after it was replaced', async () => {
    const h = harness({ size: 1 });
    h.set('a');
    mock.timers.tick(DEADLINE_MS);
    const other = h.facts('b');
    h.thread(0).reply();
    assert.ok(h.thread(0).stopped);
    h.thread(1).reply();
    assert.equal(await other.now(), 'ok');
  });

  it('replaces no more threads than allowed, and then says that none is left', async () => {
    const h = harness({ size: 2, abandonedMax: 4 });
    for (const uuid of ['1', '2', '3', '4']) {
      h.facts(uuid);
      mock.timers.tick(DEADLINE_MS);
    }
    assert.equal(h.pool.stuck, 4);
    // Two threads are left; both get stuck and are not replaced.
    const fifth = h.facts('5');
    const sixth = h.facts('6');
    const waiting = h.facts('7');
    mock.timers.tick(DEADLINE_MS);
    assert.deepEqual([await fifth.now(), await sixth.now(), await waiting.now()], ['timeout', 'timeout', 'timeout']);
    assert.equal(h.threads.length, 6);
    assert.equal(h.pool.stuck, 6);
    assert.equal(await h.facts('8').now(), 'timeout');
    // One that was not replaced comes back to work, and is not told to end.
    h.thread(5).reply();
    assert.ok(!h.thread(5).stopped);
    const after = h.facts('8');
    h.thread(5).reply();
    assert.equal(await after.now(), 'ok');
    assert.equal(h.threads.length, 6);
  });

  it('replaces again once an abandoned thread has come back', () => {
    const h = harness({ size: 1, abandonedMax: 1 });
    h.facts('1');
    mock.timers.tick(DEADLINE_MS);
    h.thread(0).reply();
    h.facts('2');
    mock.timers.tick(DEADLINE_MS);
    h.facts('3');
    assert.deepEqual(h.posted(), ['2', '3']);
  });

  it('survives a thread that ends', async () => {
    const h = harness({ size: 1 });
    const first = h.facts('a');
    const second = h.facts('b');
    h.thread(0).end();
    assert.equal(await first.now(), 'refused');
    assert.deepEqual(h.posted(), ['a', 'b']);
    h.thread(1).reply();
    assert.equal(await second.now(), 'ok');
  });

  it('releases the domain of an abandoned thread that ends', () => {
    const h = harness({ size: 1 });
    h.facts('a');
    mock.timers.tick(DEADLINE_MS);
    h.thread(0).end();
    assert.deepEqual(h.recovered, ['a']);
    assert.equal(h.pool.stuck, 0);
  });

  it('fails what no thread has begun, when told', async () => {
    const h = harness({ size: 1 });
    const begun = h.facts('a');
    const queued = h.set('b');
    h.pool.failQueued('disconnected', 'libvirtd is gone');
    assert.equal(await queued.now(), 'disconnected');
    assert.equal(await begun.now(), 'waiting');
    h.thread(0).reply();
    assert.equal(await begun.now(), 'ok');
  });

  it('stops idle threads and leaves busy ones', async () => {
    const h = harness();
    h.facts('a');
    const busy = h.facts('b');
    h.thread(0).reply();
    await h.pool.stop();
    assert.ok(h.thread(0).stopped);
    assert.ok(!h.thread(1).stopped);
    assert.ok(h.thread(1).unreferenced);
    assert.equal(await busy.now(), 'disconnected');
    h.thread(1).reply();
    assert.ok(h.thread(1).stopped, 'once its call has come back it ends');
  });
});
