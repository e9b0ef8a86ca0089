/**
 * Traffic counters of guests' interfaces, from the guest's view, through kept descriptors: one pread a counter. They
 * are read from sysfs, which takes none of the locks under which interfaces are made and removed. A descriptor belongs
 * to one device: once that has gone it answers an error, whatever has its name by then.
 * Source: Documentation/ABI/testing/sysfs-class-net-statistics.
 */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { readText } from '../cgroup/group.js';
import { type InterfaceKind, interfaceIdentity, interfaceNumber, type Unread, unreadBecause } from './interface.js';

/** Since the interface was made. What a limit drops is not among the drops: traffic control counts that itself. */
export interface TrafficCounters {
  readonly receivedBytes: number;
  readonly receivedPackets: number;
  /** Meant for the guest, which did not take it in time. */
  readonly receivedDropped: number;
  readonly sentBytes: number;
  readonly sentPackets: number;
  readonly sentDropped: number;
}

export type CounterReading =
  /** Another ifindex than last time is another device: its counters began at 0. */
  { readonly state: 'read'; readonly ifindex: number; readonly counters: TrafficCounters } | Unread;

interface Device {
  readonly ifindex: number;
  readonly kind: InterfaceKind;
  /** In the order of FILES. */
  readonly descriptors: readonly number[];
}

/** From the host's view. */
const FILES = ['rx_bytes', 'rx_packets', 'rx_dropped', 'tx_bytes', 'tx_packets', 'tx_dropped'];

export class InterfaceCounters {
  readonly #sysRoot: string;
  readonly #devices = new Map<string, Device>();

  constructor(sysRoot = '/sys') {
    this.#sysRoot = sysRoot;
  }

  /** `ifindex`, where the caller knows it: a device that was renamed keeps its descriptors, and is not meant. */
  read(device: string, ifindex: number | null = null): CounterReading {
    const kept = this.#devices.get(device);
    if (kept !== undefined && (ifindex === null || ifindex === kept.ifindex)) {
      try {
        return readCounters(kept);
      } catch {
        // Whether it has gone or is another by now, opening it anew tells.
      }
    }
    this.close(device);
    const opened = this.#open(device);
    if ('state' in opened) return opened;
    try {
      const reading = readCounters(opened);
      this.#devices.set(device, opened);
      return reading;
    } catch (error) {
      closeDescriptors(opened.descriptors);
      return unreadBecause(error);
    }
  }

  /** Lets go of one device, or of all. */
  close(device?: string): void {
    for (const name of device === undefined ? [...this.#devices.keys()] : [device]) {
      closeDescriptors(this.#devices.get(name)?.descriptors ?? []);
      this.#devices.delete(name);
    }
  }

  #open(device: string): Device | Unread {
    const before = interfaceIdentity(device, this.#sysRoot);
    if (before.state !== 'found') return before;
    const descriptors: number[] = [];
    try {
      const directory = join(this.#sysRoot, 'class', 'net', device, 'statistics');
      for (const file of FILES) descriptors.push(openSync(join(directory, file), 'r'));
    } catch (error) {
      closeDescriptors(descriptors);
      return unreadBecause(error);
    }
    const { ifindex, kind } = before;
    const after = interfaceNumber(device, this.#sysRoot);
    if (after.state === 'found' && after.ifindex === ifindex) return { ifindex, kind, descriptors };
    // Replaced while its files were opened: some of them may be the other's.
    closeDescriptors(descriptors);
    return after.state === 'found' ? { state: 'vanished' } : after;
  }
}

/** @throws when a file cannot be read or holds no number. */
function readCounters({ ifindex, kind, descriptors }: Device): CounterReading {
  const [rxBytes, rxPackets, rxDropped, txBytes, txPackets, txDropped] = descriptors.map(readCounter) as SixNumbers;
  // What a tap receives the guest has sent. A macvtap is the guest's own end.
  const counters: TrafficCounters =
    kind === 'macvtap'
      ? {
          receivedBytes: rxBytes,
          receivedPackets: rxPackets,
          receivedDropped: rxDropped,
          sentBytes: txBytes,
          sentPackets: txPackets,
          sentDropped: txDropped,
        }
      : {
          receivedBytes: txBytes,
          receivedPackets: txPackets,
          receivedDropped: txDropped,
          sentBytes: rxBytes,
          sentPackets: rxPackets,
          sentDropped: rxDropped,
        };
  return { state: 'read', ifindex, counters };
}

type SixNumbers = [number, number, number, number, number, number];

function readCounter(fd: number): number {
  const text = readText(fd);
  if (!/^\d{1,20}$/.test(text)) throw new Error('a counter that is no number');
  return Number(text);
}

function closeDescriptors(descriptors: readonly number[]): void {
  for (const fd of descriptors) closeSync(fd);
}
