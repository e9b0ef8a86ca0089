/** The nine SLIs: what is good, bad and unknown, and that the registry is the one list of them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SLIS } from '../../src/policy/schema.js';
import { diskPromise } from '../../src/slo/disk-promise.js';
import { ALL_SLIS, judge, type SliName, sliNamed } from '../../src/slo/slis.js';
import type { DiskSlice, Slice, SliObjective, Verdict } from '../../src/slo/types.js';
import { someCpu, someDisk, someMemory, someSlice, traffic } from './some-slices.js';

const BOUNDS: Readonly<Record<string, Pick<SliObjective, 'atLeast' | 'atMost'>>> = {
  'at-least': { atLeast: 0.95 },
  'at-most-share': { atMost: 0.05 },
  'at-most-duration': { atMost: { seconds: 0.01 } },
  none: {},
};

function objective(sli: SliName): SliObjective {
  return { sli, ...BOUNDS[SLIS[sli]] };
}

type Case = readonly [name: string, slice: Partial<Slice>, verdict: Verdict, figure: number | null];

function cases(sli: SliName, all: readonly Case[]): void {
  describe(sli, () => {
    for (const [name, changes, verdict, figure] of all) {
      test(`${name}: ${verdict}`, () => {
        const slice = someSlice(changes);
        assert.equal(judge(slice, objective(sli)), verdict);
        const shown = sliNamed(sli)?.figure(slice) ?? null;
        if (figure === null || shown === null) assert.equal(shown, figure);
        else assert.ok(Math.abs(shown - figure) < 1e-9 || shown === figure, `${shown} is not ${figure}`);
      });
    }
  });
}

cases('cpu.delivered', [
  ['not known', {}, 'unknown', null],
  ['idle, or without a guarantee', { cpu: someCpu({}) }, 'good', null],
  ['all of it', { cpu: someCpu({ entitledSeconds: 5 }) }, 'good', 1],
  ['just enough', { cpu: someCpu({ entitledSeconds: 5, shortfallSeconds: 0.25 }) }, 'good', 0.95],
  ['too little', { cpu: someCpu({ entitledSeconds: 5, shortfallSeconds: 0.26 }) }, 'bad', 0.948],
  ['a turn of a few milliseconds', { cpu: someCpu({ entitledSeconds: 0.02, shortfallSeconds: 0.01 }) }, 'good', 0.5],
]);

cases('cpu.wait', [
  ['not known', {}, 'unknown', null],
  ['idle', { cpu: someCpu({}) }, 'good', null],
  ['little', { cpu: someCpu({ demandedSeconds: 10, waitSeconds: 0.5 }) }, 'good', 0.05],
  ['much, without any guarantee', { cpu: someCpu({ demandedSeconds: 10, waitSeconds: 0.6 }) }, 'bad', 0.06],
  ['seldom, but long each time', { cpu: someCpu({ demandedSeconds: 0.4, waitSeconds: 0.2 }) }, 'bad', 0.5],
  ['a few milliseconds', { cpu: someCpu({ demandedSeconds: 0.1, waitSeconds: 0.09 }) }, 'good', 0.9],
  [
    'held by its own limit alone',
    { cpu: someCpu({ usedSeconds: 1, demandedSeconds: 1, throttledSeconds: 9 }) },
    'good',
    0,
  ],
]);

cases('memory.delivered', [
  ['not known', {}, 'unknown', null],
  ['without a guarantee', { memory: someMemory({ guaranteedBytes: null, swapBytes: 9 }) }, 'good', null],
  ['its guarantee in RAM, more in swap', { memory: someMemory({ swapBytes: 5000, refaultedBytes: 900 }) }, 'good', 1],
  ['little touched', { memory: someMemory({ usedBytes: 10 }) }, 'good', 1],
  ['nothing touched', { memory: someMemory({ usedBytes: 0 }) }, 'good', null],
  ['some in swap', { memory: someMemory({ usedBytes: 900, swapBytes: 500 }) }, 'bad', 0.9],
  ['a little in swap', { memory: someMemory({ usedBytes: 400, swapBytes: 8 }) }, 'good', 1 - 8 / 408],
  ['needed again', { memory: someMemory({ usedBytes: 900, refaultedBytes: 90 }) }, 'bad', 0.9],
  ['no figure of swap, little in RAM', { memory: someMemory({ usedBytes: 900, swapBytes: null }) }, 'unknown', 1],
  ['no figure of swap, all in RAM', { memory: someMemory({ swapBytes: null }) }, 'good', 1],
  [
    'no figure of refaults, and bad already',
    { memory: someMemory({ usedBytes: 500, swapBytes: 500, refaultedBytes: null }) },
    'bad',
    0.5,
  ],
]);

cases('memory.stall', [
  ['not known', {}, 'unknown', null],
  ['no PSI', { memory: someMemory({ waitedSeconds: null }) }, 'unknown', null],
  ['little', { memory: someMemory({ waitedSeconds: 0.5 }) }, 'good', 0.05],
  ['much', { memory: someMemory({ waitedSeconds: 0.6 }) }, 'bad', 0.06],
  ['more than there was, for its grain', { memory: someMemory({ waitedSeconds: 12 }) }, 'bad', 1],
]);

const MIB = 2 ** 20;
const promised = { readBytes: 100 * MIB, totalIops: 1000 };
const slow = traffic(100, MIB, 0.02);
const disks = (...all: readonly Partial<DiskSlice>[]) => ({ disks: all.map(someDisk) });

cases('disk.latency', [
  ['not known', {}, 'unknown', null],
  ['no disks', { disks: [] }, 'good', null],
  ['no requests', disks({}), 'good', null],
  ['quick', disks({ read: traffic(100, MIB, 0.01) }), 'good', 0.01],
  ['slow', disks({ read: slow }), 'bad', 0.02],
  ['one of two slow', disks({ read: traffic(100, MIB, 0.001) }, { write: slow }), 'bad', 0.02],
  ['slow and known to be, beside one that is not', disks({ read: slow, limited: null }, { write: slow }), 'bad', 0.02],
  ['slow at its own limit', disks({ read: traffic(1000, MIB, 0.02), limited: true, promised }), 'good', 0.02],
  ['slow at a limit, the class has none', disks({ read: slow, limited: true }), 'good', 0.02],
  ['slow at a limit under its own', disks({ read: slow, limited: true, promised }), 'unknown', 0.02],
  ['slow, and nobody knows whether at a limit', disks({ read: slow, limited: null }), 'unknown', 0.02],
  ['quick, and nobody knows', disks({ read: traffic(1, 1, 0.001), limited: null }), 'good', 0.001],
  [
    'a few slow ones by the histogram',
    disks({
      read: slow,
      histogram: [
        [0.01, 96],
        [0.1, 4],
      ],
    }),
    'good',
    (0.01 * 95) / 96,
  ],
  [
    'too many slow ones',
    disks({
      read: slow,
      histogram: [
        [0.01, 90],
        [0.11, 10],
      ],
    }),
    'bad',
    0.06,
  ],
  [
    'off the histogram',
    disks({
      histogram: [
        [0.01, 90],
        [Number.POSITIVE_INFINITY, 10],
      ],
    }),
    'bad',
    Number.POSITIVE_INFINITY,
  ],
  ['an empty histogram', disks({ read: traffic(1, 1, 0.001), histogram: [[0.01, 0]] }), 'good', 0.001],
]);

cases('disk.delivered', [
  ['not known', {}, 'unknown', null],
  ['nothing promised', disks({ read: traffic(10, 1, 1) }), 'good', null],
  ['requests now and then', disks({ read: traffic(10, MIB, 0.02), promised }), 'good', null],
  ['at its promise in bytes', disks({ read: traffic(100, 100 * MIB, 0.1), promised }), 'good', 1],
  ['at its promise in operations', disks({ write: traffic(960, MIB, 0.1), promised }), 'good', 0.96],
  [
    'capped at half its promise by somebody',
    disks({ read: traffic(100, 50 * MIB, 0.1), limited: true, promised }),
    'bad',
    0.5,
  ],
  [
    'reads held by their own limit, writes few',
    disks({ read: traffic(100, 99 * MIB, 0.1), write: traffic(1, 1, 0.1), promised }),
    'good',
    0.99,
  ],
  [
    'writes short, reads are no excuse',
    disks({
      read: traffic(10, 100 * MIB, 0.1),
      write: traffic(10, MIB, 0.1),
      promised: { readBytes: 100 * MIB, writeBytes: 10 * MIB },
    }),
    'bad',
    0.1,
  ],
  [
    'reads and writes by turns, short of their sum',
    disks({ read: traffic(250, 1, 0.002), write: traffic(250, 1, 0.002), promised: { totalIops: 1000 } }),
    'bad',
    0.5,
  ],
  [
    'the worst of two',
    disks({ read: traffic(100, 100 * MIB, 0.1), promised }, { read: traffic(100, 10 * MIB, 0.1), promised }),
    'bad',
    0.1,
  ],
]);

const cards = (...all: readonly (readonly [packets: number, dropped: number])[]) => ({
  interfaces: all.map(([packets, dropped], index) => ({ device: `vnet${index}`, packets, dropped })),
});

cases('network.delivered', [
  ['not known', {}, 'unknown', null],
  ['no interfaces', cards(), 'good', null],
  ['no packets', cards([0, 0]), 'good', null],
  ['few dropped', cards([95, 5]), 'good', 0.95],
  ['many dropped on one', cards([1e6, 0], [90, 10]), 'bad', 0.9],
  ['all dropped', cards([0, 3]), 'bad', 0],
  ['dropped while it stood still', { state: 'paused', ...cards([0, 3]) }, 'good', 0],
]);

cases('svirt.compliant', [
  ['not known', {}, 'unknown', null],
  ['as promised', { labelCompliant: true }, 'good', 1],
  ['violated', { labelCompliant: false }, 'bad', 0],
]);

cases('available', [
  ['runs', {}, 'good', 1],
  ['shut off by someone', { state: 'shutoff', meantToRun: false }, 'good', 1],
  ['gone without a wish', { state: 'shutoff' }, 'bad', 0],
  ['crashed', { state: 'crashed' }, 'bad', 0],
  ['paused by an error', { state: 'paused' }, 'bad', 0],
  ['sleeps', { state: 'pmsuspended' }, 'good', 1],
  ['starts', { state: 'starting' }, 'unknown', null],
]);

test('the registry: nine names, each with help, and the table of the policy language is it', () => {
  assert.equal(ALL_SLIS.length, 9);
  assert.deepEqual(
    Object.keys(SLIS),
    ALL_SLIS.map(({ name }) => name),
  );
  for (const { name, bound, unit, help } of ALL_SLIS) {
    assert.equal(SLIS[name], bound);
    assert.match(help, /^[A-Z].*\.$/);
    assert.ok(bound !== 'at-most-duration' || unit === 'seconds');
    assert.equal(sliNamed(name)?.name, name);
  }
  assert.equal(judge(someSlice(), { sli: 'nonsense' }), 'unknown');
  assert.equal(sliNamed('toString'), null);
});

test('without the bound that it needs, nothing is judged bad', () => {
  const bad = someSlice({
    cpu: someCpu({ entitledSeconds: 5, shortfallSeconds: 5, demandedSeconds: 5, waitSeconds: 5 }),
  });
  assert.equal(judge(bad, { sli: 'cpu.delivered' }), 'unknown');
  assert.equal(judge(bad, { sli: 'cpu.wait' }), 'unknown');
});

test('figures that are no numbers judge nothing', () => {
  const slice = someSlice({ cpu: someCpu({ entitledSeconds: Number.NaN, shortfallSeconds: Number.NaN }) });
  assert.equal(judge(slice, objective('cpu.delivered')), 'unknown');
});

test('a laxer bound never turns a good slice bad', () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(share, share, share, fc.double({ min: 0, max: 10, noNaN: true }), (one, other, part, entitled) => {
      const [lax, strict] = [Math.min(one, other), Math.max(one, other)];
      const slice = someSlice({ cpu: someCpu({ entitledSeconds: entitled, shortfallSeconds: entitled * part }) });
      const verdict = (atLeast: number) => judge(slice, { sli: 'cpu.delivered', atLeast });
      if (verdict(strict) === 'good') assert.equal(verdict(lax), 'good');
    }),
  );
});

test('more requests in slower buckets never make the latency less', () => {
  const count = fc.nat(100);
  fc.assert(
    fc.property(fc.array(count, { minLength: 2, maxLength: 6 }), fc.nat(5), fc.nat(50), (counts, from, moved) => {
      const figure = (all: readonly number[]) =>
        sliNamed('disk.latency')?.figure(
          someSlice(disks({ histogram: all.map((requests, index) => [0.001 * 2 ** index, requests] as const) })),
        ) ?? 0;
      const at = from % (counts.length - 1);
      const shifted = [...counts];
      const part = Math.min(moved, counts[at] ?? 0);
      shifted[at] = (counts[at] ?? 0) - part;
      shifted[at + 1] = (counts[at + 1] ?? 0) + part;
      assert.ok(figure(shifted) >= figure(counts) - 1e-12);
    }),
  );
});

test('what a class promises of its disks', () => {
  const source = { file: 'a.yaml', line: 1, column: 1 };
  const of = (values: Readonly<Record<string, unknown>>) =>
    diskPromise({
      values: new Map(Object.entries(values).map(([key, value]) => [key, { value, text: String(value), source }])),
    });
  assert.equal(of({ 'cpu.limit': 3, 'disk.limit.burst.iops': 5 }), null);
  assert.deepEqual(of({ 'disk.limit.read': 3, 'disk.limit.iops': 4 }), { readBytes: 3, totalIops: 4 });
});
