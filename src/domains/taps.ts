/**
 * What the kernel limits a guest's interfaces to, in the words in which libvirt was asked for it: a value that the kernel
 * keeps rounded is not taken for another one.
 */

import { inLibvirtUnits } from '../host/net/bandwidth.js';
import { type InterfaceKind, interfaceIdentity } from '../host/net/interface.js';
import { type BandwidthReading, shaperOf, TrafficControl } from '../host/net/tc.js';
import { formatBandwidth } from '../text/bandwidth.js';
import type { Domain } from './types.js';

interface Seen {
  readonly kind: InterfaceKind;
  readonly reading: BandwidthReading;
}

export class Taps {
  readonly #control = new TrafficControl();
  /**
   * Both directions come with one reading, which holds for this turn of the event loop and no longer: what libvirt has just
   * been told must be read back, and it answers within 20 ms.
   */
  readonly #seen = new Map<string, Seen>();

  /** Canonical text; null when the interface is gone or cannot be read. */
  read({ facts }: Domain, device: string, direction: 'in' | 'out'): string | null {
    const one = facts?.tuning.interfaces.find((other) => other.device === device);
    const seen = one === undefined ? null : this.#look(device);
    if (one === undefined || seen === null || seen.reading.state !== 'read') return null;
    const said = direction === 'in' ? one.inbound : one.outbound;
    return formatBandwidth(inLibvirtUnits(seen.reading[direction], shaperOf(direction, seen.kind), said));
  }

  /** Why it cannot be read; null when it can, or is gone. */
  problem(device: string): string | null {
    const reading = this.#look(device)?.reading;
    return reading?.state === 'unreadable' ? reading.reason : null;
  }

  close(): void {
    this.#control.close();
    this.#seen.clear();
  }

  #look(device: string): Seen | null {
    const before = this.#seen.get(device);
    if (before !== undefined) return before;
    const identity = interfaceIdentity(device);
    if (identity.state !== 'found') return null;
    if (this.#seen.size === 0) setImmediate(() => this.#seen.clear());
    const seen = { kind: identity.kind, reading: this.#control.read(device, identity.kind) };
    this.#seen.set(device, seen);
    return seen;
  }
}
