/**
 * What the kernel really limits a guest's interface to, read by netlink: two dumps, synchronous, on one kept socket.
 * It is the other end of what libvirt sets through tc(8); see bandwidth.ts for units. From the guest's view: `in` is
 * traffic to the guest.
 * Source: virNetDevBandwidthSet and virDomainNetTypeSharesHostView (libvirt 9.0).
 */
import type { Shaper } from './bandwidth.js';
import { type InterfaceKind, interfaceNumber, type Unread } from './interface.js';
import { type Dump, RouteSocket } from './netlink.js';
import { type EnforcedBandwidth, foreignQueue, parseHtbClass, parsePolice } from './tc-message.js';

const RTM_GETTCLASS = 42;
const RTM_GETTFILTER = 46;
/** The parent of what hangs on the ingress discipline. */
const INGRESS = 0xffff_0000;

export type BandwidthReading =
  | {
      readonly state: 'read';
      readonly ifindex: number;
      /** Null: no limit of libvirt's making. */
      readonly in: EnforcedBandwidth | null;
      readonly out: EnforcedBandwidth | null;
    }
  | Unread;

/** A tap is the host's end of a cable, a macvtap the guest's own: which way a limit works depends on it. */
export function shaperOf(direction: 'in' | 'out', kind: InterfaceKind): Shaper {
  return (direction === 'in') === (kind !== 'macvtap') ? 'htb' : 'police';
}

export class TrafficControl {
  readonly #socket: RouteSocket;

  readonly #sysRoot: string;

  constructor(socket = new RouteSocket(), sysRoot = '/sys') {
    this.#socket = socket;
    this.#sysRoot = sysRoot;
  }

  read(device: string, kind: InterfaceKind): BandwidthReading {
    const named = interfaceNumber(device, this.#sysRoot);
    if (named.state !== 'found') return named;
    const { ifindex } = named;
    const classes = this.#socket.dump(RTM_GETTCLASS, ifindex);
    if (!classes.ok) return unreadable(classes);
    const foreign = foreignQueue(classes.messages, ifindex);
    if (foreign !== null) {
      return unreadable({ ok: false, reason: `somebody else shapes it with ${foreign}, which libvirt would take off` });
    }
    const filters = this.#socket.dump(RTM_GETTFILTER, ifindex, INGRESS);
    if (!filters.ok) return unreadable(filters);
    const htb = parseHtbClass(classes.messages, ifindex);
    const police = parsePolice(filters.messages, ifindex);
    // An interface that has gone has no classes and no filters either, and the kernel does not say which it is.
    if (htb === null && police === null) {
      const again = interfaceNumber(device, this.#sysRoot);
      if (again.state !== 'found') return again;
      if (again.ifindex !== ifindex) return { state: 'vanished' };
    }
    return shaperOf('in', kind) === 'htb'
      ? { state: 'read', ifindex, in: htb, out: police }
      : { state: 'read', ifindex, in: police, out: htb };
  }

  close(): void {
    this.#socket.close();
  }
}

function unreadable({ reason }: Extract<Dump, { ok: false }>): BandwidthReading {
  return { state: 'unreadable', reason };
}
