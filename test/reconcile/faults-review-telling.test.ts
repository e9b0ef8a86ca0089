/** What is told to libvirt and systemd in the background: what waits, what is tried again, what hangs, what comes late. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { CallPool, type CallThread } from '../../src/host/libvirt/call-pool.js';
import type { LibvirtOutcome, TuneCall } from '../../src/host/libvirt/client.js';
import type { Call, CallReply, CallValue } from '../../src/host/libvirt/protocol.js';
import type { UnitPropertyValue } from '../../src/host/systemd/properties.js';
import { type Errand, Teller, type TellerOptions } from '../../src/reconcile/tell.js';
import { EmulatedBench } from './emulated-bench.js';

const DONE: LibvirtOutcome<null> = { ok: true, value: null };
const REFUSED: LibvirtOutcome<null> = { ok: false, failure: 'refused', message: 'over what bounds it' };
const DEADLINE_MS = 5_000;

class Thread implements CallThread {
  readonly posted: Call[] = [];
  #reply: (reply: CallReply) => void = () => {};
  post(call: Call): void {
    this.posted.push(call);
  }
  onReply(listener: (reply: CallReply) => void): void {
    this.#reply = listener;
  }
  onEnd(): void {}
  async stop(): Promise<void> {}
  unref(): void {}
  reply(): void {
    this.#reply({ outcome: DONE as LibvirtOutcome<CallValue> });
  }
}

function poolOf(threads: Thread[]): CallPool {
  return new CallPool({
    startThread: () => {
      const thread = new Thread();
      threads.push(thread);
      return thread;
    },
    size: 2,
    deadlineMs: DEADLINE_MS,
    abandonedMax: 4,
    onAbandoned: () => {},
    onRecovered: () => {},
    now: () => 0,
  });
}

describe('threads for calls to libvirt', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
  afterEach(() => mock.timers.reset());

  test('rounds over the disks of guests that all hang leave one for a limit', async () => {
    const threads: Thread[] = [];
    const pool = poolOf(threads);
    const asked: string[] = [];
    for (let guest = 0; guest < 12; guest++) {
      void pool.call(`hung-${guest}`, { op: 'disks', uuid: `hung-${guest}`, id: 1 }).then((outcome) => {
        asked.push(outcome.ok ? 'ok' : outcome.failure);
      });
    }
    for (let deadlines = 0; deadlines < 12; deadlines++) {
      mock.timers.tick(DEADLINE_MS);
      await new Promise(setImmediate);
    }
    assert.equal(asked.length, 12, 'nobody waits for an answer for ever');
    void pool.call('healthy', { op: 'tune', uuid: 'healthy', id: 1, calls: [] });
    assert.ok(threads.some(({ posted }) => posted.at(-1)?.op === 'tune'));
  });

  test('a call that is not wanted any more when its turn comes is not made', async () => {
    const threads: Thread[] = [];
    const pool = poolOf(threads);
    let stopped = false;
    const outcomes: string[] = [];
    for (let guest = 0; guest < 6; guest++) {
      const call = { op: 'tune', uuid: `guest-${guest}`, id: 1, calls: [] } as const;
      void pool
        .call(call.uuid, call, () => !stopped)
        .then((outcome) => {
          outcomes.push(outcome.ok ? 'ok' : outcome.failure);
        });
    }
    stopped = true;
    threads[0]?.reply();
    threads[1]?.reply();
    await new Promise(setImmediate);
    assert.deepEqual(outcomes.sort(), ['ok', 'ok', 'withdrawn', 'withdrawn', 'withdrawn', 'withdrawn']);
    assert.equal(threads.flatMap(({ posted }) => posted).length, 2);
  });
});

describe('what was refused and is tried again', () => {
  const calls = (value: bigint): Errand['message'] => ({
    calls: [{ call: 'memory', parameters: { hard_limit: value } }],
    units: [],
  });
  const errand = (subject: string, value: bigint): Errand => ({ uuid: 'db', id: 1, subject, message: calls(value) });
  let made: bigint[];
  let answers: Map<bigint, (() => void) | LibvirtOutcome<null>>;
  let teller: Teller;

  beforeEach(() => {
    made = [];
    answers = new Map();
    const libvirt = {
      status: () => ({ quarantined: [] }),
      tune: async (_uuid: string, _id: number, [call]: readonly TuneCall[]) => {
        const value = call?.call === 'memory' ? (call.parameters.hard_limit ?? 0n) : 0n;
        made.push(value);
        const answer = answers.get(value) ?? DONE;
        if (typeof answer !== 'function') return answer;
        await new Promise<void>((resolve) => answers.set(value, resolve));
        return DONE;
      },
    } as unknown as TellerOptions['libvirt'];
    teller = new Teller({
      libvirt,
      setUnit: async () => DONE,
      settledUnit: async () => undefined,
      monotonicMs: () => 0,
      mayTell: () => true,
      onDone: async () => undefined,
      onDefect: (_errand, error) => assert.fail(error),
      onIdle: () => undefined,
    });
  });

  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  };

  test('does not come after something newer about the same', async () => {
    answers.set(1n, REFUSED);
    answers.set(2n, () => undefined);
    teller.send(errand('memory.limit', 1n));
    teller.send(errand('memory.swap', 2n));
    await turns();
    assert.deepEqual(made, [1n, 2n]);
    teller.send(errand('memory.limit', 3n));
    (answers.get(2n) as () => void)();
    await teller.idle();
    assert.deepEqual(made, [1n, 2n, 3n]);
  });

  test('counts as under way, and is dropped when an operator begins anew', async () => {
    answers.set(1n, REFUSED);
    answers.set(2n, () => undefined);
    teller.send(errand('memory.limit', 1n));
    teller.send(errand('memory.swap', 2n));
    await turns();
    assert.equal(teller.busy('db', 'memory.limit'), true, 'a record would go although a value of ours is to come');
    teller.forget('db');
    assert.equal(teller.busy('db', 'memory.limit'), false);
    (answers.get(2n) as () => void)();
    await teller.idle();
    assert.deepEqual(made, [1n, 2n]);
  });
});

describe('systemd that comes back to a call which nobody waits for any more', () => {
  test('sets nothing for which there is no record', async () => {
    const at = new EmulatedBench('v2-flat');
    const uuid = at.addGuest({ name: 'db-1' });
    const before = at.value(uuid, 'memory', 'memory.low');
    at.systemd.answer = () => 'late';
    let goOn = (): void => at.systemd.catchUp();
    at.systemd.get = () =>
      new Promise((resolve) => {
        goOn = () => {
          at.systemd.catchUp();
          resolve({ ok: true, values: [100n] });
        };
      });
    at.setClass('memory: { guarantee: 512MiB }');
    const core = await at.boot();
    await at.settle();
    at.systemd.answer = () => 'ok';
    await core.operator.release({ domain: 'db-1' });
    await at.cycles(2);
    goOn();
    await new Promise((resolve) => setTimeout(resolve, 150));
    await at.cycles(2);
    assert.equal(at.value(uuid, 'memory', 'memory.low'), before);
    assert.deepEqual([...core.parts.journal.uuids()], []);
    await at.remove();
  });

  test('the stop file keeps what waits for systemd from being set', async () => {
    const at = new EmulatedBench('v2-nested');
    const uuid = at.addGuest({ name: 'db-1' });
    at.setClass('memory: { guarantee: 512MiB }');
    const set = at.systemd.set.bind(at.systemd);
    Object.assign(at.systemd, {
      set: async (unit: string, properties: readonly UnitPropertyValue[], mayBegin?: () => boolean) => {
        writeFileSync(at.configOf().killSwitch, '');
        if (mayBegin?.() === false) return { ok: false, failure: 'withdrawn', message: 'stopped' };
        return set(unit, properties);
      },
    });
    await at.boot();
    await at.cycle();
    assert.equal(at.value(uuid, 'memory', 'memory.low', 'scope'), '0');
    await at.remove();
  });
});
