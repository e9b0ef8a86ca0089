import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import type { LibvirtFailure, LibvirtOutcome, TuneCall } from '../../src/host/libvirt/client.js';
import { type Errand, Teller, type TellerOptions } from '../../src/reconcile/tell.js';

const DONE: LibvirtOutcome<null> = { ok: true, value: null };
const failed = (failure: LibvirtFailure): LibvirtOutcome<null> => ({ ok: false, failure, message: failure });
const shares = (amount: number): TuneCall => ({ call: 'scheduler', parameters: { cpu_shares: BigInt(amount) } });

let nowMs: number;
let made: string[];
let ended: string[];
let idle: string[];
let defects: string[];
let quarantined: string[];
let mayTell: (errand: Errand) => boolean;
let answer: (uuid: string, calls: readonly TuneCall[]) => LibvirtOutcome<null> | Promise<LibvirtOutcome<null>>;
let answerUnit: (unit: string) => LibvirtOutcome<null>;
let onDone: TellerOptions['onDone'];
let teller: Teller;

const words = (calls: readonly TuneCall[]): string =>
  calls.map((one) => (one.call === 'scheduler' ? `shares ${one.parameters.cpu_shares}` : one.call)).join();

beforeEach(() => {
  nowMs = 0;
  [made, ended, idle, defects, quarantined] = [[], [], [], [], []];
  mayTell = () => true;
  answer = () => DONE;
  answerUnit = () => DONE;
  onDone = async () => undefined;
  const libvirt = {
    status: () => ({ quarantined }),
    tune: async (uuid: string, id: number, calls: readonly TuneCall[]) => {
      made.push(`${uuid}:${id} ${words(calls)}`);
      return answer(uuid, calls);
    },
    setOriginals: async (uuid: string, id: number, xml: string | null) => {
      made.push(`${uuid}:${id} ${xml}`);
      return DONE;
    },
  } as unknown as TellerOptions['libvirt'];
  teller = new Teller({
    libvirt,
    setUnit: async ({ unit }) => {
      made.push(unit);
      return answerUnit(unit);
    },
    settledUnit: async () => undefined,
    monotonicMs: () => nowMs,
    mayTell: (errand) => mayTell(errand),
    onDone: async (errand, outcome) => {
      ended.push(`${errand.subject} ${outcome.ok ? 'ok' : outcome.failure}`);
      await onDone(errand, outcome);
    },
    onDefect: (errand, error) => defects.push(`${errand.subject} ${error.message}`),
    onIdle: (uuid) => idle.push(uuid),
  });
});

const errand = (amount: number, changes: Partial<Errand> = {}): Errand => ({
  uuid: 'db',
  id: 1,
  subject: 'cpu.weight',
  message: { calls: [shares(amount)], units: [] },
  ...changes,
});

describe('in turn', () => {
  test('one call at a time for each guest, guests beside each other; the newest of a subject', async () => {
    let underWay = 0;
    let most = 0;
    answer = async (uuid) => {
      if (uuid === 'db') most = Math.max(most, ++underWay);
      await new Promise(setImmediate);
      if (uuid === 'db') underWay--;
      return DONE;
    };
    teller.send(errand(1));
    teller.send(errand(2));
    teller.send(errand(3));
    teller.send(errand(9, { subject: 'disk.weight' }));
    teller.send(errand(5, { uuid: 'web' }));
    await teller.idle();
    assert.equal(most, 1);
    assert.deepEqual(made.toSorted(), ['db:1 shares 1', 'db:1 shares 3', 'db:1 shares 9', 'web:1 shares 5']);
    assert.deepEqual(idle.toSorted(), ['db', 'web']);
  });

  test('a guest whose call hangs keeps no other waiting', async () => {
    answer = (uuid) => (uuid === 'db' ? new Promise<never>(() => undefined) : DONE);
    teller.send(errand(1));
    teller.send(errand(1, { uuid: 'web' }));
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(idle, ['web']);
    assert.equal(teller.busy('db', 'cpu.weight'), true);
    assert.equal(teller.busy('db', 'disk.weight'), false);
  });

  test('it is busy until what libvirt says now has been read', async () => {
    let read: () => void = () => undefined;
    onDone = () =>
      new Promise((resolve) => {
        read = resolve;
      });
    let seen: boolean | null = null;
    const done = (): void => {
      seen = teller.busy('db', 'cpu.weight');
    };
    teller.send(errand(1, { done }));
    await new Promise(setImmediate);
    assert.equal(seen, null);
    read();
    await teller.idle();
    assert.equal(seen, true);
    assert.equal(teller.busy('db', 'cpu.weight'), false);
  });

  test('calls and units go together, everything is tried, and the first failure is the outcome', async () => {
    answer = () => failed('refused');
    answerUnit = (unit) => (unit === 'b.scope' ? failed('timeout') : DONE);
    const units = ['a.scope', 'b.scope', 'c.scope'].map((unit) => ({ unit, properties: [] }));
    teller.send(errand(1, { message: { calls: [shares(1)], units } }));
    await teller.idle();
    assert.deepEqual(made, ['db:1 shares 1', 'a.scope', 'b.scope', 'c.scope']);
    assert.deepEqual(ended, ['cpu.weight refused']);
  });

  test('of a guest that libvirt does not run nothing is asked of libvirt', async () => {
    teller.send(errand(1, { id: null, message: { calls: [shares(1)], units: [{ unit: 'a.scope', properties: [] }] } }));
    teller.send(errand(1, { id: null, subject: 'originals', message: { originalsXml: '<x/>' } }));
    await teller.idle();
    assert.deepEqual(made, ['a.scope']);
  });

  test('what may not be told any more when its turn comes is not', async () => {
    mayTell = ({ subject }) => subject === 'disk.weight';
    teller.send(errand(1));
    teller.send(errand(2, { subject: 'disk.weight' }));
    await teller.idle();
    assert.deepEqual(made, ['db:1 shares 2']);
    assert.equal(teller.busy('db', 'cpu.weight'), false);
  });

  test('a defect in one errand is said and keeps no other from its turn', async () => {
    onDone = async ({ subject }) => {
      if (subject === 'cpu.weight') throw new Error('a defect');
    };
    teller.send(errand(1));
    teller.send(errand(2, { subject: 'disk.weight' }));
    await teller.idle();
    assert.deepEqual(defects, ['cpu.weight a defect']);
    assert.deepEqual(ended, ['cpu.weight ok', 'disk.weight ok']);
    assert.equal(teller.busy('db', 'cpu.weight'), false);
  });
});

