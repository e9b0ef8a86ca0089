/** Contexts of SELinux and sets of categories: what the kernel prints is read, anything else is refused, nothing throws. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { categorySet, equalCategories, includesAll, parseCategories } from '../../src/svirt/categories.js';
import { formatCategories, formatLabel, parseLabel } from '../../src/svirt/label.js';
import { cpuUsec } from './some-labels.js';

const someSet = fc.oneof(
  fc.uniqueArray(fc.nat(1023), { maxLength: 40 }),
  fc
    .tuple(fc.nat(1000), fc.nat(300))
    .map(([start, length]) => Array.from({ length: Math.min(length, 1024 - start) }, (_, i) => start + i)),
);

/** The numbers of a printed set, read without the code under test. */
function expanded(text: string): number[] {
  return text === ''
    ? []
    : text.split(',').flatMap((part) => {
        const [first, last = first] = part.split('.').map((name) => Number(name.slice(1))) as [number, number?];
        return Array.from({ length: last - first + 1 }, (_, i) => first + i);
      });
}

describe('a set of categories', () => {
  const printed: [number[], string][] = [
    [[], ''],
    [[0], 'c0'],
    [[7, 3], 'c3,c7'],
    [[0, 1], 'c0,c1'],
    [[0, 1, 2], 'c0.c2'],
    [[1, 2, 5, 6, 7, 9], 'c1,c2,c5.c7,c9'],
    [[1022, 1023], 'c1022,c1023'],
    [Array.from({ length: 1024 }, (_, i) => i), 'c0.c1023'],
  ];
  for (const [numbers, text] of printed) {
    it(`is printed as the kernel does: "${text}"`, () => assert.equal(formatCategories(categorySet(numbers)), text));
  }

  const read: [string, number[]][] = [
    ['c1,c5.c9', [1, 5, 6, 7, 8, 9]],
    ['c9,c1', [1, 9]],
    ['c3,c3', [3]],
    ['c5.c9,c1.c6', [1, 2, 3, 4, 5, 6, 7, 8, 9]],
  ];
  for (const [text, numbers] of read) {
    it(`"${text}" is read`, () => assert.deepEqual(parseCategories(text), { ok: true, categories: numbers }));
  }

  const refused =
    'c, c1024 c01 c00 c1.c1 c9.c1 c1.c1024 c1..c3 c1.c2.c3 c1- C1 c1;c2 1 c c1,,c2 c10240 .c1 c1. c-1 c1,c';
  for (const text of ['', ' c1', 'c1 ', 'c1, c2', 'c1\n', 'c١', ...refused.split(' ')]) {
    it(`${JSON.stringify(text)} is refused, as by the kernel`, () => assert.equal(parseCategories(text).ok, false));
  }

  it('is the same after having been printed and read', () => {
    fc.assert(
      fc.property(someSet, (numbers) => {
        const set = categorySet(numbers);
        const text = formatCategories(set);
        assert.deepEqual(
          expanded(text),
          [...numbers].sort((a, b) => a - b),
        );
        if (text !== '') assert.deepEqual(parseCategories(text), { ok: true, categories: set });
      }),
    );
  });

  it('holds and equals others as sets do', () => {
    fc.assert(
      fc.property(someSet, someSet, fc.boolean(), (one, two, nested) => {
        const [a, b] = [categorySet(one), categorySet(nested ? one.filter((_, i) => i % 3 > 0) : two)];
        const all = new Set(a);
        assert.equal(
          includesAll(a, b),
          b.every((category) => all.has(category)),
        );
        assert.equal(equalCategories(a, b), a.join() === b.join());
      }),
    );
  });
});

