/** Controls that are not built yet say so for a guest whose class asks for them, and nothing for any other. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Sight } from '../../src/controls/control.js';
import { PLANNED_CONTROLS, PLANNED_PROMISES } from '../../src/controls/planned.js';
import { CONTROLS, PROMISES } from '../../src/controls/registry.js';
import type { Domain } from '../../src/domains/types.js';
import type { EffectiveClass, Sourced } from '../../src/policy/types.js';
import { GuestModel, HOST } from '../reconcile/guest-model.js';

const DOMAIN: Domain = { ...new GuestModel(2, 1).domain, facts: null, process: null, cgroup: null };
const BLIND: Sight = { read: () => null, exists: () => true, problem: () => null };

function asking(...keys: readonly string[]): EffectiveClass {
  const source = { file: 'p.yaml', line: 1, column: 1 };
  const values = new Map<string, Sourced>(keys.map((key) => [key, { value: 1, text: key, source }]));
  return { name: 'gold', priority: 100, values, assignment: source, openSchedules: [] };
}

describe('planned controls', () => {
  for (const control of PLANNED_CONTROLS) {
    it(`${control.id}: each of its keys is unsupported, none is unmanaged`, () => {
      assert.equal(control.built, false);
      for (const { key } of control.keys) {
        const desired = control.desired(asking(key, 'cpu.limit'), DOMAIN, HOST, BLIND);
        assert.ok(desired.kind === 'unsupported');
        assert.deepEqual([desired.reason, desired.asked.text], ['not built yet', key]);
      }
      const idle = control.desired(asking('cpu.limit', 'cpu.weight'), DOMAIN, HOST, BLIND);
      assert.deepEqual(idle, { kind: 'unmanaged' });
    });
  }

  it('are in the registry, and no two keys or ids are the same', () => {
    const registered = new Set(CONTROLS.map(({ id }) => id));
    assert.deepEqual(
      PLANNED_CONTROLS.map(({ id }) => id).filter((id) => !registered.has(id)),
      [],
    );
    assert.deepEqual(
      PLANNED_PROMISES.filter((spec) => !PROMISES.includes(spec)),
      [],
    );
    const keys = [...CONTROLS.flatMap((control) => control.keys), ...PROMISES].map(({ key }) => key);
    assert.equal(new Set(keys).size, keys.length);
    assert.equal(registered.size, CONTROLS.length);
  });
});
