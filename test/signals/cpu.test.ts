/** The CPU account of a guest: counters that only rise, slices where they can be told, and the truth of a simulated host. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  accountCpu,
  type CpuAccount,
  type CpuReading,
  type CpuTerms,
  type VcpuReading,
} from '../../src/signals/cpu.js';
import { type Step, simulate } from './cpu-simulated.js';

type Seconds = readonly [ran: number, waited: number, throttled?: number | null, threadId?: number];

/** vCPUs by their numbers. */
function reading(atSeconds: number, ...vcpus: readonly (Seconds | null)[]): CpuReading {
  const entries = vcpus.flatMap((one, vcpu): [number, VcpuReading][] => {
    if (one === null) return [];
    const [ran, waited, throttled = 0, threadId = 100 + vcpu] = one;
    const [ranNs, waitedNs] = [BigInt(Math.round(ran * 1e9)), BigInt(Math.round(waited * 1e9))];
    return [[vcpu, { threadId, ranNs, waitedNs, throttledUsec: throttled === null ? null : throttled * 1e6 }]];
  });
  return { atMonotonicMs: atSeconds * 1000, vcpus: new Map(entries), processSeconds: 0 };
}

const terms = (
  guaranteedCores: number | null,
  cores: number | null = null,
  on: 'vcpus' | 'whole' = 'vcpus',
): CpuTerms => ({
  guaranteedCores,
  limit: cores === null ? null : { cores, on },
});

function run(readings: readonly CpuReading[], each: CpuTerms | readonly CpuTerms[]): CpuAccount[] {
  let account: CpuAccount | null = null;
  return readings.map((one, index) => {
    account = accountCpu(account, one, 'limit' in each ? each : each[index]);
    return account;
  });
}

function last(readings: readonly CpuReading[], each: CpuTerms | readonly CpuTerms[]): CpuAccount {
  return run(readings, each).at(-1) ?? assert.fail();
}

function near(actual: number | undefined, expected: number): void {
  assert.ok(Math.abs((actual ?? Number.NaN) - expected) < 1e-6, `${actual} is not ${expected}`);
}

describe('a slice', () => {
  test('a busy vCPU that got a quarter of a core of the half it is guaranteed', () => {
    const { slice, counters } = last([reading(0, [5, 7]), reading(4, [6, 10])], terms(0.5));
    near(slice?.usedSeconds, 1);
    near(slice?.waitSeconds, 3);
    near(slice?.entitledSeconds, 2);
    near(slice?.shortfallSeconds, 1);
    near(counters.shortfallSeconds, 1);
    near(counters.demandedSeconds, 4);
  });
  test('what its own limit takes is neither waited nor owed', () => {
    const { slice } = last([reading(0, [0, 0]), reading(1, [0.5, 0.5, 0.5])], terms(0.5, 0.5));
    near(slice?.waitSeconds, 0);
    near(slice?.throttledSeconds, 0.5);
    assert.equal(slice?.shortfallSeconds, 0);
  });
  test('what a quota takes that is not the policy’s is waited and owed', () => {
    const { slice } = last([reading(0, [0, 0]), reading(1, [0.2, 0.8, 0.8])], terms(0.5));
    near(slice?.throttledSeconds, 0);
    near(slice?.waitSeconds, 0.8);
    near(slice?.shortfallSeconds, 0.3);
  });
  test('a limit that stood at one end only may have throttled too', () => {
    const readings = [reading(0, [0, 0]), reading(1, [0.5, 0.5, 0.5])];
    near(last(readings, [terms(0.5, 0.5), terms(0.5)]).slice?.waitSeconds, 0);
    near(last(readings, [terms(0.5), terms(0.5, 0.5)]).slice?.waitSeconds, 0);
  });
  test('of two guarantees in one slice the lower counts', () => {
    const readings = [reading(0, [0, 0]), reading(1, [0.2, 0.8])];
    near(last(readings, [terms(1), terms(0.5)]).slice?.entitledSeconds, 0.5);
    near(last(readings, [terms(null), terms(1)]).slice?.entitledSeconds, 0);
  });
  test('a wait that is told after the throttled time in it is not counted as one', () => {
    const accounts = run(
      [reading(0, [0, 0]), reading(1, [0.5, 0.4, 0.49]), reading(2, [1, 0.99, 0.98]), reading(3, [1, 0.99, 0.98])],
      terms(0.5, 0.5),
    );
    near(
      accounts.reduce((sum, { slice }) => sum + (slice?.waitSeconds ?? 0), 0),
      0.01,
    );
  });
  test('a wait of several slices, told at its end, fills no slice over its length', () => {
    const accounts = run(
      [reading(0, [0, 0]), reading(1, [0, 0]), reading(2, [0.1, 1.5]), reading(3, [0.1, 1.5])],
      terms(1),
    );
    near(accounts[2]?.slice?.waitSeconds, 0.9);
    near(accounts[3]?.slice?.waitSeconds, 0.6);
  });
  test('a process throttled as a whole: shared out as its vCPUs waited', () => {
    const { slice } = last(
      [reading(0, [0, 0], [0, 0, null]), reading(1, [0.5, 0.4, 0.5], [0.5, 0.2, null])],
      terms(1, 1, 'whole'),
    );
    near(slice?.throttledSeconds, 0.5);
    near(slice?.waitSeconds, 0.1);
  });
});

