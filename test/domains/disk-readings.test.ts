/** What QEMU says of disks: asked seldom, late, in vain, of another instance. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import fc from 'fast-check';
import { DiskReadings, ROUND_MS } from '../../src/domains/disk-readings.js';
import type { Domain } from '../../src/domains/types.js';
import type { DiskReading, DisksOptions, LibvirtOutcome } from '../../src/host/libvirt/client.js';
import { guestOn } from '../controls/some-guest.js';
import { fakeDisk } from '../fakes/fake-tuning.js';

type Answer = LibvirtOutcome<readonly DiskReading[]>;

const reading = (target: string, iops: number, changes: Partial<DiskReading> = {}): DiskReading => ({
  target,
  throttle: { fields: iops === 0 ? {} : { total_iops_sec: iops }, group: null },
  throttleProblem: null,
  counters: null,
  ...changes,
});
const answered = (...disks: DiskReading[]): Answer => ({ ok: true, value: disks });
const BUSY: Answer = { ok: false, failure: 'refused', message: 'busy' };
const HUNG: Answer = { ok: false, failure: 'timeout', message: 'hung' };

function guest(
  uuid: string,
  changes: { readonly id?: number; readonly state?: Domain['state']; readonly disks?: number } = {},
): Domain {
  const { id = 1, state = 'running', disks = 1 } = changes;
  const tuning = { disks: Array.from({ length: disks }, (_, at) => fakeDisk({ target: `vd${'abc'[at]}` })) };
  const domain = guestOn('v2-nested', { id, tuning });
  return { ...domain, uuid, state, facts: domain.facts === null ? null : { ...domain.facts, id } };
}

let nowMs: number;
let asked: string[];
let options: (DisksOptions | undefined)[];
let learnt: string[];
let answer: (uuid: string, id: number) => Answer | Promise<Answer>;
let readings: DiskReadings;
beforeEach(() => {
  nowMs = 1_000_000;
  [asked, learnt, options] = [[], [], []];
  // A call of a test before this one may come yet.
  const [log, with_] = [asked, options];
  answer = () => answered(reading('vda', 500));
  readings = new DiskReadings({
    libvirt: {
      disks: async (uuid: string, id: number, how?: DisksOptions) => {
        log.push(`${uuid}:${id}`);
        with_.push(how);
        return answer(uuid, id);
      },
    },
    monotonicMs: () => nowMs,
    onLearnt: (uuid) => learnt.push(uuid),
  });
});

/** Asking begins after the turn in which it is found to be due. */
async function rest(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) {
    await new Promise(setImmediate);
    await readings.idle();
  }
}

describe('a throttle that is looked at', () => {
  test('is asked for once, and known when the answer is there', async () => {
    const db = guest('db');
    assert.equal(readings.throttle(db, 'vda'), null);
    assert.equal(readings.throttle(db, 'vda'), null);
    assert.equal(readings.all(db), null);
    await rest();
    assert.deepEqual(asked, ['db:1']);
    assert.deepEqual(learnt, ['db']);
    assert.equal(readings.throttle(db, 'vda'), 'total_iops_sec=500');
    assert.equal(readings.all(db)?.atMs, nowMs);
    nowMs += 3_600_000;
    assert.equal(readings.throttle(db, 'vda'), 'total_iops_sec=500', 'the last answer stands');
    assert.deepEqual(asked, ['db:1']);
  });

  test('is not asked for while the guest starts, nor of one that does not run', async () => {
    readings.throttle(guest('db', { state: 'starting' }), 'vda');
    const off = guest('off');
    await readings.refresh({ ...off, facts: off.facts === null ? null : { ...off.facts, id: null } });
    await readings.refresh({ ...off, facts: null });
    await rest();
    assert.deepEqual(asked, []);
  });

  test('of another instance is not known', async () => {
    await readings.refresh(guest('db', { id: 1 }));
    const restarted = guest('db', { id: 2 });
    assert.equal(readings.of(restarted, 'vda'), null);
    answer = () => answered(reading('vda', 700));
    nowMs += 5_000;
    readings.throttle(restarted, 'vda');
    await rest();
    assert.deepEqual(asked, ['db:1', 'db:2']);
    assert.equal(readings.throttle(restarted, 'vda'), 'total_iops_sec=700');
    assert.equal(readings.of(guest('db', { id: 1 }), 'vda'), null);
  });

  test('of a disk that was plugged in since is asked for, at most every five seconds', async () => {
    const db = guest('db', { disks: 2 });
    await readings.refresh(db);
    for (; nowMs < 1_012_000; nowMs += 1_000) {
      assert.equal(readings.throttle(db, 'vdb'), null);
      await rest();
    }
    assert.equal(asked.length, 3);
  });

  test('of which QEMU has none is said, and not asked for again', async () => {
    answer = () => answered(reading('vda', 0, { throttle: null, throttleProblem: 'not supported' }));
    const db = guest('db');
    await readings.refresh(db);
    nowMs += 60_000;
    assert.equal(readings.throttle(db, 'vda'), null);
    assert.equal(readings.of(db, 'vda')?.throttleProblem, 'not supported');
    await rest();
    assert.equal(asked.length, 1);
  });

  test('that cannot be read this time is not taken for one that QEMU does not have', async () => {
    const db = guest('db');
    await readings.refresh(db);
    answer = () => answered(reading('vda', 0, { throttle: null, throttleProblem: 'cannot acquire state change lock' }));
    await readings.refresh(db);
    assert.equal(readings.of(db, 'vda')?.throttleProblem, null);
    assert.equal(readings.throttle(db, 'vda'), null);
    answer = () => answered(reading('vda', 500));
    nowMs += 5_000;
    readings.throttle(db, 'vda');
    await rest();
    assert.equal(readings.throttle(db, 'vda'), 'total_iops_sec=500');
  });

  test('is in doubt until it was asked for again; counters stand', async () => {
    const counters = { readRequests: 7n } as unknown as NonNullable<DiskReading['counters']>;
    answer = () => answered(reading('vda', 500, { counters }));
    const db = guest('db');
    await readings.refresh(db);
    readings.doubt('db');
    readings.doubt('unheard of');
    assert.equal(readings.throttle(db, 'vda'), null);
    assert.equal(readings.of(db, 'vda')?.counters, counters);
    learnt.length = 0;
    await readings.refresh(db);
    assert.equal(readings.throttle(db, 'vda'), 'total_iops_sec=500');
    assert.deepEqual(learnt, ['db'], 'whoever waits for it hears of it');
  });
});

