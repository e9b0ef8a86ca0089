/** Verdicts over the labels of a host: each kind of violation by example, and generated hosts against a slow oracle. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type GuestLabel, imageNote, judgeLabels, OTHERS_MAX, VIOLATIONS } from '../../src/svirt/judge.js';
import { formatCategories, parseLabel } from '../../src/svirt/label.js';
import { cpuUsec, PROCESS, seeded, someGuest, someImage } from './some-labels.js';

function reasons(guests: readonly GuestLabel[], name: string): string[] {
  return (judgeLabels(guests).get(`uuid-${name}`) ?? assert.fail(`no verdict on ${name}`)).map(({ reason }) => reason);
}

const OTHER = someGuest('other', 's0:c500,c501');
const typed = (type: string, level = 's0:c1,c2'): Partial<GuestLabel> => ({
  raw: `system_u:system_r:${type}:${level}`,
});

describe('what the audit finds', () => {
  const alone: [string, GuestLabel, string[]][] = [
    ['a pair', someGuest('a', 's0:c1,c2'), []],
    ['a single category', someGuest('a', 's0:c5'), []],
    ['the label of an emulated guest', someGuest('a', null, typed('svirt_tcg_t')), []],
    ['no label that could be read', someGuest('a', null), ['unreadable']],
    ['a profile of AppArmor', someGuest('a', null, { raw: 'libvirt-1 (enforce)' }), ['malformed']],
    ['a label without level', someGuest('a', null, { raw: PROCESS }), ['malformed']],
    ['an empty label', someGuest('a', null, { raw: '\0' }), ['malformed']],
    [
      'unconfined_t',
      someGuest('a', null, { raw: 'unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023' }),
      ['unconfined', 'full-range'],
    ],
    ['the type of libvirtd', someGuest('a', null, typed('virtd_t')), ['unconfined']],
    ['a type whose name says it', someGuest('a', null, typed('unconfined_qemu_t')), ['unconfined']],
    [
      'a type that is not confined, though asked for',
      someGuest('a', null, { ...typed('unconfined_t'), allowedTypes: ['unconfined_t'] }),
      ['unconfined'],
    ],
    ['the type of another service', someGuest('a', null, typed('httpd_t')), ['unknown-type']],
    ['a type of its own', someGuest('a', null, { ...typed('gold_t'), allowedTypes: ['gold_t'] }), []],
    ['another type than asked for', someGuest('a', 's0:c1,c2', { allowedTypes: ['gold_t'] }), ['wrong-type']],
    ['any type of guests where none is asked for', someGuest('a', 's0:c1,c2', { allowedTypes: [] }), []],
    ['s0 alone', someGuest('a', 's0'), ['no-categories']],
    ['the full range', someGuest('a', 's0-s0:c0.c1023'), ['full-range']],
    ['all categories', someGuest('a', 's0:c0.c1023'), ['full-range']],
    ['a small range', someGuest('a', 's0-s0:c1,c2'), ['full-range']],
    ['three categories', someGuest('a', 's0:c1.c3'), ['too-many-categories']],
    ['the assigned pair', someGuest('a', 's0:c1,c2', { wanted: [2, 1] }), []],
    ['another pair than assigned', someGuest('a', 's0:c1,c3', { wanted: [1, 2] }), ['wrong-categories']],
    [
      'nothing where a pair is assigned',
      someGuest('a', 's0', { wanted: [1, 2] }),
      ['no-categories', 'wrong-categories'],
    ],
  ];
  for (const [what, guest, expected] of alone) {
    it(`${what}: ${expected.join(', ') || 'nothing'}`, () => assert.deepEqual(reasons([guest, OTHER], 'a'), expected));
  }

  const together: [string, string, string, string[], string[]][] = [
    ['two pairs that share a category', 's0:c1,c2', 's0:c2,c3', [], []],
    ['the same pair', 's0:c1,c2', 's0:c1,c2', ['duplicate'], ['duplicate']],
    ['the same pair, one as a range', 's0:c1,c2', 's0-s0:c1,c2', ['duplicate'], ['full-range', 'duplicate']],
    ['a single and a pair with it', 's0:c1', 's0:c1,c2', ['subset'], ['superset']],
    ['a pair and three with it', 's0:c1,c2', 's0:c1.c3', ['subset'], ['too-many-categories', 'superset']],
    ['a single and a wide range', 's0:c7', 's0-s0:c0.c99', ['subset'], ['full-range', 'superset']],
    ['the full range names no others', 's0:c1,c2', 's0-s0:c0.c1023', [], ['full-range']],
    ['s0 alone names no others', 's0:c1,c2', 's0', [], ['no-categories']],
    ['s0 alone twice', 's0', 's0', ['no-categories'], ['no-categories']],
  ];
  for (const [what, one, two, first, second] of together) {
    it(what, () => {
      const guests = [someGuest('a', one), OTHER, someGuest('b', two)];
      assert.deepEqual([reasons(guests, 'a'), reasons(guests, 'b'), reasons(guests, 'other')], [first, second, []]);
    });
  }

  it('types do not keep guests apart', () => {
    const guests = [someGuest('a', 's0:c1,c2'), someGuest('b', null, typed('svirt_tcg_t'))];
    assert.deepEqual(reasons(guests, 'a'), ['duplicate']);
  });

  const images: [string, ReturnType<typeof someImage>, string[]][] = [
    ['of the guest', someImage('s0:c1,c2'), []],
    ['with part of its categories', someImage('s0:c1'), []],
    ['of anyone', someImage('s0'), ['image-unprotected']],
    ['of anyone, shared', someImage('s0', { shareable: true }), []],
    ['of anyone, read-only', someImage('s0', { readOnly: true }), []],
    ['of anyone, not labelled by libvirt', someImage('s0', { managed: false }), ['image-unprotected']],
    ['content', someImage('', { raw: 'system_u:object_r:virt_content_t:s0', readOnly: true }), []],
    ['content to write to', someImage('', { raw: 'system_u:object_r:virt_content_t:s0' }), ['image-type']],
    ['restored while in use', someImage('', { raw: 'system_u:object_r:virt_image_t:s0' }), ['image-type']],
    ['of a type of its own', someImage('', { raw: 'system_u:object_r:gold_t:s0', managed: false }), []],
    ['with other categories', someImage('s0:c1,c9'), ['image-foreign']],
    ['of another guest', someImage('s0:c500,c501'), ['image-unprotected', 'image-foreign']],
    ['that another guest may write too', someImage('s0:c501', {}), ['image-unprotected', 'image-foreign']],
    ['whose label is junk', someImage('', { raw: 'junk' }), ['image-malformed']],
    ['that hangs', someImage('', { raw: null, problem: 'timeout' }), ['image-unreadable']],
    ['that is gone', someImage('', { raw: null, problem: 'missing' }), ['image-unreadable']],
    ['without a label', someImage('', { raw: null }), ['image-unreadable']],
    ['on a file system without labels', someImage('', { raw: null, problem: 'unsupported' }), []],
    ['on NFS', someImage('', { raw: 'system_u:object_r:nfs_t:s0' }), []],
  ];
  for (const [what, image, expected] of images) {
    it(`an image ${what}: ${expected.join(', ') || 'nothing'}`, () => {
      assert.deepEqual(reasons([someGuest('a', 's0:c1,c2', { images: [image] }), OTHER], 'a'), expected);
    });
  }

  it('an image is judged though the label of its guest is unknown, or of no matter', () => {
    const images = [someImage('s0:c1,c2'), someImage('s0', { target: 'vdb' })];
    assert.deepEqual(reasons([someGuest('a', null, { images })], 'a'), ['unreadable', 'image-unprotected']);
    assert.deepEqual(reasons([someGuest('a', null, { ...typed('virtd_t', 's0:c7'), images })], 'a'), [
      'unconfined',
      'image-unprotected',
    ]);
  });

  it('images without labels are told as notes', () => {
    assert.match(imageNote(someImage('', { raw: null, problem: 'unsupported' })) ?? '', /^vda \(.*keeps no labels$/);
    assert.match(imageNote(someImage('', { raw: 'system_u:object_r:nfs_t:s0' })) ?? '', /nfs_t is one label/);
    for (const image of [someImage('s0:c1'), someImage('', { raw: 'junk' }), someImage('', { raw: null })]) {
      assert.equal(imageNote(image), null);
    }
  });

  it('every kind of violation has been shown here', () => {
    const shown = new Set([...alone, ...images].flatMap(([, , expected]) => expected));
    for (const [, , , first, second] of together) for (const reason of [...first, ...second]) shown.add(reason);
    assert.deepEqual([...shown].sort(), Object.keys(VIOLATIONS).sort());
  });
});

it('only what a guest does to others is a reason to suspend it', () => {
  const reasons = Object.entries(VIOLATIONS).filter(([, { suspendHelps }]) => suspendHelps);
  assert.deepEqual(
    reasons.map(([reason]) => reason),
    ['unconfined', 'no-categories', 'full-range', 'duplicate', 'superset'],
  );
  assert.ok(reasons.every(([, { severity }]) => severity === 'critical'));
});

describe('what is said of it', () => {
  it('names the others, safely, and is the same in whatever order the host lists its guests', () => {
    const names = ['b', 'c', 'd', 'e', 'f'];
    const guests = [
      someGuest('a', 's0:c1.c3'),
      ...names.map((name) => someGuest(name, 's0:c1,c3', { name: `${name}\u001b[2J` })),
    ];
    const told = JSON.stringify([...judgeLabels(guests)].sort());
    assert.equal(JSON.stringify([...judgeLabels([...guests].reverse())].sort()), told);
    const [many, superset] = judgeLabels(guests).get('uuid-a') ?? [];
    assert.equal(many?.detail, 'system_u:system_r:svirt_t:s0:c1.c3 has 3 categories');
    assert.deepEqual(
      superset?.others,
      names.map((name) => `uuid-${name}`),
    );
    assert.equal(
      superset?.detail,
      'c1.c3: includes the categories of "b\\u001b[2J", "c\\u001b[2J", "d\\u001b[2J" and 2 others',
    );
    assert.ok(!superset?.detail.includes('\u001b'));
  });

  it('prints labels, paths and targets safely and briefly', () => {
    const images = [
      someImage('', { raw: '\u001b[2J'.repeat(1000), target: 'vd\n', path: `/\u202e${'x'.repeat(5000)}` }),
      someImage('', { raw: `u:r:${'x'.repeat(4000)}:s0` }),
    ];
    const guest = someGuest('a', null, { raw: `\n\u001b[2J${'x'.repeat(4000)}`, images });
    for (const { detail } of judgeLabels([guest]).get('uuid-a') ?? []) {
      assert.match(detail, /^[\x20-\x7e…]{10,600}$/);
    }
  });

  it(`names at most ${OTHERS_MAX} others`, () => {
    const guests = Array.from({ length: 40 }, (_, i) => someGuest(String(i).padStart(2, '0'), 's0:c1,c2'));
    const verdicts = judgeLabels(guests);
    const [first, last] = [verdicts.get('uuid-00')?.[0], verdicts.get('uuid-39')?.[0]];
    assert.deepEqual(
      first?.others,
      guests.slice(1, 1 + OTHERS_MAX).map(({ uuid }) => uuid),
    );
    assert.deepEqual(
      last?.others,
      guests.slice(0, OTHERS_MAX).map(({ uuid }) => uuid),
    );
    assert.equal(first?.detail, 'c1,c2: the categories of "01", "02", "03" and 36 others too');
  });
});

interface Case {
  readonly guest: GuestLabel;
  /** null: junk. */
  readonly categories: ReadonlySet<number> | null;
  readonly range: boolean;
}