describe('what cannot be told', () => {
  const judge = (...readings: readonly CpuReading[]) => last(readings, terms(2, 2));
  const cases: Readonly<Record<string, CpuAccount>> = {
    'the first reading': judge(reading(0, [1, 1])),
    'a vCPU that was plugged in': judge(reading(0, [1, 1]), reading(1, [1.5, 1.5], [9, 9])),
    'a vCPU that was unplugged': judge(reading(0, [1, 1], [9, 9]), reading(1, [1.5, 1.5])),
    'another vCPU in its place': judge(reading(0, [1, 1], [9, 9]), reading(1, [1.5, 1.5], null, [3, 3])),
    'another thread': judge(reading(0, [1, 1, 0, 7]), reading(1, [5000, 5000, 0, 8])),
    'a run time that went back': judge(reading(0, [1, 1]), reading(1, [0.5, 1.5])),
    'a wait that went back': judge(reading(0, [1, 1]), reading(1, [1.5, 0.5])),
    'throttled time that went back': judge(reading(0, [1, 1, 9]), reading(1, [1.5, 1.5, 0])),
    'throttled time of the own limit that is not known': judge(reading(0, [1, 1, null]), reading(1, [1.5, 1.5, null])),
    'no vCPU at all': judge(reading(0), reading(1)),
  };
  for (const [name, { slice, counters }] of Object.entries(cases)) {
    test(name, () => {
      assert.equal(slice, null);
      assert.equal(counters.shortfallSeconds, 0);
      assert.equal(counters.entitledSeconds, 0);
      assert.ok(counters.usedSeconds <= 1 && counters.waitSeconds <= 1 && counters.throttledSeconds >= 0);
    });
  }
  test('goes on with the next reading', () => {
    const { slice } = judge(reading(0, [1, 1, 0, 7]), reading(1, [0, 0, 0, 8]), reading(2, [0.5, 0.5, 0, 8]));
    near(slice?.shortfallSeconds, 0.5);
  });
  test('a reading of the same moment leaves the account as it is', () => {
    const before = judge(reading(0, [1, 1]), reading(1, [1.5, 1.5]));
    assert.equal(accountCpu(before, reading(1, [9, 9]), terms(2)), before);
  });
});

const amount = fc.double({ min: 0, max: 3, noNaN: true });
const anyVcpu = fc.option(
  fc.tuple(amount, amount, fc.option(amount), fc.constantFrom(1, 2)).map((one): Seconds => one),
);
const anyTerms = fc
  .tuple(
    fc.option(amount),
    fc.option(fc.double({ min: 0.01, max: 3, noNaN: true })),
    fc.constantFrom('vcpus' as const, 'whole' as const),
  )
  .map(([guaranteed, cores, on]) => terms(guaranteed, cores, on));

