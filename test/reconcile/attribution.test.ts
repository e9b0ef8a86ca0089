import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { THROTTLE_FIELDS, type ThrottleField } from '../../src/domains/types.js';
import type { TuneCall } from '../../src/host/libvirt/client.js';
import { Attribution } from '../../src/reconcile/attribution.js';
import { applyTune, defaultTuning, fakeDisk } from '../fakes/fake-tuning.js';

const TUNING = defaultTuning({ disks: [fakeDisk({ target: 'vda' }), fakeDisk({ target: 'vdb' })] });
const announcedOf = (call: TuneCall): Readonly<Record<string, string>> | null => {
  const tuned = applyTune(TUNING, 4, call);
  return tuned.ok ? tuned.announced : assert.fail(tuned.message);
};

const call: fc.Arbitrary<TuneCall> = fc.oneof(
  fc
    .record({ cpu_shares: fc.bigInt(2n, 10_000n), vcpu_quota: fc.bigInt(-1n, 90_000n) }, { requiredKeys: [] })
    .filter((parameters) => Object.keys(parameters).length > 0)
    .map((parameters) => ({ call: 'scheduler', parameters }) as const),
  fc
    .record({
      disk: fc.constantFrom('vda', 'vdb'),
      // Amounts alone: a burst's length means nothing without a burst, and is not sent.
      fields: fc.dictionary(fc.constantFrom(...THROTTLE_FIELDS.slice(0, 6)), fc.integer({ min: 1, max: 1e9 })),
      group: fc.option(fc.constantFrom('g', 'fast lane')),
    })
    .map(({ disk, fields, group }) => {
      const limited = Object.keys(fields).length > 0;
      return {
        call: 'throttle',
        disk,
        throttle: { fields: fields as Partial<Record<ThrottleField, number>>, group: limited ? group : null },
      } as const;
    }),
  fc
    .record({
      vcpu: fc.integer({ min: 0, max: 3 }),
      cpus: fc.uniqueArray(fc.integer({ min: 0, max: 9 }), { minLength: 1 }),
    })
    .map(({ vcpu, cpus }) => ({ call: 'pin', vcpu, cpus: cpus.toSorted((a, b) => a - b) }) as const),
);

test('what libvirt announces of our own calls is ours, of all kinds, in any order', () => {
  fc.assert(
    fc.property(fc.array(call, { minLength: 1, maxLength: 6 }), (calls) => {
      const attribution = new Attribution();
      attribution.telling('u', calls);
      // A later call about the same is the one that counts.
      const last = new Map(
        calls.map((one) => [JSON.stringify(Object.keys(announcedOf(one) ?? {})) + diskOf(one), one]),
      );
      for (const one of last.values()) {
        const later = calls.slice(calls.indexOf(one) + 1).some((other) => overlap(one, other));
        if (!later)
          assert.equal(attribution.announced('u', announcedOf(one) ?? {}, 0), false, JSON.stringify(announcedOf(one)));
      }
      assert.equal(attribution.by('u', 0), 'unknown');
    }),
    { numRuns: 200 },
  );
});

function diskOf(one: TuneCall): string {
  return one.call === 'throttle' ? one.disk : '';
}

function overlap(one: TuneCall, other: TuneCall): boolean {
  const [mine, theirs] = [announcedOf(one) ?? {}, announcedOf(other) ?? {}];
  return diskOf(one) === diskOf(other) && Object.keys(mine).some((name) => name in theirs);
}

test('another value, another disk’s value and a value of which we told nothing are somebody else’s', () => {
  const attribution = new Attribution();
  const throttle = { fields: { total_iops_sec: 500 }, group: null };
  attribution.telling('u', [{ call: 'throttle', disk: 'vda', throttle }]);
  const announced = announcedOf({ call: 'throttle', disk: 'vda', throttle }) ?? {};
  assert.equal(attribution.announced('u', announced, 0), false);
  for (const foreign of [
    { ...announced, 'blkdeviotune.disk': 'vdb' },
    { ...announced, 'blkdeviotune.total_iops_sec': '501' },
    { ...announced, 'blkdeviotune.read_iops_sec': '1' },
    { ...announced, 'blkdeviotune.group_name': 'g' },
    { 'cputune.vcpu_quota': '50000' },
    { 'cputune.vcpupin0': '0' },
    { 'cputune.emulatorpin': '0' },
  ]) {
    assert.equal(attribution.announced('u', foreign, 0), true, JSON.stringify(foreign));
  }
  assert.equal(attribution.announced('another guest', announced, 0), true);
});

test('libvirt is named for what is near in time, before and after', () => {
  const attribution = new Attribution();
  attribution.announced('u', { 'cputune.cpu_shares': '7' }, 10_000);
  assert.deepEqual(
    [7_999, 8_000, 10_000, 12_000, 12_001].map((atMs) => attribution.by('u', atMs)),
    ['unknown', 'libvirt', 'libvirt', 'libvirt', 'unknown'],
  );
  assert.equal(attribution.by('another', 10_000), 'unknown');
  attribution.forget('u');
  assert.equal(attribution.by('u', 10_000), 'unknown');
});

test('what libvirt announces nothing of needs nothing to be remembered', () => {
  const attribution = new Attribution();
  const silent: readonly TuneCall[] = [
    { call: 'memory', parameters: { hard_limit: 1n } },
    { call: 'blkio', parameters: { weight: 200 } },
    { call: 'bandwidth', device: 'vnet0', inbound: null },
  ];
  attribution.telling('u', silent);
  assert.equal(attribution.announced('u', {}, 0), false);
});