describe('a label', () => {
  it('has its parts', () => {
    assert.deepEqual(parseLabel('system_u:system_r:svirt_t:s0:c1,c5.c7'), {
      ok: true,
      label: {
        user: 'system_u',
        role: 'system_r',
        type: 'svirt_t',
        low: { sensitivity: 0, categories: [1, 5, 6, 7] },
        high: { sensitivity: 0, categories: [1, 5, 6, 7] },
        isRange: false,
      },
    });
  });

  const canonical: [string, string | null][] = [
    ['u:r:t:s0', null],
    ['u:r:t:s0:c0.c1023', null],
    ['u:r:t:s0-s0:c0.c1023', null],
    ['unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023', null],
    ['u:r:t:s0:c1-s15:c0.c5', null],
    ['system_u:system_r:svirt_t:s0:c1,c2\0', 'system_u:system_r:svirt_t:s0:c1,c2'],
    ['u:r:t:s0\n', 'u:r:t:s0'],
    ['u:r:t:s0\0\n\0', 'u:r:t:s0'],
    ['u:r:t:s0-s0', 'u:r:t:s0'],
    ['u:r:t:s0:c2,c1-s0:c1,c2', 'u:r:t:s0:c1,c2'],
    ['user-1.x:r:my.type_t:s3:c9', null],
  ];
  for (const [text, canonicalText] of canonical) {
    it(`${JSON.stringify(text)} is read and printed`, () => {
      const parsed = parseLabel(text);
      assert.ok(parsed.ok);
      assert.equal(formatLabel(parsed.label), canonicalText ?? text);
    });
  }

  const refused: [string, RegExp][] = [
    ['', /empty/],
    ['\0', /empty/],
    ['kernel', /USER:ROLE:TYPE:LEVEL/],
    ['unconfined', /USER:ROLE:TYPE:LEVEL/],
    ['libvirt-6ad9f0c8-0000-4000-8000-000000000001 (enforce)', /USER:ROLE:TYPE:LEVEL/],
    ['system_u:system_r:svirt_t', /separates no guests/],
    ['system_u:system_r:svirt_t:', /separates no guests/],
    [':r:t:s0', /user/],
    ['u::t:s0', /role/],
    ['u:r::s0', /type/],
    ['u:r:t t:s0', /type/],
    ['u:r:t\u202e:s0', /type/],
    ['u:r:t:s16', /sensitivity/],
    ['u:r:t:s00', /sensitivity/],
    ['u:r:t:s', /sensitivity/],
    ['u:r:t:c1', /sensitivity/],
    ['u:r:t:s0-', /sensitivity/],
    ['u:r:t:s0-s1-s2', /sensitivity/],
    ['u:r:t:s0:', /no category/],
    ['u:r:t:s0:c1,', /no category/],
    ['u:r:t:s0:c1024', /c1024/],
    ['u:r:t:s0:c1\0x', /no category/],
    ['u:r:t:s0:c1:c2', /no category/],
    ['u:r:t:s0:c5.c5', /ascend/],
    ['u:r:t:s1-s0', /end does not hold/],
    ['u:r:t:s0:c1-s0:c2', /end does not hold/],
    [`u:r:t:s0${'\n'.repeat(4096)}`, /longer/],
  ];
  for (const [text, reason] of refused) {
    it(`${JSON.stringify(text.slice(0, 60))} is refused`, () => {
      const parsed = parseLabel(text);
      assert.ok(!parsed.ok);
      assert.match(parsed.reason, reason);
    });
  }

  it('reads any text without throwing, and prints what it read as the same label', () => {
    const piece = fc.constantFrom(
      's0',
      ':',
      '-',
      ',',
      '.',
      'c1',
      'c0.c1023',
      'c7',
      '\0',
      '\n',
      'u',
      'svirt_t',
      ' ',
      's1',
    );
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('utf8')),
      fc.string({ unit: 'binary', maxLength: 100 }),
      fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join('')),
      fc.array(piece, { maxLength: 12 }).map((pieces) => `u:r:t:s0:${pieces.join('')}`),
      fc.array(piece, { maxLength: 12 }).map((pieces) => `u:r:t:s0:c1-s0:${pieces.join('')}`),
    );
    let read = 0;
    fc.assert(
      fc.property(anything, (text) => {
        const parsed = parseLabel(text);
        if (!parsed.ok) return assert.equal(typeof parsed.reason, 'string');
        read++;
        const printed = formatLabel(parsed.label);
        assert.match(printed, /^[A-Za-z0-9_.:,-]+$/);
        assert.deepEqual(parseLabel(printed), parsed);
      }),
      { numRuns: 20_000 },
    );
    assert.ok(read > 100, `only ${read} labels among the texts`);
  });

  const long: [string, (length: number) => string][] = [
    ['newlines', (length) => `${'\n'.repeat(length - 1)}x`],
    ['newlines at the end', (length) => `u:r:t:s0${'\n'.repeat(length - 8)}`],
    ['colons', (length) => ':'.repeat(length)],
    ['one name', (length) => 'a'.repeat(length)],
    ['digits', (length) => `u:r:t:s0:c${'1'.repeat(length - 10)}`],
    ['dashes', (length) => `u:r:t:s0${'-'.repeat(length - 8)}`],
    ['the same category', (length) => `u:r:t:s0:c1${',c1'.repeat(length / 3 - 4)}`],
    ['the same range', (length) => `u:r:t:s0:c0.c1023${',c0.c1023'.repeat(length / 9 - 2)}`],
  ];
  for (const [what, make] of long) {
    it(`takes time in step with its length: ${what}`, () => {
      const [short, full] = [make(256), make(4096)];
      const cost = (text: string): number =>
        cpuUsec(() => {
          for (let i = 0; i < 300; i++) parseLabel(text);
        });
      cost(full);
      // Sixteen times the text. Were it quadratic, it would take 256 times as long; 2 ms for all is noise.
      assert.ok(cost(full) < 80 * cost(short) + 2000);
    });
  }
});
