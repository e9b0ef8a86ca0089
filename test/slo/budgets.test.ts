import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Objective } from '../../src/policy/types.js';
import { Budgets } from '../../src/slo/budgets.js';
import { RESULTS, type Result } from '../../src/slo/types.js';
import { BURN_WINDOWS } from '../../src/slo/windows.js';
import { Ledger } from './budget-ledger.js';

const START = Date.UTC(2026, 9, 5, 12, 2, 30);
const source = { file: 'x.yaml', line: 1, column: 1 } as unknown as Objective['source'];
const SLI = 'cpu.delivered';

function objective(window: Objective['window'], of = 0.99): Objective {
  return { sli: SLI, of, window, source };
}
const days = (count: number) => ({ kind: 'rolling', seconds: count * 86_400 }) as const;

/** One guest, one objective, and the wall clock in our hands. */
class Bench {
  readonly budgets = new Budgets();
  readonly ledger = new Ledger();
  nowMs = START;
  readonly held: readonly Objective[];

  constructor(window: Objective['window'] = days(30)) {
    this.held = [objective(window)];
    this.budgets.objectives('a', 'gold', this.held);
  }

  live(seconds: number, result: Result, slice = 5): void {
    for (let left = seconds; left > 0; left -= slice) this.slice(Math.min(slice, left), result);
  }

  slice(seconds: number, result: Result, leapMs = 0): void {
    this.nowMs += seconds * 1000 + leapMs;
    this.budgets.add('a', 'gold', SLI, this.nowMs, seconds, result);
    this.ledger.add(this.nowMs, seconds, result);
    this.budgets.advance(this.nowMs);
  }

  get state() {
    return this.budgets.stateOf('a', this.nowMs)[0] ?? assert.fail('no state');
  }

  get classState() {
    return this.budgets.classStates(this.nowMs)[0] ?? assert.fail('no class');
  }
}

describe('a budget', () => {
  test('is untouched while nothing is known, and burns at no rate', () => {
    const bench = new Bench();
    bench.live(600, 'unknown');
    const { totals, remainingRatio, burnRates, counters } = bench.state;
    assert.deepEqual(totals, { good: 0, bad: 0, unknown: 600, excluded: 0 });
    assert.equal(remainingRatio, 1);
    assert.deepEqual(Object.values(burnRates), [null, null, null, null, null, null, null]);
    assert.equal(counters.unknown, 600);
  });

  test('is spent by a share of what is known: unknown and excluded time give no allowance', () => {
    const bench = new Bench();
    bench.live(10_000, 'good');
    bench.live(40_000, 'unknown');
    bench.live(40_000, 'excluded');
    bench.live(50, 'bad');
    // 1 % of 10,050 s may be bad.
    near(bench.state.remainingRatio, 1 - 50 / 100.5, 0.01);
    near(bench.state.burnRates['3d'] ?? Number.NaN, 50 / 100.5, 0.01);
    near(bench.state.totals.unknown, 40_000, 2);
  });

  test('of a month counts what is to come as known, once for each guest that is there', () => {
    const bench = new Bench({ kind: 'month' });
    bench.nowMs = Date.UTC(2026, 10, 1);
    bench.live(3600, 'good');
    bench.live(60, 'bad');
    const allowed = 0.01 * 30 * 86_400;
    assert.equal(bench.state.windowSeconds, 30 * 86_400);
    near(bench.state.remainingRatio, 1 - 60 / allowed, 1e-4);
    assert.equal(bench.classState.guests, 1);
    near(bench.classState.remainingRatio, 1 - 60 / allowed, 1e-4);
    // The guest is gone: what it had is all there is.
    bench.nowMs += 3_600_000;
    near(bench.state.remainingRatio, 1 - 60 / 36.6, 0.01);
    // Another month begins at nothing.
    bench.nowMs = Date.UTC(2026, 11, 1, 0, 0, 1);
    bench.budgets.advance(bench.nowMs);
    assert.equal(bench.state.totals.bad, 0);
    assert.equal(bench.state.remainingRatio, 1);
  });

  test('over a short window is as fine as ten seconds', () => {
    const bench = new Bench({ kind: 'rolling', seconds: 60 });
    bench.live(900, 'good');
    bench.live(20, 'bad');
    near(bench.state.totals.bad, 20, 0.1);
    near(bench.state.totals.good, 40, 0.1);
    bench.live(60, 'good');
    near(bench.state.totals.bad, 0, 0.1);
    near(bench.state.remainingRatio, 1, 0.01);
  });
});

