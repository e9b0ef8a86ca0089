/** Properties of how far groups above guests are protected, over random trees, guests and hands of others. */
import assert from 'node:assert/strict';
import { basename, dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Desired } from '../../../src/controls/control.js';
import {
  type Claim,
  claimsOf,
  levelsFor,
  type ProtectionFile,
  planSlices,
  type SlicePlan,
} from '../../../src/reconcile/host-controls/slice-plan.js';
import type { JournalRecord } from '../../../src/reconcile/journal-format.js';
import { asks, GIB, given, guestIn, MIB, ROOT } from './slice-host.js';

const HOST_BYTES = 64 * GIB;
/** Each slice and the one above it. */
const ABOVE: Readonly<Record<string, string>> = {
  '/cg/machine.slice': '/cg',
  '/cg/machine.slice/machine-a.slice': '/cg/machine.slice',
  '/cg/machine.slice/machine-b.slice': '/cg/machine.slice',
  '/cg/machine.slice/machine-a.slice/machine-a-x.slice': '/cg/machine.slice/machine-a.slice',
  '/cg/lone.partition': '/cg',
};
const SLICES = Object.keys(ABOVE);

function ancestorsFrom(slice: string): string[] {
  const ancestors: string[] = [];
  for (let at: string | undefined = slice; at !== undefined && at !== '/cg'; at = ABOVE[at]) ancestors.push(at);
  return ancestors;
}

const file = fc.constantFrom<ProtectionFile>('memory.low', 'memory.min');
const claim = (most: number): fc.Arbitrary<Claim> =>
  fc
    .record({ file, slice: fc.constantFrom(...SLICES), pages: fc.integer({ min: 1, max: most / 4096 }) })
    .map(({ slice, pages, ...rest }) => ({ ...rest, bytes: pages * 4096, ancestors: ancestorsFrom(slice) }));
const claims = (most: number, length: number) => fc.array(claim(most), { maxLength: length });

/** Never a whole number of GiB, so that nothing of theirs looks like ours. */
const theirs = fc.integer({ min: 0, max: 20_000 }).map((mib) => String(mib % 1024 === 0 ? 0 : mib * MIB));

describe('levels', () => {
  test('are whole GiB, at least what is below and less than a step more, at most the host', () => {
    fc.assert(
      fc.property(claims(40 * GIB, 12), (wanted) => {
        const levels = levelsFor(wanted, HOST_BYTES);
        for (const [path, bytes] of levels) {
          assert.ok(bytes === HOST_BYTES || bytes % GIB === 0);
          const own = wanted.filter((one) => join(one.ancestors[0] ?? '', one.file) === path);
          const children = [...levels].filter(
            ([below]) => basename(below) === basename(path) && ABOVE[dirname(below)] === dirname(path),
          );
          const sum = own.reduce((all, one) => all + one.bytes, 0) + children.reduce((all, [, one]) => all + one, 0);
          if (sum > HOST_BYTES) assert.equal(bytes, HOST_BYTES);
          else assert.ok(bytes >= sum && bytes < sum + GIB, `${path}: ${bytes} for ${sum}`);
        }
        assert.ok(wanted.every((one) => one.ancestors.every((path) => levels.has(join(path, one.file)))));
      }),
    );
  });

  test('the kernel then protects every guest in full, however much memory all of them use', () => {
    fc.assert(
      fc.property(claims(4 * GIB, 10), fc.integer({ min: 0, max: 40 }), (wanted, usedGib) => {
        const levels = levelsFor(wanted, HOST_BYTES);
        for (const one of wanted) assert.equal(protectedBytes(one, wanted, levels, usedGib * GIB), one.bytes);
      }),
    );
  });

  test('a guest without hard guarantee needs nothing of memory.min, and one with nothing of memory.low', () => {
    const ancestors = ancestorsFrom('/cg/machine.slice/machine-a.slice');
    const of = (one: ProtectionFile): string[] => [...levelsFor([{ file: one, bytes: 1, ancestors }], 8 * GIB).keys()];
    assert.ok(of('memory.low').every((path) => path.endsWith('memory.low')));
    assert.ok(of('memory.min').every((path) => path.endsWith('memory.min')));
  });
});

/**
 * What the kernel protects of a guest that uses `extraBytes` more than its guarantee, and all others as well:
 * mm/page_counter.c, effective_protection, without recursion.
 */