/** Obviously right and slow: each guest against each other, with sets. */
function oracle(cases: readonly Case[]): Map<string, { reason: string; others: string[] }[]> {
  const takesPart = ({ categories }: Case): boolean =>
    categories !== null && categories.size > 0 && categories.size < 1024;
  const holds = (a: Case, b: Case): boolean => {
    for (const category of b.categories ?? []) if (!a.categories?.has(category)) return false;
    return true;
  };
  return new Map(
    cases.map((one) => {
      const found: { reason: string; others: string[] }[] = [];
      const size = one.categories?.size ?? 0;
      if (one.guest.raw === null) found.push({ reason: 'unreadable', others: [] });
      else if (one.categories === null) found.push({ reason: 'malformed', others: [] });
      else if (one.range || size === 1024) found.push({ reason: 'full-range', others: [] });
      else if (size === 0) found.push({ reason: 'no-categories', others: [] });
      else if (size > 2) found.push({ reason: 'too-many-categories', others: [] });
      const others = cases.filter((other) => other !== one && takesPart(other) && takesPart(one));
      const relations = {
        duplicate: others.filter((other) => holds(one, other) && holds(other, one)),
        superset: others.filter((other) => holds(one, other) && !holds(other, one)),
        subset: others.filter((other) => !holds(one, other) && holds(other, one)),
      };
      for (const [reason, involved] of Object.entries(relations)) {
        const uuids = involved.map(({ guest }) => guest.uuid).sort();
        if (uuids.length > 0) found.push({ reason, others: uuids.slice(0, OTHERS_MAX) });
      }
      return [one.guest.uuid, found];
    }),
  );
}

