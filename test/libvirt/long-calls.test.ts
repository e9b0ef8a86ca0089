import assert from 'node:assert/strict';
import { beforeEach, describe, it, mock } from 'node:test';
import type { CallThread } from '../../src/host/libvirt/call-pool.js';
import type { LibvirtOutcome } from '../../src/host/libvirt/client.js';
import { LongCalls } from '../../src/host/libvirt/long-calls.js';
import type { Call, CallReply, CallValue } from '../../src/host/libvirt/protocol.js';

const OK: LibvirtOutcome<CallValue> = { ok: true, value: null };
const REFUSED: LibvirtOutcome<CallValue> = { ok: false, failure: 'refused', message: 'job canceled' };
const SAVE = { paused: false, abortAfterMs: 60_000 };

class FakeThread implements CallThread {
  call: Call | null = null;
  stopped = false;
  unreferenced = false;
  reply: (outcome?: LibvirtOutcome<CallValue>) => void = () => {};
  end: (reason: string) => void = () => {};

  post(call: Call): void {
    this.call = call;
  }
  onReply(listener: (reply: CallReply) => void): void {
    this.reply = (outcome = OK) => listener({ outcome });
  }
  onEnd(listener: (reason: string) => void): void {
    this.end = listener;
  }
  async stop(): Promise<void> {
    this.stopped = true;
  }
  unref(): void {
    this.unreferenced = true;
  }
}

function bench() {
  const threads: FakeThread[] = [];
  const recovered: string[] = [];
  const state = { disconnected: null as string | null };
  const calls = new LongCalls({
    startThread: () => {
      const thread = new FakeThread();
      threads.push(thread);
      return thread;
    },
    deadlineMs: 5000,
    disconnected: () => state.disconnected,
    onRecovered: (uuid) => recovered.push(uuid),
    onOverrun: () => {},
    now: () => Date.now(),
  });
  return { calls, threads, recovered, state, thread: (index: number) => threads[index] ?? assert.fail(`no ${index}`) };
}

/** 'waiting' until it has settled. */
function settled<T>(promise: Promise<LibvirtOutcome<T>>): () => Promise<string> {
  let text = 'waiting';
  void promise.then((outcome) => {
    text = outcome.ok ? 'ok' : outcome.failure;
  });
  return async () => {
    await turns();
    return text;
  };
}

async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
}

