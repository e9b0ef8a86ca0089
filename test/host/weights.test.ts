/** What a weight promises: shares of one contended core. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { measureCores, measureUntil } from '../support/cpu-time.js';
import { readWeight } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';

const lab = await Lab.open();
after(() => lab.close());

const POLICY = `version: 1
classes:
  gold: { cpu: { weight: 400 } }
  bronze: { cpu: { weight: 100 } }
assignments:
  - { class: gold, match: { name: "gold-*" } }
  - { class: bronze, match: { name: "bronze-*" } }
`;

test('weights 4:1 on one contended core give 4:1 ± 10 %', async (t) => {
  const gold = await lab.startGuest({ name: 'gold', cpuset: '0' });
  const bronze = await lab.startGuest({ name: 'bronze', cpuset: '0' });
  await gold.waitUntilBusy();
  await bronze.waitUntilBusy();
  const [goldBefore = 0, bronzeBefore = 0] = await measureCores([gold.pid, bronze.pid], 3);
  const daemon = await lab.startDaemon({ policies: { '10-weights.yaml': POLICY } });
  await daemon.waitUntilCompliant([gold, bronze]);
  assert.equal(Math.round(readWeight(gold.groups)), 400);
  assert.equal(Math.round(readWeight(bronze.groups)), 100);

  const isKept = ([goldCores = 0, bronzeCores = 0]: readonly number[]) => Math.abs(goldCores / bronzeCores - 4) <= 0.4;
  const used = await measureUntil(isKept, () => measureCores([gold.pid, bronze.pid], 10));
  const [goldCores = 0, bronzeCores = 0] = used;
  t.diagnostic(`before ${goldBefore.toFixed(2)} : ${bronzeBefore.toFixed(2)} cores`);
  t.diagnostic(
    `after ${goldCores.toFixed(3)} : ${bronzeCores.toFixed(3)} = ${(goldCores / bronzeCores).toFixed(2)} : 1`,
  );
  assert.ok(isKept(used), `${goldCores} : ${bronzeCores}`);
  // Before, the two were equals: the ratio is the weights' doing.
  assert.ok(Math.abs(goldBefore / bronzeBefore - 1) < 0.5, `before ${goldBefore} : ${bronzeBefore}`);
});
