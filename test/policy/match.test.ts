/** Assignments and patterns: which guest falls under which class, and that no pattern is slow. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { matchGlob, parseGlob } from '../../src/policy/glob.js';
import { assign, parseMetadataPath } from '../../src/policy/match.js';
import type { DomainAttributes, XmlElement } from '../../src/policy/types.js';
import { generationOf } from './compiled.js';

function matches(pattern: string, text: string): boolean {
  const parsed = parseGlob(pattern);
  return 'glob' in parsed ? matchGlob(parsed.glob, text) : assert.fail(parsed.reason);
}

describe('patterns', () => {
  const table: readonly (readonly [pattern: string, yes: readonly string[], no: readonly string[]])[] = [
    ['db-*', ['db-', 'db-1', 'db-a/b c'], ['db', 'xdb-1', 'DB-1', ' db-1']],
    ['*', ['', 'anything', 'ä\n'], []],
    ['', [''], ['a']],
    ['db', ['db'], ['db1', 'd']],
    ['?', ['a', 'ä', '💾'], ['', 'ab']],
    ['db-?', ['db-1'], ['db-', 'db-12']],
    ['*-prod', ['-prod', 'a-prod', 'a-prod-prod'], ['a-prod-', 'aprod']],
    ['a*b*c', ['abc', 'aXbXc', 'abcbc'], ['ab', 'acb']],
    ['db-[0-9]', ['db-5'], ['db-a', 'db-55']],
    ['[!0-9]*', ['a', 'a5'], ['5', '']],
    ['[^ab]', ['c'], ['a', 'b']],
    ['[]x]', [']', 'x'], ['[']],
    ['[!]]', ['a'], [']']],
    ['[a-]', ['a', '-'], ['b']],
    ['[*?]', ['*', '?'], ['a']],
    ['[[]', ['['], [']']],
    ['a.c', ['a.c'], ['abc']],
    ['a\\*', ['a\\', 'a\\b'], ['a*']],
  ];
  for (const [pattern, yes, no] of table) {
    it(`"${pattern}"`, () => {
      for (const text of yes) assert.ok(matches(pattern, text), `should match ${JSON.stringify(text)}`);
      for (const text of no) assert.ok(!matches(pattern, text), `should not match ${JSON.stringify(text)}`);
    });
  }

  it('agree with a regular expression built from the same parts', () => {
    const part = fc.constantFrom(
      ['*', '[^]*'],
      ['?', '[^]'],
      ['a', 'a'],
      ['b', 'b'],
      ['[ab]', '[ab]'],
      ['[!a]', '[^a]'],
    );
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 8 }),
        fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 10 }),
        (parts, text) => {
          const expected = new RegExp(`^${parts.map(([, regex]) => regex).join('')}$`).test(text);
          return matches(parts.map(([glob]) => glob).join(''), text) === expected;
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('are never slow', () => {
    const started = performance.now();
    assert.ok(!matches(`${'*a'.repeat(200)}b`, 'a'.repeat(5000)));
    assert.ok(performance.now() - started < 500);
  });

  it('with a fault say so', () => {
    for (const pattern of ['[', 'a[', '[]', '[!]', '[a', '[z-a]']) assert.ok('reason' in parseGlob(pattern), pattern);
  });
});

function guest(attributes: Partial<DomainAttributes>): DomainAttributes {
  return {
    uuid: '4dea22b3-1d52-d8f3-2516-782e98ab3fa0',
    name: '',
    title: '',
    description: '',
    metadata: [],
    ...attributes,
  };
}

function element(name: string, rest: Partial<XmlElement> = {}): XmlElement {
  return { name, attributes: {}, text: '', children: [], ...rest };
}

/** Class per match, in order; gives the class of the guest. */
function classOf(matchTexts: Readonly<Record<string, string>>, domain: DomainAttributes): string | null {
  const names = Object.keys(matchTexts);
  const text =
    `version: 1\nclasses: { ${names.map((name) => `${name}: {}`).join(', ')} }\nassignments:\n` +
    names.map((name) => `  - { class: ${name}, match: ${matchTexts[name]} }\n`).join('');
  return assign(generationOf(text), domain)?.className ?? null;
}