describe('again', () => {
  /** When the same errand is taken up, of those that are sent each second. */
  async function takenAt(seconds: number, changes: Partial<Errand> = {}): Promise<number[]> {
    const at: number[] = [];
    for (; nowMs < seconds * 1000; nowMs += 1000) {
      const before = made.length;
      teller.send(errand(1, changes));
      await teller.idle();
      if (made.length > before) at.push(nowMs / 1000);
    }
    return at;
  }

  test('what failed waits ever longer, up to five minutes', async () => {
    answer = () => failed('refused');
    assert.deepEqual(await takenAt(1300), [0, 5, 15, 35, 75, 155, 315, 615, 915, 1215]);
  });

  test('what was done is not repeated within a minute, whatever libvirt’s view says', async () => {
    assert.deepEqual(await takenAt(130), [0, 60, 120]);
  });

  test('a value that is set through libvirt alone is a write: somebody has changed it when it is asked for again', async () => {
    assert.deepEqual(await takenAt(5, { done: () => undefined }), [0, 1, 2, 3, 4]);
    answer = () => failed('timeout');
    nowMs = 100_000;
    assert.deepEqual(await takenAt(140, { done: () => undefined }), [100, 105, 115, 135]);
  });

  test('without a connection, or in quarantine, it is tried every five seconds, as nobody’s failure', async () => {
    answer = () => failed('disconnected');
    assert.deepEqual(await takenAt(16), [0, 5, 10, 15]);
    answer = () => failed('quarantined');
    assert.deepEqual(await takenAt(31), [20, 25, 30]);
  });

  test('another text, another instance, or an operator who wants it now, does not wait', async () => {
    answer = () => failed('refused');
    for (const next of [errand(1), errand(2), errand(2, { id: 2 })]) {
      teller.send(next);
      await teller.idle();
    }
    assert.equal(made.length, 3);
    teller.send(errand(2, { id: 2 }));
    await teller.idle();
    assert.equal(made.length, 3);
    teller.forget('db');
    teller.send(errand(2, { id: 2 }));
    await teller.idle();
    assert.equal(made.length, 4);
  });

  test('a guest that is gone is no failure', async () => {
    answer = () => failed('vanished');
    assert.deepEqual(await takenAt(61), [0, 60]);
  });

  test('what was refused is tried once more after something else was set: they may bound each other', async () => {
    let memory = 1;
    answer = (_uuid, [call]) => {
      const [name, amount] = words([call ?? shares(0)]).split(' ');
      if (name === 'shares' && Number(amount) > memory) return failed('refused');
      memory = 10;
      return DONE;
    };
    teller.send(errand(5, { subject: 'memory.limit' }));
    teller.send(errand(1, { subject: 'memory.swap' }));
    await teller.idle();
    assert.deepEqual(ended, ['memory.limit refused', 'memory.swap ok', 'memory.limit ok']);
  });
});

describe('a call that overran', () => {
  test('is under way until libvirt gives the guest back, if it hangs there', async () => {
    answer = () => {
      quarantined = ['db'];
      return failed('timeout');
    };
    teller.send(errand(1));
    await teller.idle();
    assert.equal(teller.busy('db', 'cpu.weight'), true);
    assert.equal(teller.busy('db', 'disk.weight'), false);
    teller.resolve('another');
    assert.equal(teller.busy('db', 'cpu.weight'), true);
    teller.resolve('db');
    assert.equal(teller.busy('db', 'cpu.weight'), false);
  });

  test('is not, if no thread ever took it up', async () => {
    answer = () => failed('timeout');
    teller.send(errand(1));
    await teller.idle();
    assert.equal(teller.busy('db', 'cpu.weight'), false);
  });
});