describe('LongCalls', () => {
  beforeEach(() => {
    mock.timers.reset();
    mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  });

  it('makes each call on a thread of its own, which ends with it', async () => {
    const { calls, threads, thread } = bench();
    const save = settled(calls.managedSave('a', 1, SAVE));
    const start = settled(calls.startGuest('b', { paused: true, deadlineMs: 1000 }));
    await turns();
    assert.deepEqual(
      threads.map(({ call }) => call),
      [
        { op: 'managedSave', uuid: 'a', id: 1, paused: false },
        { op: 'startGuest', uuid: 'b', paused: true, restoreOnly: false },
      ],
    );
    thread(1).reply({ ok: true, value: 9 });
    assert.equal(await start(), 'ok');
    assert.equal(await save(), 'waiting');
    thread(0).reply();
    assert.equal(await save(), 'ok');
    assert.deepEqual([thread(0).stopped, thread(1).stopped], [true, true]);
  });

  it('makes one call about a guest at a time', async () => {
    const { calls, thread } = bench();
    const save = settled(calls.managedSave('a', 1, SAVE));
    assert.equal(await settled(calls.suspend('a', 1))(), 'quarantined');
    thread(0).reply();
    assert.equal(await save(), 'ok');
    const next = settled(calls.hasManagedSave('a'));
    await turns();
    thread(1).reply({ ok: true, value: true });
    assert.equal(await next(), 'ok');
  });

  it('aborts a save that overruns, again and again until it comes back', async () => {
    const { calls, threads, thread, recovered } = bench();
    const save = calls.managedSave('a', 1, { ...SAVE, abortAfterMs: 1000 });
    const now = settled(save);
    mock.timers.tick(1000);
    await turns();
    assert.deepEqual(thread(1).call, { op: 'abortJob', uuid: 'a' });
    thread(1).reply({ ok: false, failure: 'refused', message: 'no job is active' });
    await turns();
    mock.timers.tick(250);
    await turns();
    assert.deepEqual(thread(2).call, { op: 'abortJob', uuid: 'a' });
    thread(2).reply();
    thread(0).reply(REFUSED);
    assert.equal(await now(), 'timeout');
    const outcome = await save;
    assert.match(outcome.ok ? '' : outcome.message, /not done within 1 s: job canceled/);
    assert.deepEqual([threads.length, recovered, calls.quarantined], [3, [], []]);
  });

  it('aborts a save by the signal, and not one that has ended', async () => {
    const { calls, threads, thread } = bench();
    const controller = new AbortController();
    const save = settled(calls.managedSave('a', 1, { ...SAVE, signal: controller.signal }));
    await turns();
    controller.abort();
    await turns();
    assert.equal(thread(1).call?.op, 'abortJob');
    thread(1).reply();
    thread(0).reply(REFUSED);
    assert.equal(await save(), 'timeout');
    const done = new AbortController();
    const other = settled(calls.managedSave('a', 1, { ...SAVE, signal: done.signal }));
    await turns();
    thread(2).reply();
    assert.equal(await other(), 'ok');
    done.abort();
    mock.timers.tick(100_000);
    await turns();
    assert.equal(threads.length, 3);
    assert.equal(await settled(calls.managedSave('a', 1, { ...SAVE, signal: done.signal }))(), 'withdrawn');
  });

  it('believes a save that came to its end while it was being aborted', async () => {
    const { calls, thread } = bench();
    const save = settled(calls.managedSave('a', 1, { ...SAVE, abortAfterMs: 1000 }));
    mock.timers.tick(1000);
    await turns();
    thread(0).reply();
    thread(1).reply({ ok: false, failure: 'refused', message: 'domain is not running' });
    assert.equal(await save(), 'ok');
  });

  it('gives up waiting for one that cannot be aborted, and says when it has come back', async () => {
    const { calls, thread, threads, recovered } = bench();
    const save = settled(calls.managedSave('a', 1, { ...SAVE, abortAfterMs: 1000 }));
    for (let elapsedMs = 0; elapsedMs < 30_000; elapsedMs += 250) {
      mock.timers.tick(250);
      await turns();
    }
    assert.equal(await save(), 'timeout');
    assert.deepEqual([calls.quarantined, thread(0).unreferenced], [['a'], true]);
    assert.equal(await settled(calls.hasManagedSave('a'))(), 'quarantined');
    for (const { call, reply } of threads.slice(1)) if (call?.op === 'abortJob') reply(REFUSED);
    assert.deepEqual(recovered, [], 'the save itself is still under way');
    thread(0).reply(REFUSED);
    assert.deepEqual([recovered, calls.quarantined, thread(0).stopped], [['a'], [], true]);
  });

  it('answers a start that overruns, and knows when it has come back', async () => {
    const { calls, thread, recovered } = bench();
    const start = settled(calls.startGuest('a', { paused: false, deadlineMs: 1000 }));
    mock.timers.tick(1000);
    assert.equal(await start(), 'timeout');
    assert.deepEqual([calls.quarantined, calls.stuck], [['a'], 1]);
    thread(0).reply({ ok: true, value: 3 });
    assert.deepEqual([recovered, calls.quarantined], [['a'], []]);
  });

  it('starts no more threads than it may', async () => {
    const { calls, threads } = bench();
    for (let i = 0; i < 8; i++) void calls.hasManagedSave(`guest-${i}`);
    assert.equal(await settled(calls.hasManagedSave('one more'))(), 'timeout');
    assert.equal(threads.length, 8);
  });

  it('survives a thread that ends, and asks nothing without a connection', async () => {
    const { calls, thread, state, threads } = bench();
    const call = settled(calls.resume('a', 1));
    await turns();
    thread(0).end('out of memory');
    assert.equal(await call(), 'refused');
    state.disconnected = 'libvirtd is gone';
    assert.equal(await settled(calls.resume('a', 1))(), 'disconnected');
    assert.equal(threads.length, 1);
  });

  it('leaves calls to themselves when it is stopped', async () => {
    const { calls, thread } = bench();
    void calls.managedSave('a', 1, SAVE);
    await turns();
    calls.stop();
    assert.deepEqual([thread(0).unreferenced, thread(0).stopped], [true, false]);
    assert.equal(await settled(calls.abortJob('a'))(), 'disconnected');
  });
});