describe('clocks', () => {
  test('a leap forward is unknown time, and so is a sleep', () => {
    const bench = new Bench();
    bench.live(1000, 'good');
    bench.slice(5, 'good', 3_600_000);
    near(bench.state.totals.good, 1005, 1.1);
    near(bench.state.totals.unknown, 3600, 1.1);
  });

  test('a leap of a year and back takes nothing away', () => {
    const bench = new Bench();
    bench.live(86_400, 'good', 60);
    bench.slice(5, 'bad', 365 * 86_400_000);
    bench.live(3600, 'good');
    bench.slice(5, 'good', -365 * 86_400_000);
    bench.live(3600, 'good');
    bench.live(50, 'bad');
    near(bench.state.totals.good, 86_400 + 3600 + 5, 3);
    near(bench.state.totals.bad, 50, 1.1);
  });

  test('a clock set back lays lived time over lived time: each second once', () => {
    const bench = new Bench();
    bench.live(7200, 'good');
    bench.slice(5, 'good', -3_600_000);
    bench.live(3600, 'bad');
    near(bench.state.totals.good, 7205, 2);
    near(bench.state.totals.bad, 3600, 2);
    assert.equal(bench.state.counters.good + bench.state.counters.bad, 7205 + 3600);
  });

  test('a slice that is too long to say anything is unknown, and nonsense is nothing', () => {
    const bench = new Bench();
    bench.slice(4000, 'good');
    assert.equal(bench.state.totals.unknown, 4000);
    for (const seconds of [0, -5, Number.NaN, Number.POSITIVE_INFINITY]) {
      bench.budgets.add('a', 'gold', SLI, bench.nowMs, seconds, 'bad');
      bench.budgets.add('a', 'gold', SLI, seconds, 5, 'bad');
    }
    bench.budgets.add('a', 'gold', SLI, 9e15, 5, 'bad');
    assert.equal(bench.state.totals.bad, 0);
  });
});

test('bad runs: short pauses do not end one, and there are never more than 32', () => {
  const bench = new Bench();
  bench.live(60, 'bad');
  bench.live(30, 'good');
  bench.live(10, 'bad');
  const [run] = bench.state.badRuns;
  assert.deepEqual(run, { fromMs: START, toMs: START + 100_000, badSeconds: 70 });
  for (let at = 0; at < 50; at += 1) {
    bench.live(120, 'good');
    bench.live(5, 'bad');
  }
  assert.equal(bench.state.badRuns.length, 32);
  assert.equal(bench.state.badRuns.at(-1)?.toMs, bench.nowMs);
});

const WINDOWS = [
  { kind: 'rolling', seconds: 1800 },
  { kind: 'rolling', seconds: 7 * 86_400 },
  days(30),
  { kind: 'month' },
] as const;

const slice = fc.record({
  seconds: fc.oneof(fc.constantFrom(0.1, 5, 10, 299, 1000), fc.double({ min: 0.01, max: 700, noNaN: true })),
  times: fc.integer({ min: 1, max: 40 }),
  result: fc.constantFrom(...RESULTS),
  leapSeconds: fc.oneof(
    { weight: 8, arbitrary: fc.constant(0) },
    { weight: 2, arbitrary: fc.integer({ min: -900, max: 4000 }) },
    { weight: 1, arbitrary: fc.constantFrom(-86_400, 86_400, 3 * 86_400) },
  ),
});

test('sums over any window are those of an oracle that remembers every slice', () => {
  fc.assert(
    fc.property(fc.array(slice, { maxLength: 30 }), fc.constantFrom(...WINDOWS), (slices, window) => {
      const bench = new Bench(window);
      for (const { seconds, times, result, leapSeconds } of slices) {
        bench.nowMs += leapSeconds * 1000;
        for (let at = 0; at < times; at += 1) bench.slice(seconds, result);
        const { totals } = bench.state;
        const fromMs = window.kind === 'rolling' ? bench.nowMs - window.seconds * 1000 : startOfMonth(bench.nowMs);
        const expected = bench.ledger.totals(fromMs, bench.nowMs);
        // What rounding carries from one bucket to the next is at most a second at each end.
        for (const result of ['good', 'bad', 'excluded'] as const) near(totals[result], expected[result], 2.1, result);
        const class_ = bench.classState.totals;
        for (const result of ['good', 'bad', 'excluded'] as const) near(class_[result], totals[result], 1.1, result);
      }
    }),
    { numRuns: 200 },
  );
});

test('without leaps, windows of minutes are those of an oracle without buckets', () => {
  const steady = slice.map((one) => ({ ...one, leapSeconds: 0, seconds: Math.min(one.seconds, 60) }));
  fc.assert(
    fc.property(fc.array(steady, { maxLength: 30 }), fc.integer({ min: 60, max: 600 }), (slices, seconds) => {
      const bench = new Bench({ kind: 'rolling', seconds });
      bench.live(700, 'good');
      for (const { seconds: length, times, result } of slices) {
        for (let at = 0; at < times; at += 1) bench.slice(length, result);
        const expected = bench.ledger.exact(bench.nowMs - seconds * 1000, bench.nowMs);
        for (const result of ['good', 'bad', 'excluded'] as const)
          near(bench.state.totals[result], expected[result], 10);
      }
    }),
    { numRuns: 100 },
  );
});

