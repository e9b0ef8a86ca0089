/** The registry: every control and key once, the keys of planned parts among them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PLANNED_PROMISES } from '../../src/controls/planned.js';
import { CONTROLS, PROMISES } from '../../src/controls/registry.js';

describe('the registry', () => {
  it('has every control and every key once, keys of planned parts too', () => {
    assert.deepEqual(
      PLANNED_PROMISES.filter((spec) => !PROMISES.includes(spec)),
      [],
    );
    const keys = [...CONTROLS.flatMap((control) => control.keys), ...PROMISES].map(({ key }) => key);
    assert.equal(new Set(keys).size, keys.length);
    assert.equal(new Set(CONTROLS.map(({ id }) => id)).size, CONTROLS.length);
  });
});
