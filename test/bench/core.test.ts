/** The arithmetic of the benchmark, its verdicts and its page. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GOALS, judge } from '../../bench/goals.js';
import { growthResult } from '../../bench/growth.js';
import { interleave } from '../../bench/interleave.js';
import { MEASUREMENTS } from '../../bench/measurements.js';
import { number, renderPage } from '../../bench/page.js';
import { growthExponent, median, percentile } from '../../bench/statistics.js';

test('medians and percentiles', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.throws(() => median([]));
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  assert.equal(percentile(hundred, 0.99), 99);
  assert.equal(percentile(hundred, 0.5), 50);
  assert.equal(percentile([7], 0.99), 7);
});

test('the growth exponent is that of a power, whatever its factor', () => {
  const costs = (exponent: number) => [600, 1000, 5000].map((count) => ({ count, cost: 3 * count ** exponent }));
  for (const exponent of [0.5, 1, 1.1, 2])
    assert.ok(Math.abs((growthExponent(costs(exponent)) ?? 0) - exponent) < 1e-9);
  assert.equal(growthExponent([{ count: 600, cost: 1 }]), null);
  assert.equal(
    growthExponent([
      { count: 600, cost: 0 },
      { count: 5000, cost: 1 },
    ]),
    null,
  );
});

test('growth is told over the sizes that have to be there', () => {
  const costs = (counts: readonly number[]) =>
    counts.map((count) => ({ what: 'rss' as const, count, cost: 50 + 0.02 * count }));
  const growth = (counts: readonly number[]) => growthResult([{ figures: [], raw: {}, costs: costs(counts) }], false);
  const { figures } = growth([0, 600, 1000, 5000]);
  assert.deepEqual(
    figures.map(({ id, value }) => [id, Math.round(value * 1000)]),
    [['growth-rss', 1000]],
  );
  assert.deepEqual(growth([0, 600, 1000]).figures, []);
  assert.ok(growth([0, 600]).missing?.some(({ id, reason }) => id === 'growth-rss' && reason.includes('5000')));
});

test('subject and reference take turns, and warm-ups do not count', async () => {
  const order: string[] = [];
  const contestant = (name: string) => ({ name, round: async () => order.push(name) });
  const rounds = await interleave([contestant('a'), contestant('b')], {
    rounds: 2,
    warmups: 1,
    before: () => void order.push('-'),
  });
  assert.deepEqual(order, ['-', 'a', '-', 'b', '-', 'a', '-', 'b', '-', 'a', '-', 'b']);
  assert.deepEqual(rounds, { a: [6, 10], b: [8, 12] });
});

test('verdicts', () => {
  const check = { id: 'x', at: '', compare: 'at most', limit: 1.3, unit: '×' } as const;
  const figure = (value: number) => [{ id: 'x', value, shown: '' }];
  assert.equal(judge(check, figure(1.3), []).verdict, 'reached');
  assert.equal(judge(check, figure(1.31), []).verdict, 'missed');
  assert.deepEqual(judge(check, [], [{ id: 'x', reason: 'no compiler' }]), {
    verdict: 'not run',
    figure: null,
    reason: 'no compiler',
  });
  assert.equal(judge(check, figure(Number.NaN), []).verdict, 'not run');
  assert.equal(judge({ ...check, compare: 'at least' }, figure(1.3), []).verdict, 'reached');
  assert.equal(judge({ ...check, compare: 'equal to', limit: 0 }, figure(1), []).verdict, 'missed');
});

test('every goal is measured once, and by nobody twice', () => {
  const checks = GOALS.flatMap((goal) => goal.checks.map(({ id }) => id));
  assert.equal(new Set(checks).size, checks.length);
  const given = MEASUREMENTS.flatMap(({ gives }) => gives);
  assert.deepEqual([...given].sort(), [...new Set(given)].sort());
});

test('the page has a row for every check, and says what was not run', () => {
  const page = renderPage({
    machine: { cpu: 'CPU', cores: 2, memoryGib: 4, kernel: '6.1', node: '20', openFiles: 1024 },
    date: '2026-01-05',
    results: [
      {
        name: 'one',
        figures: [{ id: 'steady-600', value: 1.234, shown: '12 ms against 10 ms' }],
        missing: [{ id: 'virsh', reason: 'there is no virsh\nat all | here' }],
        notes: ['a note'],
        raw: {},
      },
    ],
  });
  for (const { checks } of GOALS) for (const { at } of checks) assert.ok(page.includes(`| ${at} |`), at);
  assert.match(page, /\| 600 \| ≤ 1\.3 × \| 1\.23 × \| 12 ms against 10 ms \| {2}\| reached \|/);
  assert.match(page, /\| there is no virsh \| {2}\| not run \|/);
  assert.match(page, /- a note/);
  assert.equal(number(1234.5), '1235');
  assert.equal(number(0.012345), '0.0123');
});