test('whatever counters do, nothing falls, no slice is over its length, and the sums agree', () => {
  const story = fc.array(fc.tuple(fc.array(anyVcpu, { maxLength: 3 }), anyTerms), { minLength: 2, maxLength: 12 });
  fc.assert(
    fc.property(story, (steps) => {
      const accounts = run(
        steps.map(([vcpus], second) => reading(second, ...vcpus)),
        steps.map(([, each]) => each),
      );
      accounts.forEach(({ counters, slice }, index) => {
        const before = accounts[index - 1]?.counters;
        for (const [name, value] of Object.entries(counters)) {
          assert.ok(Number.isFinite(value) && value >= 0, name);
          if (name.endsWith('Seconds') && before !== undefined) {
            assert.ok(value >= (before[name as keyof typeof before] ?? 0) - 1e-9, name);
          }
        }
        assert.ok((counters.demandedSeconds ?? 0) >= counters.usedSeconds - 1e-9);
        if (slice === null) return;
        assert.ok(Object.values(slice).every((value) => Number.isFinite(value) && value >= 0));
        assert.ok(slice.activeSeconds <= 1 + 1e-9);
        assert.ok(slice.waitSeconds <= 3 + 1e-9);
        assert.ok(slice.shortfallSeconds <= slice.entitledSeconds + 1e-9);
        assert.ok(slice.entitledSeconds <= slice.demandedSeconds + 1e-9);
      });
    }),
  );
});

const quota = fc.option(fc.integer({ min: 1, max: 9 }));
const plan = (crowded: fc.Arbitrary<boolean>) =>
  fc.integer({ min: 1, max: 4 }).chain((vcpus) =>
    fc.array(fc.array(fc.record({ wants: fc.boolean(), crowded }), { minLength: vcpus, maxLength: vcpus }), {
      minLength: 30,
      maxLength: 120,
    }),
  );

function accountsOf(steps: readonly (readonly Step[])[], quotaSteps: number | null, every: number) {
  const vcpus = steps[0]?.length ?? 0;
  const truth = simulate(steps, quotaSteps, every);
  const limit = quotaSteps === null ? null : (quotaSteps / 10) * vcpus;
  return { truth, limit, vcpus };
}

test('a simulated host: used and waited add up to the truth, however readings cut it', () => {
  fc.assert(
    fc.property(plan(fc.boolean()), quota, fc.integer({ min: 7, max: 40 }), (steps, quotaSteps, every) => {
      const { truth, limit } = accountsOf(steps, quotaSteps, every);
      const accounts = run(truth.readings, terms(0.5, limit));
      const sum = (of: 'usedSeconds' | 'waitSeconds' | 'throttledSeconds') =>
        accounts.reduce((total, { slice }) => total + (slice?.[of] ?? 0), 0);
      const late = [...(accounts.at(-1)?.late.values() ?? [])].reduce((total, one) => total + one, 0);
      near(sum('usedSeconds'), truth.used);
      near(sum('throttledSeconds'), truth.throttled);
      near(sum('waitSeconds') + late, truth.wait);
    }),
    { numRuns: 60 },
  );
});

test('a simulated host: one that is held by its own limit alone is never short of a guarantee up to it', () => {
  fc.assert(
    fc.property(
      plan(fc.constant(false)),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 7, max: 40 }),
      (steps, q, every) => {
        const { truth, limit } = accountsOf(steps, q, every);
        for (const { counters } of run(truth.readings, terms(limit, limit)))
          assert.ok((counters.shortfallSeconds ?? 0) < 1e-9);
      },
    ),
    { numRuns: 60 },
  );
});

test('a simulated host: a guest that always wants to run is short by exactly what it lacks', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.boolean(), { minLength: 40, maxLength: 120 }),
      fc.double({ min: 0.1, max: 4, noNaN: true }),
      (vcpus, crowds, g) => {
        const steps = crowds.map((crowded) => Array.from({ length: vcpus }, () => ({ wants: true, crowded })));
        const { truth } = accountsOf(steps, null, steps.length + 1);
        const seconds = steps.length * 0.01;
        // Without the last step, in which nothing is wanted.
        const readings = truth.readings.map((one, at) => (at === 0 ? one : { ...one, atMonotonicMs: seconds * 1000 }));
        const { slice } = last(readings, terms(Math.min(g, vcpus)));
        near(slice?.shortfallSeconds, Math.max(0, Math.min(g, vcpus) * seconds - truth.used));
      },
    ),
    { numRuns: 60 },
  );
});
