/** What a guest is owed of the CPU: known cases, and what must hold of all. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { entitlementOf, meanOfLesser, type VcpuSeconds } from '../../src/signals/cpu-entitled.js';

const busy = (used: number, wait: number, throttled = 0): VcpuSeconds => ({ used, wait, throttled });
const IDLE = busy(0, 0);

function near(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-9, `${actual} is not ${expected}`);
}

describe('known cases, a slice of a second', () => {
  test('two busy vCPUs of four with a guarantee of two cores are owed two', () => {
    const owed = entitlementOf([busy(0.5, 0.5), busy(0.7, 0.3), IDLE, IDLE], 1, 2, null);
    near(owed.activeSeconds, 1);
    near(owed.demandedSeconds, 2);
    near(owed.entitledSeconds, 2);
    near(owed.shortfallSeconds, 0.8);
  });
  test('one busy vCPU of two, guaranteed half a core, with a quarter of it', () => {
    const owed = entitlementOf([busy(0.25, 0.75), IDLE], 1, 0.5, null);
    near(owed.entitledSeconds, 0.5);
    near(owed.shortfallSeconds, 0.25);
  });
  test('one that seldom asks and waits its turn has lost nothing of a small guarantee', () => {
    near(entitlementOf([busy(0.01, 0.01)], 1, 0.1, null).shortfallSeconds, 0);
  });
  test('one that sleeps most of the time has lost hardly more than it used, however long it waits for its turn', () => {
    near(entitlementOf([busy(0.001, 0.15)], 1, 0.8, null).shortfallSeconds, 0.001 / 0.83 - 0.001);
    near(entitlementOf([busy(0.2, 0.4)], 1, 1, null).shortfallSeconds, 0.2 / 0.58 - 0.2);
  });
  test('one that has not had its turn at all wanted all of its waiting', () => {
    near(entitlementOf([busy(0, 0.3)], 1, 1, null).shortfallSeconds, 0.3);
  });
  test('throttled half the time and crowded out the other half: short by what the other half lacks', () => {
    near(entitlementOf([busy(0.6, 0.9, 0.5)], 2, 0.5, 0.5).shortfallSeconds, 0.4);
  });
  test('one busy vCPU of four that waits a little and gets its whole quota has lost nothing', () => {
    near(entitlementOf([busy(0.25, 0.01, 0.24), IDLE, IDLE, IDLE], 1, 2, 0.5).shortfallSeconds, 0);
  });
  test('without a guarantee nobody is owed anything', () => {
    assert.equal(entitlementOf([busy(0.1, 0.9)], 1, 0, null).entitledSeconds, 0);
  });
});

const share = fc.double({ min: 0, max: 1, noNaN: true });
const vcpu = fc.tuple(share, share, share, share).map(([activity, a, b, c]) => {
  const sum = a + b + c || 1;
  return busy((activity * a) / sum, (activity * b) / sum, (activity * c) / sum);
});
const guest = fc.array(vcpu, { minLength: 1, maxLength: 8 });
const cores = fc.double({ min: 0, max: 8, noNaN: true });
const limit = fc.option(fc.double({ min: 0.01, max: 1, noNaN: true }));
const HAIR = 1e-9;

test('shortfall ≤ entitled ≤ demanded, ≤ guaranteed × active, and never more than was waited', () => {
  fc.assert(
    fc.property(guest, cores, limit, fc.double({ min: 0.1, max: 60, noNaN: true }), (shares, g, perVcpu, seconds) => {
      const vcpus = shares.map((one) => busy(one.used * seconds, one.wait * seconds, one.throttled * seconds));
      const owed = entitlementOf(vcpus, seconds, g, perVcpu);
      const used = vcpus.reduce((sum, one) => sum + one.used, 0);
      const wait = vcpus.reduce((sum, one) => sum + one.wait, 0);
      const hair = HAIR * seconds;
      assert.ok(owed.shortfallSeconds >= 0 && owed.shortfallSeconds <= owed.entitledSeconds + hair);
      assert.ok(owed.entitledSeconds <= owed.demandedSeconds + hair);
      assert.ok(owed.entitledSeconds <= g * owed.activeSeconds + hair);
      assert.ok(owed.shortfallSeconds <= wait + hair);
      const throttled = vcpus.reduce((sum, one) => sum + one.throttled, 0);
      assert.ok(owed.activeSeconds <= Math.min(seconds, owed.demandedSeconds + throttled) + hair);
      if (used >= g * seconds) assert.ok(owed.shortfallSeconds <= hair);
    }),
  );
});

test('a higher guarantee, or no limit, never lowers what is owed', () => {
  fc.assert(
    fc.property(guest, cores, cores, fc.double({ min: 0.01, max: 1, noNaN: true }), (vcpus, one, other, perVcpu) => {
      const [less, more] = [Math.min(one, other), Math.max(one, other)];
      const owed = (g: number, quota: number | null) => entitlementOf(vcpus, 1, g, quota).shortfallSeconds;
      assert.ok(owed(less, null) <= owed(more, null) + HAIR);
      assert.ok(owed(less, perVcpu) <= owed(less, null) + HAIR);
    }),
  );
});

test('the mean of the lesser is that over all combinations, between always together and never more than one needs', () => {
  fc.assert(
    fc.property(fc.array(share, { minLength: 1, maxLength: 7 }), cores, (probabilities, g) => {
      let brute = 0;
      for (let set = 0; set < 2 ** probabilities.length; set++) {
        let [chance, k] = [1, 0];
        probabilities.forEach((p, index) => {
          const wants = (set >> index) % 2 === 1;
          chance *= wants ? p : 1 - p;
          k += Number(wants);
        });
        brute += chance * Math.min(g, k);
      }
      assert.ok(Math.abs(meanOfLesser(g, probabilities) - brute) < 1e-9);
      // As if all wanted to run at the same times: the least that any way of falling together gives.
      const together = [...probabilities].sort((a, b) => b - a);
      const least = together.reduce((sum, p, k) => sum + (p - (together[k + 1] ?? 0)) * Math.min(g, k + 1), 0);
      assert.ok(least <= brute + 1e-9);
    }),
  );
});
