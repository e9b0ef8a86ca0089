/** Properties of all controls together over random guests of every layout, classes and histories. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Tuning } from '../../src/domains/types.js';
import type { EffectiveClass, Sourced } from '../../src/policy/types.js';
import { defaultTuning, fakeDisk, fakeInterface } from '../fakes/fake-tuning.js';
import { TunedGuest } from '../reconcile/tuned-guest.js';
import { classFrom, LAYOUTS, MIB } from './some-guest.js';

const SOURCE = { file: 'p.yaml', line: 1, column: 1 };
const percent = (least: number, most: number) =>
  fc.integer({ min: least, max: most }).map((value) => ({ unit: 'percent' as const, fraction: value / 100 }));
const rate = fc.integer({ min: 1, max: 9 }).map((value) => value * 1_000_000);

/** What goes with any other key. */
const plain = fc.record(
  {
    'cpu.limit': percent(1, 100),
    'cpu.guarantee': percent(1, 100),
    'cpu.burst': fc.integer({ min: 1, max: 100 }).map((value) => value / 1000),
    'cpu.pin': fc.constantFrom([0], [0, 1], [2, 3, 7]),
    'memory.limit': fc.oneof(
      fc.constant('none'),
      percent(130, 400),
      fc.constant({ unit: 'bytes' as const, bytes: 2048 * MIB }),
    ),
    'memory.guarantee': percent(1, 100),
    'memory.hard': fc.boolean(),
    'memory.high': fc.oneof(fc.constant('none'), percent(50, 200)),
    'memory.swap': fc.constantFrom('none', 0, 64 * MIB),
    'disk.weight': fc.integer({ min: 1, max: 10_000 }),
    'disk.limit.read': rate,
    'network.limit.in': rate.map((averageBytesPerSecond) => ({ averageBytesPerSecond })),
    'network.limit.out': rate.map((averageBytesPerSecond) => ({ averageBytesPerSecond, burstBytes: MIB })),
  },
  { requiredKeys: [] },
);
/** What stands beside some ways alone. */
const disk = fc.oneof(
  fc.record({ 'disk.via': fc.constant('cgroup'), 'disk.limit.write': rate }, { requiredKeys: ['disk.via'] }),
  fc.record({ 'disk.limit.write': rate }, { requiredKeys: [] }),
  rate.map((value) => ({
    'disk.limit.read': value,
    'disk.limit.burst.read': value * 2,
    'disk.limit.burst.for': 10,
  })),
);
const someClass: fc.Arbitrary<EffectiveClass> = fc.tuple(plain, disk).map((parts) => {
  const values = Object.entries(Object.assign({}, ...parts)).map(([key, value]): [string, Sourced] => [
    key,
    { value, text: String(value), source: SOURCE },
  ]);
  return { name: 'c', priority: 100, values: new Map(values), assignment: SOURCE, openSchedules: [] };
});

const [VNET0, VNET1] = [0, 1].map((number) =>
  fakeInterface({ mac: `52:54:00:00:00:0${number}`, device: `vnet${number}` }),
) as [ReturnType<typeof fakeInterface>, ReturnType<typeof fakeInterface>];
const throttle = fc.constantFrom(
  { fields: {}, group: null },
  { fields: { read_bytes_sec: 7_000 }, group: null },
  { fields: { total_bytes_sec: 9_000 }, group: 'g' },
);
const definition: fc.Arbitrary<Tuning> = fc
  .record(
    {
      cpu: fc.record(
        { shares: fc.integer({ min: 2, max: 10_000 }), vcpuQuotaUsec: fc.integer({ min: 1000, max: 90_000 }) },
        { requiredKeys: [] },
      ),
      memory: fc.constantFrom(
        {},
        { hardLimitKib: 4_194_304 },
        { hardLimitKib: 4_194_304, softLimitKib: 2_097_152, swapHardLimitKib: 8_388_608 },
      ),
      blkio: fc.constantFrom(
        { devices: [] },
        { weight: 300, devices: [{ path: '/dev/sda', readBytesPerSecond: 5_000 }] },
      ),
      pins: fc.constantFrom({}, { 0: '1-2' }),
      throttle,
      inbound: fc.constantFrom(null, { averageKbytes: 50 }),
    },
    { requiredKeys: ['throttle', 'inbound'] },
  )
  .map(({ cpu = {}, throttle: first, inbound, ...rest }) =>
    defaultTuning({
      ...rest,
      cpu: { realtimeVcpus: false, ...cpu },
      disks: [fakeDisk({ target: 'vda', throttle: first }), fakeDisk({ target: 'vdb' })],
      interfaces: [{ ...VNET0, inbound }],
    }),
  );
const guest = fc.record({
  layout: fc.constantFrom(...LAYOUTS),
  vcpus: fc.integer({ min: 1, max: 3 }),
  definition,
});
type Guest = typeof guest extends fc.Arbitrary<infer G> ? G : never;

