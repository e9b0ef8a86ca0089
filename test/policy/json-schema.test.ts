/** The JSON Schema: current, sound, lenient enough for every good policy and strict enough to help while typing. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { CLASS_KEYS } from '../../src/controls/registry.js';
import { policyJsonSchema } from '../../src/policy/json-schema.js';
import { ROOT } from '../support/paths.js';
import { golden } from './golden.js';

const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(policyJsonSchema());

function faults(text: string): readonly string[] {
  return validate(parse(text))
    ? []
    : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

describe('the JSON Schema', () => {
  it('is current', () => golden('schema/policy.schema.json', `${JSON.stringify(policyJsonSchema(), null, 2)}\n`));

  it('says draft-07', () => {
    assert.equal((policyJsonSchema() as { $schema: string }).$schema, 'http://json-schema.org/draft-07/schema#');
  });

  for (const name of readdirSync(join(ROOT, 'policies'))) {
    it(`accepts policies/${name}`, () =>
      assert.deepEqual(faults(readFileSync(join(ROOT, 'policies', name), 'utf8')), []));
  }

  it('accepts a policy with every key', () => {
    assert.deepEqual(faults(readFileSync(join(ROOT, 'test', 'fixtures', 'policies', 'full.yaml'), 'utf8')), []);
  });

  it('knows every key, with what it does, its range and an example that it accepts', () => {
    for (const { key, example, range } of CLASS_KEYS) {
      const names = key.split('.');
      const wrap = (value: string): string =>
        `version: 1\nclasses:\n  gold: { ${names.join(': { ')}: ${value}${' }'.repeat(names.length)}\n`;
      assert.deepEqual(faults(wrap(/,/.test(example) ? `"${example}"` : example)), [], key);
      assert.notDeepEqual(faults(wrap('[[]]')), [], `${key} takes anything`);
      assert.ok(JSON.stringify(policyJsonSchema()).includes(JSON.stringify(`Range: ${range}.`).slice(1, -1)), key);
    }
  });

  const wrong: readonly (readonly [text: string, fault: RegExp])[] = [
    ['classes: {}', /required property 'version'/],
    ['version: 2', /\/version must be equal to constant/],
    ['version: 1\nclases: {}', /must NOT have additional properties/],
    ['version: 1\nclasses: { Gold: {} }', /property name must be valid/],
    ['version: 1\nclasses: { gold: { cpu: { limit: 50 } } }', /\/classes\/gold\/cpu\/limit must be string/],
    ['version: 1\nclasses: { gold: { cpu: { limit: 50 percent } } }', /must match pattern/],
    ['version: 1\nclasses: { gold: { cpu: { limitt: 50% } } }', /additional properties/],
    ['version: 1\nclasses: { gold: { cpu: { weight: 0 } } }', /must be >= 1/],
    ['version: 1\nclasses: { gold: { memory: { merge: "yes" } } }', /must be boolean/],
    ['version: 1\nclasses: { gold: { network: { limit: { in: { peak: 1Gbit/s } } } } }', /required property 'average'/],
    ['version: 1\nclasses: { gold: { objectives: [{ sli: cpu, of: 99%, window: 30d }] } }', /allowed values/],
    ['version: 1\nassignments: [{ class: gold, match: {} }]', /fewer than 1/],
    ['version: 1\nassignments: [{ class: gold, match: { metadata: { "a//b": c } } }]', /property name must be valid/],
    [
      'version: 1\nschedules: [{ name: n, cron: "* * * *", for: 1h, set: { gold.cpu.limit: 5% } }]',
      /must match pattern/,
    ],
    [
      'version: 1\nschedules: [{ name: n, cron: "* * * * *", for: 1h, set: { gold.cpu.limmit: 5% } }]',
      /additional properties/,
    ],
  ];
  for (const [text, fault] of wrong) {
    it(`refuses ${text.replace('\n', '; ')}`, () => assert.match(faults(text).join('\n'), fault));
  }
});