describe('answers', () => {
  test('that fail leave what is known', async () => {
    const db = guest('db');
    await readings.refresh(db);
    for (const failure of [BUSY, HUNG]) {
      answer = () => failure;
      await readings.refresh(db);
      assert.equal(readings.throttle(db, 'vda'), 'total_iops_sec=500');
    }
    assert.equal(readings.all(db)?.atMs, 1_000_000);
  });

  test('that come late do not answer what was asked meanwhile: it is asked anew', async () => {
    const db = guest('db');
    let first: (late: Answer) => void = () => undefined;
    answer = () =>
      new Promise((resolve) => {
        first = resolve;
      });
    const older = readings.refresh(db);
    await new Promise(setImmediate);
    answer = () => answered(reading('vda', 700));
    const newer = [readings.refresh(db), readings.refresh(db)];
    first(answered(reading('vda', 500)));
    await Promise.all([older, ...newer]);
    assert.deepEqual(asked, ['db:1', 'db:1']);
    assert.equal(readings.throttle(db, 'vda'), 'total_iops_sec=700');
  });

  test('that come after the guest has gone are nobody’s', async () => {
    const db = guest('db');
    let late: (answer: Answer) => void = () => undefined;
    answer = () =>
      new Promise((resolve) => {
        late = resolve;
      });
    const asking = readings.refresh(db);
    await new Promise(setImmediate);
    readings.forget('db');
    late(answered(reading('vda', 500)));
    await asking;
    assert.equal(readings.all(db), null);
    assert.deepEqual(learnt, []);
  });

  test('the same as before are no news; others are', async () => {
    const db = guest('db');
    await readings.refresh(db);
    await readings.refresh(db);
    assert.deepEqual(learnt, ['db']);
    answer = () => answered(reading('vda', 501));
    await readings.refresh(db);
    answer = () => answered(reading('vda', 501), reading('vdb', 0));
    await readings.refresh(db);
    assert.equal(learnt.length, 3);
  });

  describe('while libvirt is busy with the guest', () => {
    beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
    afterEach(() => mock.timers.reset());

    test('are asked for again soon, and four times', async () => {
      answer = () => BUSY;
      await readings.refresh(guest('db'));
      for (const ms of [100, 200, 400, 800, 1600, 3200]) {
        mock.timers.tick(ms);
        await new Promise(setImmediate);
      }
      assert.equal(asked.length, 5);
    });

    test('and not when it does not answer at all', async () => {
      answer = () => HUNG;
      await readings.refresh(guest('db'));
      mock.timers.tick(10_000);
      await new Promise(setImmediate);
      assert.equal(asked.length, 1);
    });
  });
});

