/** The generated pages: current, and complete. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CLASS_KEYS, CONTROLS } from '../../src/controls/registry.js';
import { ERROR_CATALOGUE } from '../../src/errors.js';
import { errorReference } from '../../src/errors-reference.js';
import { policyReference } from '../../src/policy/reference.js';
import { golden } from './golden.js';

describe('the policy reference', () => {
  it('is current', () => golden('docs/reference/policy.md', policyReference()));

  it('has a row for every key, and says what is not built yet', () => {
    const rows = policyReference()
      .split('\n')
      .filter((row) => /\| (?:not built yet|built) \|$/.test(row));
    for (const { key } of CLASS_KEYS)
      assert.equal(rows.filter((row) => row.startsWith(`| \`${key}\` |`)).length, 1, key);
    for (const { built, keys } of CONTROLS) {
      const row = rows.find((line) => line.startsWith(`| \`${keys[0]?.key}\` |`));
      assert.ok(row?.endsWith(built ? '| built |' : '| not built yet |'), row);
    }
  });
});

describe('the error reference', () => {
  it('is current', () => golden('docs/reference/errors.md', errorReference()));

  it('has a row for every code', () => {
    for (const code of Object.keys(ERROR_CATALOGUE)) assert.ok(errorReference().includes(`| \`${code}\` |`), code);
  });
});