describe('assignments', () => {
  it('take the first that matches', () => {
    const rules = { a: '{ name: "db-1" }', b: '{ name: "db-*" }', c: '{ any: true }' };
    assert.equal(classOf(rules, guest({ name: 'db-1' })), 'a');
    assert.equal(classOf(rules, guest({ name: 'db-2' })), 'b');
    assert.equal(classOf(rules, guest({ name: 'web' })), 'c');
  });

  it('leave a guest alone that nothing matches', () => {
    assert.equal(classOf({ a: '{ name: "db-*" }' }, guest({ name: 'web' })), null);
  });

  it('require all keys and any of a list', () => {
    const rules = { a: '{ name: ["db-*", "pg-*"], title: "*prod*" }' };
    assert.equal(classOf(rules, guest({ name: 'pg-1', title: 'the prod one' })), 'a');
    assert.equal(classOf(rules, guest({ name: 'pg-1', title: 'test' })), null);
    assert.equal(classOf(rules, guest({ name: 'web', title: 'prod' })), null);
  });

  it('match uuid, title and description as wholes', () => {
    assert.equal(classOf({ a: '{ uuid: "4dea22b3*" }' }, guest({})), 'a');
    assert.equal(classOf({ a: '{ uuid: "4dea22b3" }' }, guest({})), null);
    assert.equal(classOf({ a: '{ title: "A*" }' }, guest({ title: 'a' })), null);
    assert.equal(classOf({ a: '{ description: "*\\ntwo" }' }, guest({ description: 'one\ntwo' })), 'a');
  });

  describe('by metadata', () => {
    const flavor = (name: string): XmlElement =>
      element('nova:instance', { children: [element('nova:flavor', { attributes: { name }, text: ` ${name}\n` })] });
    const rule = (path: string, pattern: string): Readonly<Record<string, string>> => ({
      a: `{ metadata: { "${path}": ${JSON.stringify(pattern)} } }`,
    });

    it('look at attributes and at text', () => {
      const domain = guest({ metadata: [flavor('m1.critical')] });
      assert.equal(classOf(rule('nova:instance/nova:flavor@name', 'm1.critical'), domain), 'a');
      assert.equal(classOf(rule('nova:instance/nova:flavor@name', 'm2.*'), domain), null);
      assert.equal(classOf(rule('nova:instance/nova:flavor', 'm1.*'), domain), 'a');
      assert.equal(classOf(rule('nova:instance/nova:flavor@vcpus', '*'), domain), null);
      assert.equal(classOf(rule('nova:flavor@name', '*'), domain), null);
      assert.equal(classOf(rule('other:instance/nova:flavor@name', '*'), domain), null);
    });

    it('take any of repeated elements, at every level', () => {
      const domain = guest({ metadata: [flavor('m1.small'), flavor('m1.critical')] });
      assert.equal(classOf(rule('nova:instance/nova:flavor@name', 'm1.critical'), domain), 'a');
      const twins = element('x:a', { children: [element('x:b', { text: '1' }), element('x:b', { text: '2' })] });
      assert.equal(classOf(rule('x:a/x:b', '2'), guest({ metadata: [twins] })), 'a');
    });

    it('do not mistake what every object has for an attribute', () => {
      assert.equal(classOf(rule('x:a@constructor', '*'), guest({ metadata: [element('x:a')] })), null);
    });

    it('know their syntax', () => {
      assert.deepEqual(parseMetadataPath('a:b/c:d@e'), { elements: ['a:b', 'c:d'], attribute: 'e' });
      assert.deepEqual(parseMetadataPath('a:b'), { elements: ['a:b'] });
      for (const bad of ['', '@a', 'a:b/', '/a:b', 'a:b//c:d', 'a:b@', 'a:b@c@d', 'a:b:c', 'a b', 'a:*']) {
        assert.equal(parseMetadataPath(bad), null, bad);
      }
    });
  });
});
