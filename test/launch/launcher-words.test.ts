import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verbIndex } from '../../src/launch/launcher-words.js';

test('the verb is found among flags and their values', () => {
  const at = (...words: string[]) => verbIndex(words, 'launch');
  assert.equal(at('launch', '--class', 'gold', '--', 'qemu'), 0);
  assert.equal(at('--config', 'launch', 'launch', '--', 'qemu', 'launch'), 2);
  assert.equal(at('--config=launch', 'launch', '--', 'qemu'), 1);
  assert.equal(at('--config=x', '--state-dir', 'launch', 'launch'), 3);
  assert.equal(at('status'), -1);
});