/** Nobody tunes a guest that libvirt does not run. A definition's own limit of memory and swap on v1: memory.test.ts. */
function twins({ layout, vcpus, definition: asDefined }: Guest): [TunedGuest, TunedGuest, Tuning] {
  const { disks, memory } = asDefined;
  const untuned = defaultTuning({ disks: disks.map(({ target }) => fakeDisk({ target })) });
  const { swapHardLimitKib: _both, ...ofMemory } = memory;
  const onV1: Tuning = { ...asDefined, memory: ofMemory };
  const tuning = layout.startsWith('bare') ? untuned : layout.includes('v1') ? onV1 : asDefined;
  return [new TunedGuest(layout, vcpus, tuning), new TunedGuest(layout, vcpus, tuning), tuning];
}

const EVENTS = [
  'restart',
  'save-restore',
  'vcpu',
  'memory',
  'device',
  'disk',
  'no-disk',
  'interface',
  'lose-journal',
  'foreign',
] as const;
type Step = EffectiveClass | (typeof EVENTS)[number];

function happen(event: (typeof EVENTS)[number], to: TunedGuest, tuning: Tuning): void {
  const another = fakeDisk({ target: 'vdb' });
  if (event === 'restart') to.start(tuning);
  if (event === 'save-restore' || event === 'lose-journal') to.saveAndRestore();
  if (event === 'vcpu') to.plugVcpu();
  if (event === 'memory') to.plugMemory();
  if (event === 'device') to.plugDevice();
  if (event === 'no-disk') to.unplug('vdb');
  if (to.layout.startsWith('bare')) return;
  if (event === 'disk') to.plug({ disk: another });
  if (event === 'interface') to.plug({ interface: { ...VNET1, outbound: { averageKbytes: 77 } } });
  if (event === 'foreign') to.limitWrites(4_321);
}

test('the plan of a plan’s result is empty, with all controls on every layout', () => {
  fc.assert(
    fc.property(guest, fc.array(someClass, { minLength: 1, maxLength: 4 }), (given, classes) => {
      const [model] = twins(given);
      for (const wanted of classes) {
        model.settle(wanted);
        for (const { control, desired, states } of model.plan(wanted).controls) {
          if (desired.kind !== 'set') continue;
          for (const { setting, actual } of states) assert.equal(actual, setting.text, `${control.id} ${setting.key}`);
        }
      }
    }),
    { numRuns: 150 },
  );
});

test('a limit that would have the guest killed once something was plugged in is given back, on every layout', () => {
  for (const layout of LAYOUTS) {
    for (const plug of ['memory', 'device'] as const) {
      const [model, own, tuning] = twins({ layout, vcpus: 1, definition: defaultTuning() });
      const wanted = classFrom('memory: { limit: 1500MiB, swap: 0 }');
      model.settle(wanted);
      const standing = () =>
        Object.entries(model.values()).filter(([path]) => /memory\.(?:max|memsw\.max)$/.test(path));
      assert.ok(
        standing().some(([, text]) => text === String(1500 * MIB)),
        layout,
      );
      for (const each of [model, own]) happen(plug, each, tuning);
      model.settle(wanted);
      assert.ok(
        standing().every(([, text]) => text === 'max'),
        `${layout}, ${plug}: ${standing().join()}`,
      );
      model.settle(null, 'release');
      assert.deepEqual(model.values(), own.values());
    }
  }
});

test('what a guest was held to before leaves nothing behind', () => {
  fc.assert(
    fc.property(guest, fc.array(someClass, { minLength: 1, maxLength: 3 }), someClass, (given, before, wanted) => {
      const [model, own] = twins(given);
      for (const one of before) model.settle(one);
      // A limit that is refused for the guest's use changes nothing: there is none here.
      for (const each of [model, own]) each.settle(wanted);
      assert.deepEqual(model.values(), own.values());
    }),
    { numRuns: 150 },
  );
});

test('apply, whatever happens to the guest, then release gives every value back, on every layout', () => {
  const step: fc.Arbitrary<Step> = fc.oneof(someClass, fc.constantFrom(...EVENTS));
  fc.assert(
    fc.property(guest, someClass, fc.array(step, { maxLength: 8 }), (given, first, steps) => {
      const [model, own, tuning] = twins(given);
      let wanted = first;
      model.settle(wanted);
      for (const one of steps) {
        if (typeof one !== 'string') wanted = one;
        else for (const each of [model, own]) happen(one, each, tuning);
        // The originals travel in the guest's metadata; nothing travels for one that libvirt does not run.
        if (one === 'lose-journal' && !given.layout.startsWith('bare')) model.journal.clear();
        model.settle(wanted);
      }
      model.settle(null, 'release');
      assert.deepEqual(model.values(), own.values());
      assert.equal(model.journal.size, 0);
    }),
    { numRuns: 200 },
  );
});
