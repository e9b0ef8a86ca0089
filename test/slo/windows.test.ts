import assert from 'node:assert/strict';
import { test } from 'node:test';
import { windowBounds } from '../../src/slo/windows.js';

test('a rolling window ends now; a month is the running one, in UTC', () => {
  const nowMs = Date.UTC(2028, 1, 10, 6);
  assert.deepEqual(windowBounds({ kind: 'rolling', seconds: 60 }, nowMs), {
    fromMs: nowMs - 60_000,
    seconds: 60,
    toComeSeconds: 0,
  });
  assert.deepEqual(windowBounds({ kind: 'month' }, nowMs), {
    fromMs: Date.UTC(2028, 1, 1),
    seconds: 29 * 86_400,
    toComeSeconds: (29 - 9) * 86_400 - 6 * 3600,
  });
  const newYear = Date.UTC(2026, 11, 31, 23, 59, 59);
  assert.equal(windowBounds({ kind: 'month' }, newYear).toComeSeconds, 1);
  assert.equal(windowBounds({ kind: 'month' }, newYear + 1000).fromMs, Date.UTC(2027, 0, 1));
});