test('a class is the sum of its guests, those that are gone included', () => {
  const budgets = new Budgets();
  const held = [objective(days(30))];
  const ledger = new Ledger();
  let nowMs = START;
  for (let cycle = 0; cycle < 2000; cycle += 1) {
    nowMs += 5000;
    for (let guest = 0; guest < 7; guest += 1) {
      if (guest === 3 && cycle > 1000) continue;
      const result = RESULTS[(cycle * 7 + guest * 3 + Math.floor(cycle / 50)) % 4] ?? 'good';
      budgets.objectives(`${guest}`, 'gold', held);
      // Guests are not looked at in the same moment.
      budgets.add(`${guest}`, 'gold', SLI, nowMs + guest * 37, 5, result);
      ledger.add(nowMs + guest * 37, 5, result);
    }
    if (cycle === 1000) budgets.leave('3');
    budgets.advance(nowMs);
  }
  const [state] = budgets.classStates(nowMs + 300);
  const expected = ledger.totals(nowMs - 30 * 86_400_000, nowMs + 300);
  for (const result of ['good', 'bad', 'excluded'] as const)
    near(state?.totals[result] ?? Number.NaN, expected[result], 7);
  assert.equal(state?.guests, 6);
  budgets.forgetBefore(nowMs - 60_000);
  budgets.advance(nowMs + 600_000);
  assert.equal(budgets.stateOf('3', nowMs).length, 0);
});

test('buckets that are closed in steps are seen once at each of them', () => {
  const budgets = new Budgets();
  const held = [objective(days(30))];
  for (let guest = 0; guest < 20; guest += 1) {
    budgets.objectives(`${guest}`, 'gold', held);
    budgets.add(`${guest}`, 'gold', SLI, START, 100, guest % 2 === 0 ? 'good' : 'bad');
  }
  const nowMs = START + 600_000;
  let steps = 0;
  for (const work = budgets.advancing(nowMs); ; steps += 1) {
    const step = work.next();
    for (const totals of [budgets.classStates(nowMs)[0]?.totals, budgets.stateOf('4', nowMs)[0]?.totals]) {
      assert.ok(totals?.good === 1000 || totals?.good === 100, JSON.stringify(totals));
    }
    if (step.done !== true) continue;
    assert.equal(step.value.flatMap(({ keys }) => keys).length, 20);
    break;
  }
  assert.equal(steps, 20);
});

test('thirty days of samples every five seconds are replayed in seconds', () => {
  const bench = new Bench();
  const started = performance.now();
  for (let sample = 0; sample < (30 * 86_400) / 5; sample += 1) bench.slice(5, sample % 1000 === 0 ? 'bad' : 'good');
  assert.ok(performance.now() - started < 10_000);
  near(bench.state.totals.bad, 519 * 5, 5);
  near(bench.state.remainingRatio, 0.9, 0.001);
});

test('three thousand objectives cost little a cycle', (t) => {
  const budgets = new Budgets();
  const held = BURN_WINDOWS.slice(0, 5).map((sli) => ({ ...objective(days(30)), sli }));
  let nowMs = START;
  const cycle = (result: Result): number => {
    nowMs += 5000;
    const started = performance.now();
    for (let guest = 0; guest < 600; guest += 1) {
      const uuid = `guest ${guest}`;
      budgets.objectives(uuid, 'gold', held);
      for (const { sli } of held) budgets.add(uuid, 'gold', sli, nowMs, 5, guest % 10 === 0 ? result : 'good');
    }
    budgets.advance(nowMs);
    for (let guest = 0; guest < 600; guest += 1) budgets.stateOf(`guest ${guest}`, nowMs);
    budgets.classStates(nowMs);
    return performance.now() - started;
  };
  const took: number[] = [];
  for (let at = 0; at < 300; at += 1) took.push(cycle(at % 7 === 0 ? 'bad' : 'good'));
  const median = took.sort((a, b) => a - b)[150] ?? Number.NaN;
  t.diagnostic(`median ${median.toFixed(2)} ms, longest ${took.at(-1)?.toFixed(1)} ms`);
  assert.ok(median < 50, `${median} ms`);
});

function startOfMonth(ms: number): number {
  const at = new Date(ms);
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), 1);
}

function near(actual: number, expected: number, within: number, what = ''): void {
  assert.ok(Math.abs(actual - expected) <= within, `${what} ${actual}, expected ${expected} ± ${within}`);
}
