/**
 * Network interfaces of one guest: what their host devices have counted in, seen from the guest; monotone counters and
 * rates out. Pure. An interface that is plugged again with the same address on the same device goes on with its counters.
 */
import type { InterfaceRates, InterfaceSignals, InterfaceTotals } from '../snapshot/signals.js';
import { type Rising, rising } from './rising.js';

export interface InterfacesReading {
  readonly atMonotonicMs: number;
  /** Every interface that has a device on this host now. */
  readonly interfaces: readonly ReadInterface[];
}

export interface ReadInterface {
  readonly mac: string;
  readonly device: string;
  /** Of the device: another one is another device under the old name. */
  readonly ifindex: number;
  /** Null: could not be read this time. */
  readonly counters: InterfaceTotals | null;
}

export interface InterfacesAccount {
  /** By address and device, those that were unplugged too. */
  readonly interfaces: ReadonlyMap<string, OneInterface>;
  /** Of the interfaces that the guest has. */
  readonly signals: readonly InterfaceSignals[];
}

interface OneInterface {
  readonly atMonotonicMs: number;
  readonly ifindex: number;
  readonly counts: Rising<InterfaceTotals>;
  readonly rates: InterfaceRates | null;
}

/** The account after one more reading. */
export function accountInterfaces(account: InterfacesAccount | null, reading: InterfacesReading): InterfacesAccount {
  const { atMonotonicMs } = reading;
  const interfaces = new Map(account?.interfaces);
  for (const { mac, device, ifindex, counters } of reading.interfaces) {
    const key = keyOf(mac, device);
    const before = interfaces.get(key) ?? null;
    const elapsed = before === null ? 0 : (atMonotonicMs - before.atMonotonicMs) / 1000;
    if (counters === null || (before !== null && elapsed <= 0)) continue;
    const anew = before !== null && before.ifindex !== ifindex;
    const counts = rising(before?.counts ?? null, counters, anew);
    const rates = counts.rises === null ? null : ratesOf(counts.rises, elapsed);
    interfaces.set(key, { atMonotonicMs, ifindex, counts, rates });
  }
  const signals = reading.interfaces.flatMap(({ mac, device }): InterfaceSignals[] => {
    const found = interfaces.get(keyOf(mac, device));
    return found === undefined ? [] : [{ mac, device, counters: found.counts.totals, rates: found.rates }];
  });
  return { interfaces, signals };
}

/** Two interfaces of a guest may have one address (a bond, a failover pair), and a device a new one. */
function keyOf(mac: string, device: string): string {
  return `${mac} ${device}`;
}

function ratesOf(rises: InterfaceTotals, elapsedSeconds: number): InterfaceRates {
  return {
    receivedBytesPerSecond: rises.receivedBytes / elapsedSeconds,
    receivedPacketsPerSecond: rises.receivedPackets / elapsedSeconds,
    receivedDroppedPerSecond: rises.receivedDropped / elapsedSeconds,
    sentBytesPerSecond: rises.sentBytes / elapsedSeconds,
    sentPacketsPerSecond: rises.sentPackets / elapsedSeconds,
    sentDroppedPerSecond: rises.sentDropped / elapsedSeconds,
  };
}
