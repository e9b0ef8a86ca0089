/** Held and released guests stay hands-off, across restarts, until resumed. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { HandsOffRegister } from '../../src/reconcile/hands-off.js';

let directory: string;
let nowMs = 0;
const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };
beforeEach(async () => {
  nowMs = 1_000_000;
  directory = await mkdtemp(join(tmpdir(), 'virtslad-hands-off-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));
async function open(): Promise<HandsOffRegister> {
  const register = new HandsOffRegister(directory, clock);
  await register.load({ readOnly: false });
  return register;
}

test('a hold ends at its time, a release does not', async () => {
  const register = await open();
  await register.set('a', { kind: 'held', name: 'a', untilMs: nowMs + 60_000 });
  await register.set('b', { kind: 'released', name: 'b', untilMs: null });
  nowMs += 59_999;
  assert.equal((await open()).of('a')?.kind, 'held');
  nowMs += 1;
  assert.equal((await open()).of('a'), null);
  assert.equal((await open()).of('b')?.kind, 'released');
  await register.clear('b');
  assert.equal((await open()).of('b'), null);
});

test('release --all covers guests that start later; one can be resumed alone; resume --all ends it', async () => {
  const register = await open();
  await register.setAll([{ uuid: 'a', name: 'a' }]);
  assert.equal(register.of('later')?.kind, 'released');
  await register.clear('a');
  const again = await open();
  assert.equal(again.of('a'), null);
  assert.equal(again.of('later')?.kind, 'released');
  await again.clearAll();
  assert.equal((await open()).of('later'), null);
});

test('with a damaged list every guest is held, none is released, and the file is put aside', async () => {
  await writeFile(join(directory, 'hands-off.json'), '{"all": fal');
  const register = await open();
  assert.equal(register.of('anyone')?.kind, 'held');
  assert.ok(register.damaged?.includes('.damaged-'));
  assert.equal((await open()).of('anyone')?.kind, 'held', 'also after the next restart');
});