function protectedBytes(
  guest: Claim,
  all: readonly Claim[],
  levels: ReadonlyMap<string, number>,
  extraBytes: number,
): number {
  const same = all.filter((one) => one.file === guest.file);
  const usage = (slice: string): number =>
    same.filter(({ ancestors }) => ancestors.includes(slice)).reduce((sum, one) => sum + one.bytes + extraBytes, 0);
  const claimed = (slice: string): number => Math.min(usage(slice), levels.get(join(slice, guest.file)) ?? 0);
  const share = (own: number, siblings: number, parent: number): number =>
    siblings > parent ? (own * parent) / siblings : own;
  const belowOf = (parent: string): number =>
    SLICES.filter((slice) => ABOVE[slice] === parent).reduce((sum, slice) => sum + claimed(slice), 0) +
    same.filter(({ ancestors }) => ancestors[0] === parent).reduce((sum, one) => sum + one.bytes, 0);
  let effective = Number.POSITIVE_INFINITY;
  for (const slice of guest.ancestors.toReversed()) {
    const parent = ABOVE[slice] ?? '/cg';
    // Right below the root a group has what it is set to.
    effective = parent === '/cg' ? claimed(slice) : share(claimed(slice), belowOf(parent), effective);
  }
  return share(guest.bytes, belowOf(guest.ancestors[0] ?? ''), effective);
}

/** A host as plain data, and who set what on it. */
class Model {
  readonly kernel = new Map<string, string>();
  readonly theirs = new Map<string, string>();
  record: JournalRecord | null = null;
  mayLower = true;

  constructor(initial: readonly string[]) {
    SLICES.flatMap((slice) => [join(slice, 'memory.low'), join(slice, 'memory.min')]).forEach((path, at) => {
      this.somebodySets(path, initial[at % initial.length] ?? '0');
    });
  }

  somebodySets(path: string, text: string): void {
    this.kernel.set(path, text);
    this.theirs.set(path, text);
  }

  plan(wanted: readonly Claim[]): SlicePlan {
    return planSlices({
      levels: levelsFor(wanted, HOST_BYTES),
      record: this.record,
      bootId: 'boot',
      read: (path) => this.kernel.get(path) ?? null,
      gone: () => null,
      held: () => false,
      unsettled: () => false,
      mayLower: this.mayLower,
      leaving: 'leave',
    });
  }

  /** Crashes before the write of that number. */
  apply(wanted: readonly Claim[], crashBefore = Number.POSITIVE_INFINITY): SlicePlan {
    const plan = this.plan(wanted);
    this.record = plan.record;
    plan.writes.slice(0, crashBefore).forEach(({ path, from, text }) => {
      assert.equal(this.kernel.get(path), from);
      this.kernel.set(path, text);
    });
    if (crashBefore > plan.writes.length) this.record = this.plan(wanted).record;
    return plan;
  }
}

type Step =
  | { readonly kind: 'guests'; readonly wanted: readonly Claim[] }
  | { readonly kind: 'crash'; readonly wanted: readonly Claim[]; readonly before: number }
  | { readonly kind: 'somebody'; readonly slice: string; readonly file: ProtectionFile; readonly text: string };
const step: fc.Arbitrary<Step> = fc.oneof(
  claims(6 * GIB, 6).map((wanted) => ({ kind: 'guests', wanted }) as const),
  fc
    .record({ wanted: claims(6 * GIB, 6), before: fc.integer({ min: 0, max: 6 }) })
    .map((one) => ({ kind: 'crash', ...one }) as const),
  fc
    .record({ slice: fc.constantFrom(...SLICES), file, text: theirs })
    .map((one) => ({ kind: 'somebody', ...one }) as const),
);
const history = fc.record({
  initial: fc.array(theirs, { minLength: 1, maxLength: 10 }),
  steps: fc.array(step, { maxLength: 12 }),
});

