import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountPressure, parsePressure } from '../../src/signals/pressure.js';

const BOTH =
  'some avg10=1.25 avg60=0.50 avg300=0.10 total=17933775\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=250000\n';

test('totals are read in seconds; the line `full` may be missing', () => {
  assert.deepEqual(parsePressure(BOTH), { someSeconds: 17.933775, fullSeconds: 0.25 });
  assert.deepEqual(parsePressure(BOTH.split('\n')[0] as string), { someSeconds: 17.933775, fullSeconds: null });
});

test('what is no pressure file gives nothing', () => {
  for (const text of [
    '',
    '\n',
    'some',
    'some total=',
    'some avg10=0.00 total=-1',
    'full avg10=0.00 total=5',
    'total=5',
  ]) {
    assert.equal(parsePressure(text), null, JSON.stringify(text));
  }
});

test('shares are of the time between two readings', () => {
  const first = accountPressure(null, {
    atMonotonicMs: 0,
    resources: { cpu: { someSeconds: 10, fullSeconds: 1 }, io: { someSeconds: 5, fullSeconds: null } },
  });
  assert.deepEqual(first.signals, {
    cpu: { someSeconds: 10, fullSeconds: 1, someShare: null, fullShare: null },
    memory: null,
    io: { someSeconds: 5, fullSeconds: null, someShare: null, fullShare: null },
  });
  const { signals } = accountPressure(first, {
    atMonotonicMs: 4000,
    resources: { cpu: { someSeconds: 11, fullSeconds: 1 }, io: { someSeconds: 10, fullSeconds: null } },
  });
  assert.deepEqual(signals.cpu, { someSeconds: 11, fullSeconds: 1, someShare: 0.25, fullShare: 0 });
  assert.deepEqual(signals.io, { someSeconds: 10, fullSeconds: null, someShare: 1, fullShare: null });
});

test('a resource that was not read for a while has its share over all of that time', () => {
  const cpu = (someSeconds: number) => ({ cpu: { someSeconds, fullSeconds: 0 } });
  const first = accountPressure(null, { atMonotonicMs: 0, resources: cpu(10) });
  const without = accountPressure(first, { atMonotonicMs: 5000, resources: {} });
  assert.equal(without.signals.cpu, null);
  const { signals } = accountPressure(without, { atMonotonicMs: 10_000, resources: cpu(11) });
  assert.equal(signals.cpu?.someShare, 0.1);
});
