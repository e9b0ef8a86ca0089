import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { signalRows } from '../../src/cli/render/signals.js';
import { styleFor } from '../../src/cli/render/style.js';
import type { DomainSnapshot } from '../../src/snapshot/types.js';
import { FIXTURE_AT_MS, fixtureDomain } from '../fixtures/snapshot.js';
import { fixtureDisk, fixtureInterface, fixtureMemory, fixturePressure } from '../signals/fixture-signals.js';

const NOW = FIXTURE_AT_MS;
const BARE: Partial<DomainSnapshot> = { memory: null, disks: [], interfaces: [], pressure: null };

/** `label: words`, with the paint's name where there is one. */
function lines(changes: Partial<DomainSnapshot>): string[] {
  const style = { ...styleFor(false), red: () => 'red', yellow: () => 'yellow' };
  return signalRows(fixtureDomain(1, { ...BARE, ...changes }), NOW, style).map(
    ([label, words, paint]) => `${paint === undefined ? '' : `[${paint('')}] `}${label}: ${words}`,
  );
}

test('nothing known, nothing said', () => assert.deepEqual(lines({}), []));

test('a guest with everything', () => {
  const found = lines({
    memory: fixtureMemory(),
    disks: [fixtureDisk('vda', NOW - 43_000)],
    interfaces: [fixtureInterface('vnet0')],
    pressure: fixturePressure(),
  });
  assert.deepEqual(found, [
    'memory: uses 3 GiB, 191 MiB of it page cache, 4 GiB at its peak, 50 MiB in swap, ran into its limit 7 times',
    'disk vda: reads 800/s (6.25 MiB/s, 0.42 ms each), writes 120/s (960 KiB/s, 3.1 ms each), flushes 2/s (12 ms each); mean of 1m until 43s ago',
    'network vnet0: 52:54:00:00:00:01: receives 10 Mbit/s (1000 packets/s), sends 500 kbit/s (400 packets/s), 3 packets dropped so far',
    'pressure: part of it waits for CPU 12 %, for memory 0 %, for disks 30 % of the time; all of it for CPU 4 %, for memory 0 %, for disks 28 %',
  ]);
});

describe('memory', () => {
  const words = (changes: Parameters<typeof fixtureMemory>[0]): string[] => lines({ memory: fixtureMemory(changes) });

  test('leaves out what the host does not count', () => {
    const nothing = { fileBytes: null, peakBytes: null, swapBytes: null, highEvents: null, limitEvents: null };
    assert.deepEqual(words({ ...nothing, oomKills: null, rates: null }), ['memory: uses 3 GiB']);
  });

  test('says what is taken back now, and what is needed again', () => {
    const rates = { reclaimedBytesPerSecond: 2_097_152, refaultedBytesPerSecond: 4096, majorFaultsPerSecond: 1 };
    assert.match(
      words({ rates, swapBytes: 0 })[0] ?? '',
      /, none in swap, 2 MiB\/s taken back now, 4 KiB\/s needed again, /,
    );
  });

  test('is red when something was killed', () => {
    assert.match(
      words({ oomKills: 1, highEvents: 1 })[0] ?? '',
      /^\[red\] .*memory\.high 1 time, .*, killed for want of memory 1 time$/,
    );
  });
});

describe('a disk', () => {
  const words = (changes: Parameters<typeof fixtureDisk>[2]): string[] =>
    lines({ disks: [fixtureDisk('vda', NOW - 2000, changes)] });
  const { rates } = fixtureDisk('vda', 0);

  test('at its limit is yellow; one of which that cannot be told says nothing of it', () => {
    assert.match(words({ limited: true })[0] ?? '', /^\[yellow\] disk vda: at its limit: reads 800\/s/);
    assert.match(words({ limited: null })[0] ?? '', /^disk vda: reads 800\/s/);
  });

  test('that does nothing is idle', () => {
    const still = { readIops: 0, writeIops: 0, flushIops: 0, readBytesPerSecond: 0, writeBytesPerSecond: 0 };
    assert.deepEqual(words({ rates: rates === null ? null : { ...rates, ...still } }), [
      'disk vda: idle; mean of 1m until 2s ago',
    ]);
  });

  test('read once has no rates yet', () => {
    assert.deepEqual(words({ rates: null }), [
      'disk vda: first read 2s ago; how busy it is shows after the next round',
    ]);
  });

  test('numbers keep the digits that matter', () => {
    const slow = { readIops: 0.0333, readBytesPerSecond: 136.5, readLatencySeconds: 1.234, writeIops: 12_345.6 };
    const found =
      words({ rates: rates === null ? null : { ...rates, ...slow, writeLatencySeconds: 0.000_087_6 } })[0] ?? '';
    assert.match(found, /reads 0\.0333\/s \(137 B\/s, 1\.2 s each\), writes 12346\/s \(960 KiB\/s, 88 µs each\)/);
  });

  test('with a hostile name does nothing to the terminal', () => {
    assert.match(lines({ disks: [fixtureDisk('vd\u001b[2J', NOW)] })[0] ?? '', /^disk vd\\u001b\[2J: /);
  });
});

test('an interface that was read once has no rates yet', () => {
  const { counters } = fixtureInterface('vnet0');
  const quiet = { ...counters, receivedDropped: 0 };
  assert.deepEqual(lines({ interfaces: [fixtureInterface('vnet0', { rates: null, counters: quiet })] }), [
    'network vnet0: 52:54:00:00:00:01: none dropped',
  ]);
});

test('pressure without the line `full`, or with one resource only', () => {
  const cpu = { someSeconds: 5, fullSeconds: null, someShare: 0.5, fullShare: null };
  const only = fixturePressure({ cpu, memory: null, io: null });
  assert.deepEqual(lines({ pressure: only }), ['pressure: part of it waits for CPU 50 % of the time']);
  const first = fixturePressure({ cpu: { ...cpu, someShare: null }, memory: null, io: null });
  assert.deepEqual(lines({ pressure: first }), []);
});