describe('the plan', () => {
  test('whatever happened, after a look every level stands, none is below what others set, and nothing is left to do', () => {
    fc.assert(
      fc.property(history, claims(6 * GIB, 6), ({ initial, steps }, last) => {
        const model = new Model(initial);
        run(model, steps);
        model.apply(last);
        const levels = levelsFor(last, HOST_BYTES);
        for (const [path, text] of model.kernel) {
          assert.equal(Number(text), Math.max(levels.get(path) ?? 0, Number(model.theirs.get(path))), path);
        }
        const rest = model.plan(last);
        assert.deepEqual(rest.writes, []);
        assert.deepEqual(rest.record, model.record);
      }),
      { numRuns: 400 },
    );
  });

  test('when no guest asks any more, what others set last stands again and nothing is on record', () => {
    fc.assert(
      fc.property(history, ({ initial, steps }) => {
        const model = new Model(initial);
        run(model, steps);
        model.apply([]);
        assert.deepEqual(model.kernel, model.theirs);
        assert.equal(model.record, null);
      }),
      { numRuns: 400 },
    );
  });

  test('at no write is a group more protected than the one above it gives', () => {
    fc.assert(
      fc.property(claims(6 * GIB, 8), claims(6 * GIB, 8), (before, more) => {
        const model = new Model(['0']);
        for (const wanted of [before, [...before, ...more], before, []]) {
          const plan = model.plan(wanted);
          model.record = plan.record;
          for (const { path, text } of plan.writes) {
            model.kernel.set(path, text);
            assertNested(model.kernel);
          }
          model.record = model.plan(wanted).record;
        }
      }),
    );
  });

  test('while not all guests are known nothing is lowered', () => {
    fc.assert(
      fc.property(claims(6 * GIB, 8), claims(6 * GIB, 3), (before, known) => {
        const model = new Model(['0']);
        model.apply(before);
        const stood = new Map(model.kernel);
        model.mayLower = false;
        model.apply(known);
        for (const [path, text] of model.kernel) assert.ok(Number(text) >= Number(stood.get(path)));
        model.mayLower = true;
        model.apply([]);
        assert.deepEqual(model.kernel, model.theirs);
      }),
    );
  });
});

function run(model: Model, steps: readonly Step[]): void {
  for (const one of steps) {
    if (one.kind === 'guests') model.apply(one.wanted);
    else if (one.kind === 'crash') model.apply(one.wanted, one.before);
    else model.somebodySets(join(one.slice, one.file), one.text);
  }
}

function assertNested(kernel: ReadonlyMap<string, string>): void {
  const sum = (parent: string, name: string): number =>
    SLICES.filter((slice) => ABOVE[slice] === parent).reduce(
      (all, one) => all + Number(kernel.get(join(one, name))),
      0,
    );
  for (const slice of SLICES) {
    for (const name of ['memory.low', 'memory.min']) {
      const own = Number(kernel.get(join(slice, name)));
      assert.ok(own === HOST_BYTES || sum(slice, name) <= own, `${slice} ${name}`);
    }
  }
}

describe('what counts', () => {
  const guest = guestIn('db', ['machine.slice']);
  const ancestors = [join(ROOT, 'machine.slice')];
  const soft = (bytes: number): Claim[] => [{ file: 'memory.low', bytes, ancestors }];
  const entry = { domain: guest, desired: asks(2 * GIB), record: null, handsOff: null };

  test('what a class asks, soft or hard', () => {
    assert.deepEqual(claimsOf(entry), soft(2 * GIB));
    const hard = claimsOf({ ...entry, desired: asks(GIB, 'memory.min') });
    assert.deepEqual(hard, [{ file: 'memory.min', bytes: GIB, ancestors }]);
  });

  test('nothing of a guest that is released, or unmanaged, or on v1', () => {
    assert.deepEqual(claimsOf({ ...entry, handsOff: 'released' }), []);
    assert.deepEqual(claimsOf({ ...entry, desired: { kind: 'unmanaged' }, record: given(guest, GIB) }), []);
    const memory = guest.groups.memory;
    assert.ok(memory !== undefined);
    assert.deepEqual(claimsOf({ ...entry, domain: { ...guest, groups: { memory: { ...memory, version: 1 } } } }), []);
  });

  test('what was given to a guest that is held, cannot be acted on, or whose class is not known', () => {
    const record = given(guest, 3 * GIB);
    assert.deepEqual(claimsOf({ ...entry, record, handsOff: 'held' }), soft(3 * GIB));
    assert.deepEqual(claimsOf({ ...entry, record, domain: { ...guest, obstacle: 'quarantined' } }), soft(3 * GIB));
    assert.deepEqual(claimsOf({ ...entry, record, desired: null }), soft(3 * GIB));
    const { asked } = asks(GIB) as Desired & { kind: 'set' };
    const refused = { kind: 'refused', reason: 'more than the host has', asked } as const;
    assert.deepEqual(claimsOf({ ...entry, record, desired: refused }), soft(3 * GIB));
  });

  test('nothing that was given to an earlier instance of the guest', () => {
    const record = { ...given(guest, 3 * GIB), instance: 'another' };
    assert.deepEqual(claimsOf({ ...entry, record, desired: null }), []);
  });
});