const small = fc.nat(9);
const someCategories: fc.Arbitrary<readonly number[]> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.nat(1023), fc.nat(1023)) },
  { weight: 4, arbitrary: fc.tuple(small, small) },
  { weight: 2, arbitrary: fc.tuple(small) },
  { weight: 2, arbitrary: fc.array(small, { minLength: 3, maxLength: 6 }) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.nat(1023), fc.nat(1023))
      .map(([a, b]) => Array.from({ length: Math.abs(a - b) + 1 }, (_, i) => Math.min(a, b) + i)),
  },
  { weight: 1, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.constant(Array.from({ length: 1024 }, (_, i) => i)) },
);
const junk = fc.constantFrom(
  null,
  '',
  'junk',
  PROCESS,
  `${PROCESS}:s0:c1,`,
  `${PROCESS}:s0:c9.c1`,
  `${PROCESS}:s0:c1024`,
);
/** What a label says, and how it writes it: in any order, or as the kernel does. */
const someCase = fc.oneof(
  {
    weight: 12,
    arbitrary: fc
      .tuple(someCategories, fc.boolean(), fc.integer({ min: 0, max: 7 }))
      .map(([numbers, kernel, range]) => {
        const set = new Set(numbers);
        const sorted = [...set].sort((a, b) => a - b);
        const written =
          kernel || numbers.length > 8 ? formatCategories(sorted) : numbers.map((one) => `c${one}`).join(',');
        const level = written === '' ? 's0' : `s0:${written}`;
        return { raw: `${PROCESS}:${range === 0 ? 's0-' : ''}${level}`, set, range: range === 0 && set.size > 0 };
      }),
  },
  { weight: 1, arbitrary: junk.map((raw) => ({ raw, set: null, range: false })) },
);

