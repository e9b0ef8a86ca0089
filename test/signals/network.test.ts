import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountInterfaces, type InterfacesAccount, type ReadInterface } from '../../src/signals/network.js';
import type { InterfaceTotals } from '../../src/snapshot/signals.js';

const ZERO: InterfaceTotals = {
  receivedBytes: 0,
  receivedPackets: 0,
  receivedDropped: 0,
  sentBytes: 0,
  sentPackets: 0,
  sentDropped: 0,
};

function tap(device: string, counters: Partial<InterfaceTotals> | null, ifindex = 7): ReadInterface {
  return { mac: '52:54:00:00:00:01', device, ifindex, counters: counters === null ? null : { ...ZERO, ...counters } };
}

function after(...readings: readonly (readonly ReadInterface[])[]): InterfacesAccount {
  let account: InterfacesAccount | null = null;
  for (const [index, interfaces] of readings.entries()) {
    account = accountInterfaces(account, { atMonotonicMs: index * 5000, interfaces });
  }
  return account ?? assert.fail('no readings');
}

test('counters are as the device has them, rates are over the time between', () => {
  const before = { receivedBytes: 1000, sentPackets: 10 };
  const now = { receivedBytes: 6000, sentPackets: 20, sentDropped: 5 };
  const [signals] = after([tap('vnet0', before)], [tap('vnet0', now)]).signals;
  assert.deepEqual(signals?.counters, { ...ZERO, ...now });
  assert.equal(signals?.rates?.receivedBytesPerSecond, 1000);
  assert.equal(signals?.rates?.sentPacketsPerSecond, 2);
  assert.equal(signals?.rates?.sentDroppedPerSecond, 1);
});

test('a device made anew under its old name starts anew', () => {
  const [signals] = after([tap('vnet0', { sentBytes: 900 })], [tap('vnet0', { sentBytes: 10 })]).signals;
  assert.equal(signals?.counters.sentBytes, 900);
  assert.equal(signals?.rates, null);
  const busier = after([tap('vnet0', { sentBytes: 900 })], [tap('vnet0', { sentBytes: 5000 }, 8)]).signals[0];
  assert.deepEqual([busier?.counters.sentBytes, busier?.rates], [900, null], 'another ifindex');
});

test('interfaces come and go; two with one address are kept apart', () => {
  const { signals } = after(
    [tap('vnet0', { sentBytes: 1 }), tap('vnet1', { sentBytes: 2 })],
    [tap('vnet1', { sentBytes: 7 }), tap('vnet2', null)],
    [tap('vnet1', { sentBytes: 8 }), tap('vnet0', { sentBytes: 3 })],
  );
  assert.deepEqual(
    signals.map(({ device, counters }) => [device, counters.sentBytes]),
    [
      ['vnet1', 8],
      ['vnet0', 3],
    ],
  );
});

test('one that could not be read keeps its counters', () => {
  const [signals] = after([tap('vnet0', { sentBytes: 900 })], [tap('vnet0', null)]).signals;
  assert.equal(signals?.counters.sentBytes, 900);
});
