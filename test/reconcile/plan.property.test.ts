/** Properties of planning over random guests, classes and histories. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EffectiveClass } from '../../src/policy/types.js';
import { orderWrites, widens } from '../../src/reconcile/order.js';
import { coresAllowed } from '../../src/text/cpu-max.js';
import { classWith, GuestModel } from './guest-model.js';

const fraction = fc.integer({ min: 1, max: 100 }).map((percent) => percent / 100);
const someClass: fc.Arbitrary<EffectiveClass> = fc
  .record({ limit: fraction, guarantee: fraction, weight: fc.integer({ min: 1, max: 10_000 }) }, { requiredKeys: [] })
  .map(classWith);
const cputune = fc.record(
  { shares: fc.integer({ min: 2, max: 10_000 }), vcpuQuotaUsec: fc.integer({ min: 1000, max: 90_000 }) },
  { requiredKeys: [] },
);
const guest = fc.record({
  version: fc.constantFrom(1 as const, 2 as const),
  vcpus: fc.integer({ min: 1, max: 6 }),
  definition: cputune,
});
type Guest = typeof guest extends fc.Arbitrary<infer G> ? G : never;
const modelOf = ({ version, vcpus, definition }: Guest): GuestModel => new GuestModel(version, vcpus, definition);

test('the plan of a plan’s result is empty', () => {
  fc.assert(
    fc.property(guest, fc.array(someClass, { minLength: 1, maxLength: 4 }), (given, classes) => {
      const model = modelOf(given);
      for (const wanted of classes) {
        model.apply(wanted);
        for (const control of model.plan(wanted).controls) {
          assert.deepEqual(control.writes, []);
          assert.equal(control.record, null);
          assert.equal(control.tell, null);
        }
      }
    }),
    { numRuns: 200 },
  );
});

type Step =
  | { readonly kind: 'policy'; readonly wanted: EffectiveClass }
  | { readonly kind: 'restart' | 'save-restore' | 'plug' | 'lose-journal' };
const step: fc.Arbitrary<Step> = fc.oneof(
  someClass.map((wanted) => ({ kind: 'policy', wanted }) as const),
  fc.constantFrom('restart', 'save-restore', 'plug', 'lose-journal').map((kind) => ({ kind }) as Step),
);

test('apply, whatever happens to the guest, then release is the identity', () => {
  fc.assert(
    fc.property(guest, someClass, fc.array(step, { maxLength: 8 }), (given, first, steps) => {
      const { definition } = given;
      const [model, own] = [modelOf(given), modelOf(given)];
      let wanted: EffectiveClass = first;
      model.apply(wanted);
      for (const one of steps) {
        if (one.kind === 'policy') wanted = one.wanted;
        if (one.kind === 'restart') model.start(definition);
        if (one.kind === 'save-restore') model.saveAndRestore();
        if (one.kind === 'plug') {
          model.plugVcpu();
          own.plugVcpu();
        }
        // The originals travel in the guest's metadata: a save and restore after the loss brings them back.
        if (one.kind === 'lose-journal') {
          model.saveAndRestore();
          model.journal.clear();
        }
        model.apply(wanted);
      }
      model.apply(null, 'release');
      model.apply(null, 'release');
      assert.deepEqual(model.values(), own.values());
      assert.equal(model.journal.size, 0);
      assert.equal(model.originalsXml, null);
    }),
    { numRuns: 400 },
  );
});

test('release leaves what someone else has put there since', () => {
  fc.assert(
    fc.property(guest, fraction, fc.integer({ min: 1000, max: 99_000 }), (given, limit, foreignUsec) => {
      const model = modelOf(given);
      model.apply(classWith({ limit }));
      const foreign = `${foreignUsec} 50000`;
      model.kernel.set(model.vcpuPath(0), foreign);
      model.apply(null, 'release');
      assert.equal(model.kernel.get(model.vcpuPath(0)), foreign);
    }),
    { numRuns: 300 },
  );
});

test('a guest outside what the daemon may manage is left alone, whatever its metadata says', () => {
  fc.assert(
    fc.property(guest, fraction, (given, limit) => {
      const model = modelOf(given);
      model.apply(classWith({ limit }));
      model.saveAndRestore();
      model.journal.clear();
      model.mayAdopt = false;
      for (const occasion of ['policy', 'release'] as const) assert.deepEqual(model.plan(null, occasion).controls, []);
    }),
    { numRuns: 100 },
  );
});

test('widening parents first and narrowing children first never puts a child over its parent', () => {
  const level = fc.record({ from: fc.integer({ min: 1, max: 100 }), to: fc.integer({ min: 1, max: 100 }) });
  const text = (cores: number): string => `${cores * 1000} 100000`;
  fc.assert(
    fc.property(fc.array(level, { minLength: 2, maxLength: 6 }), (levels) => {
      // A valid tree before and after: no level is over the one above it.
      const bounded = (pick: 'from' | 'to'): number[] => {
        let least = Number.POSITIVE_INFINITY;
        return levels.map((one) => {
          least = Math.min(least, one[pick]);
          return least;
        });
      };
      const [before, after] = [bounded('from'), bounded('to')];
      const writes = before.map((from, depth) => {
        const to = text(after[depth] ?? 0);
        return { depth, to, widens: widens(text(from), to, coresAllowed) };
      });
      const now = [...before];
      for (const write of orderWrites(writes)) {
        now[write.depth] = (coresAllowed(write.to) ?? 0) * 100;
        for (let depth = 1; depth < now.length; depth++) {
          assert.ok((now[depth] ?? 0) <= (now[depth - 1] ?? 0) + 1e-9, `child over parent at depth ${depth}`);
        }
        const effective = Math.min(...now);
        assert.ok(effective >= Math.min(Math.min(...before), Math.min(...after)) - 1e-9);
      }
    }),
    { numRuns: 1000 },
  );
});