function agrees(labels: readonly { raw: string | null; set: Set<number> | null; range: boolean }[]): number {
  const cases = labels.map(({ raw, set, range }, i): Case => {
    const name = String((i * 7919) % 10_007).padStart(5, '0');
    return { guest: someGuest(name, null, { raw }), categories: set, range };
  });
  const expected = oracle(cases);
  const verdicts = judgeLabels(cases.map(({ guest }) => guest));
  assert.equal(verdicts.size, cases.length);
  let violations = 0;
  for (const { guest } of cases) {
    const found = (verdicts.get(guest.uuid) ?? []).map(({ reason, others }) => ({ reason, others: [...others] }));
    assert.deepEqual(found, expected.get(guest.uuid), `${guest.raw}`);
    violations += found.length;
  }
  return violations;
}

describe('generated hosts', () => {
  it('1,000 labels on one host are judged as by the oracle', () => {
    const hosts = fc.sample(fc.array(someCase, { minLength: 1000, maxLength: 1000, size: 'max' }), {
      numRuns: 3,
      seed: 11,
    });
    for (const labels of hosts) assert.ok(agrees(labels) > 500);
  });

  it('so are many small hosts', () => {
    fc.assert(
      fc.property(fc.array(someCase, { maxLength: 12 }), (labels) => {
        agrees(labels);
      }),
      { numRuns: 1000 },
    );
  });

  it('images are found unprotected and foreign as sets say', () => {
    const few = fc.array(fc.nat(5), { maxLength: 3 });
    fc.assert(
      fc.property(fc.array(fc.tuple(few, few), { minLength: 1, maxLength: 8 }), (pairs) => {
        const level = (numbers: number[]): string =>
          numbers.length === 0 ? 's0' : `s0:${numbers.map((c) => `c${c}`)}`;
        const guests = pairs.map(([own, image], i) =>
          someGuest(String(i), level(own), { images: [someImage(level(image))] }),
        );
        const holds = (own: number[], image: number[]): boolean => image.every((category) => own.includes(category));
        for (const [i, [own, image]] of pairs.entries()) {
          const open = image.length === 0 || pairs.some(([other], j) => j !== i && holds(other, image));
          const expected = [...(open ? ['image-unprotected'] : []), ...(holds(own, image) ? [] : ['image-foreign'])];
          assert.deepEqual(
            reasons(guests, String(i)).filter((reason) => reason.startsWith('image')),
            expected,
          );
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the cost', () => {
  const host = (count: number, seed: number): GuestLabel[] => {
    const random = seeded(seed);
    return Array.from({ length: count }, (_, i) => {
      const level = `s0:c${random(512)},c${512 + random(512)}`;
      return someGuest(String(i), level, { images: [someImage(level)] });
    });
  };

  it('grows with the number of guests, not with that of their pairs', () => {
    const [few, many] = [host(1000, 1), host(16_000, 1)];
    const cost = (guests: GuestLabel[]): number => cpuUsec(() => judgeLabels(guests));
    cost(few);
    // Sixteen times the guests. Were it each against each, it would take 256 times as long.
    assert.ok(cost(many) < 100 * cost(few));
  });

  it('stays bounded where a thousand guests have nearly all categories', () => {
    const wide = Array.from({ length: 1000 }, (_, i) => {
      const left = Array.from({ length: 1024 }, (_, category) => category).filter((category) => category !== i);
      return someGuest(String(i), `s0:${formatCategories(left)}`);
    });
    const chain = Array.from({ length: 1000 }, (_, i) => someGuest(String(i), `s0:c0.c${i + 2}`));
    for (const guests of [wide, chain]) {
      judgeLabels(guests);
      // Some tens of ms each on one core; a second would be another order of growth.
      assert.ok(cpuUsec(() => judgeLabels(guests)) < 1_000_000);
    }
  });

  it('a label of the kernel is read once for a guest and its images', () => {
    const known = new Map();
    const parse = (text: string): unknown => parseLabel(text, known);
    assert.deepEqual(parse(`${PROCESS}:s0:c1,c2`), parseLabel(`${PROCESS}:s0:c1,c2`));
    assert.deepEqual(parse(`${PROCESS}:s0:c1,`), parseLabel(`${PROCESS}:s0:c1,`));
    assert.deepEqual([...known.keys()], ['s0:c1,c2', 's0:c1,']);
  });
});