describe('rounds', () => {
  const CYCLE_MS = 5_000;

  async function minutes(count: number, domains: readonly Domain[]): Promise<Map<string, number[]>> {
    const at = new Map<string, number[]>();
    for (let cycle = 0; cycle < (count * ROUND_MS) / CYCLE_MS; cycle++) {
      const before = asked.length;
      readings.nextRound(domains, CYCLE_MS);
      await rest();
      for (const one of asked.slice(before)) at.set(one, [...(at.get(one) ?? []), cycle]);
      nowMs += CYCLE_MS;
    }
    return at;
  }

  test('ask about every guest with disks once a minute, a few a cycle', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 60 }), async (count) => {
        asked = [];
        readings = new DiskReadings({
          libvirt: {
            disks: async (uuid: string) => {
              asked.push(uuid);
              return answered(reading('vda', 1));
            },
          },
          monotonicMs: () => nowMs,
          onLearnt: () => undefined,
        });
        const domains = Array.from({ length: count }, (_, index) => guest(`g${index}`));
        const at = await minutes(5, domains);
        const share = Math.ceil(count / 12);
        for (let cycle = 0; cycle < 60; cycle++) {
          const now = [...at.values()].filter((cycles) => cycles.includes(cycle)).length;
          assert.ok(now <= share, `${now} of ${count} in one cycle`);
        }
        for (const { uuid } of domains) {
          const cycles = at.get(uuid) ?? [];
          const gaps = cycles.slice(1).map((cycle, index) => cycle - (cycles[index] ?? 0));
          assert.ok(cycles.length >= 4, `${uuid} was asked about in ${cycles}`);
          for (const gap of gaps) assert.ok(gap >= 11 && gap <= 13, `${uuid}: ${gap} cycles`);
        }
      }),
      { numRuns: 12 },
    );
  });

  test('leave out those without disks, those that start and those that are off', async () => {
    const off = guest('off');
    const at = await minutes(3, [
      guest('none', { disks: 0 }),
      guest('starting', { state: 'starting' }),
      { ...off, facts: off.facts === null ? null : { ...off.facts, id: null } },
      guest('paused', { state: 'paused' }),
    ]);
    assert.deepEqual([...at.keys()], ['paused:1']);
  });

  test('one guest that does not answer holds up the round, and no second round is begun beside it', async () => {
    let letGo: () => void = () => undefined;
    answer = (uuid) =>
      uuid === 'stuck'
        ? new Promise((resolve) => {
            letGo = () => resolve(HUNG);
          })
        : answered(reading('vda', 1));
    const domains = [guest('stuck'), ...Array.from({ length: 23 }, (_, index) => guest(`g${index}`))];
    for (let cycle = 0; cycle < 5; cycle++) {
      readings.nextRound(domains, CYCLE_MS);
      await new Promise(setImmediate);
      nowMs += CYCLE_MS;
    }
    assert.deepEqual(asked, ['stuck:1']);
    letGo();
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    assert.deepEqual(asked, ['stuck:1', 'g0:1']);
  });

  test('a guest that was asked about for another reason waits for its turn', async () => {
    const db = guest('db');
    await readings.refresh(db);
    const at = await minutes(2, [db]);
    assert.deepEqual(at.get('db:1'), [11, 22]);
  });
});

describe('histograms', () => {
  const none = { histograms: { reads: null, writes: null, flushes: null }, histogramProblem: null };

  test('are asked for when somebody looks at them, together with the rest', async () => {
    const db = guest('db');
    answer = () => answered(reading('vda', 0, none));
    assert.equal(readings.throttle(db, 'vda'), null);
    assert.equal(readings.histogram(db, 'vda'), null);
    await rest();
    assert.deepEqual(asked, ['db:1']);
    assert.deepEqual(options, [{ histograms: true, monitorUsed: false }]);
    assert.equal(readings.histogram(db, 'vda'), 'none');
  });

  test('are never asked for where nobody looks, and no more where nobody has looked for a round', async () => {
    const db = guest('db');
    readings.throttle(db, 'vda');
    await rest();
    assert.equal(options.at(-1)?.histograms, false);
    readings.histogram(db, 'vda');
    await rest();
    assert.equal(options.at(-1)?.histograms, true, 'at once, though it was asked about just now');
    nowMs += ROUND_MS + 1;
    await readings.refresh(db);
    assert.equal(options.at(-1)?.histograms, false);
  });

  test('a problem is not asked about again and again', async () => {
    const db = guest('db');
    answer = () => answered(reading('vda', 0, { histogramProblem: 'old' }));
    for (let look = 0; look < 5; look++) {
      assert.equal(readings.histogram(db, 'vda'), null);
      await rest();
      nowMs += 10_000;
    }
    assert.equal(asked.length, 1);
    assert.equal(readings.of(db, 'vda')?.histogramProblem, 'old');
  });

  test('a monitor that we have used is known to be used, for that instance', async () => {
    const db = guest('db');
    readings.usedMonitor('db', 1);
    await readings.refresh(db);
    await readings.refresh(guest('db', { id: 2 }));
    assert.deepEqual(
      options.map((one) => one?.monitorUsed),
      [true, false],
    );
  });

  test('in doubt they are not known until QEMU has been asked again', async () => {
    const db = guest('db');
    answer = () => answered(reading('vda', 0, none));
    readings.histogram(db, 'vda');
    await rest();
    readings.doubt('db');
    assert.equal(readings.histogram(db, 'vda'), null);
  });
});
