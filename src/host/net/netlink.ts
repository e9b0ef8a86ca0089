/**
 * A NETLINK_ROUTE socket on which the kernel is asked for what it holds about one interface: synchronous, never
 * waiting for a reply, kept open. It needs no privilege. Whatever goes wrong is a reason in words, and the next request
 * begins with a fresh socket, so that no late reply is ever taken for another's.
 * Sources: netlink(7), rtnetlink(7), Documentation/userspace-api/netlink/intro.rst.
 */
import { lastErrno, loadLibrary } from '../ffi.js';
import {
  dumpRequest,
  int32,
  type NetlinkMessage,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  parseMessages,
} from './netlink-message.js';

/** sys/socket.h; the same on every architecture that runs KVM. */
const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC_NONBLOCK = 3 | 0o2000000 | 0o4000;
const NETLINK_ROUTE = 0;
const MSG_TRUNC = 0x20;
const EINTR = 4;
/** The kernel fills datagrams up to the size of the reader's buffer, 32 KiB at most. */
const DATAGRAM_BYTES = 32 * 1024;
/** An interface with more classes or filters than fit here is none that libvirt has set up. */
const MAX_DATAGRAMS = 64;
/** struct sockaddr_nl: family, padding, port 0 (the kernel), no groups. Family in this machine's byte order. */
const KERNEL_ADDRESS = new Uint8Array(new Uint16Array([AF_NETLINK, 0, 0, 0, 0, 0]).buffer);

export type Dump =
  | { readonly ok: true; readonly messages: readonly NetlinkMessage[] }
  | { readonly ok: false; readonly reason: string };

/** As in C. */
export interface SocketCalls {
  socket(family: number, type: number, protocol: number): number;
  connect(fd: number, address: Uint8Array, length: number): number;
  send(fd: number, bytes: Uint8Array, length: number, flags: number): number;
  recv(fd: number, bytes: Uint8Array, length: number, flags: number): number;
  close(fd: number): number;
}

export class RouteSocket {
  readonly #calls: SocketCalls | string;
  readonly #buffer = new Uint8Array(DATAGRAM_BYTES);
  #fd = -1;
  #sequence = 0;

  constructor(calls: SocketCalls | string = socketCalls()) {
    this.#calls = calls;
  }

  /** Messages of type `request` that the kernel has for this interface. */
  dump(request: number, ifindex: number, parent = 0): Dump {
    if (typeof this.#calls === 'string') return failed(this.#calls);
    const first = this.#dumpOnce(this.#calls, request, ifindex, parent);
    if (first !== 'interrupted') return first;
    const second = this.#dumpOnce(this.#calls, request, ifindex, parent);
    return second === 'interrupted' ? failed('the traffic control of the interface keeps changing') : second;
  }

  close(): void {
    if (this.#fd >= 0 && typeof this.#calls !== 'string') this.#calls.close(this.#fd);
    this.#fd = -1;
  }

  #dumpOnce(calls: SocketCalls, request: number, ifindex: number, parent: number): Dump | 'interrupted' {
    const reason = this.#open(calls);
    if (reason !== null) return failed(reason);
    this.#sequence = (this.#sequence + 1) >>> 0;
    const bytes = dumpRequest(request, this.#sequence, ifindex, parent);
    const sent = uninterrupted(() => calls.send(this.#fd, bytes, bytes.length, 0));
    if (sent !== bytes.length) return this.#abandon(`send failed with errno ${lastErrno()}`);
    const messages: NetlinkMessage[] = [];
    for (let count = 0; count < MAX_DATAGRAMS; count++) {
      const received = this.#receive(calls);
      if (typeof received === 'string') return this.#abandon(received);
      for (const message of received) {
        if (message.sequence !== this.#sequence) continue;
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) {
          this.close();
          return 'interrupted';
        }
        if (message.type === NLMSG_DONE || message.type === NLMSG_ERROR) {
          const error = int32(message.payload) ?? 0;
          return error === 0 ? { ok: true, messages } : this.#abandon(`the kernel answered errno ${-error}`);
        }
        messages.push(message);
      }
    }
    return this.#abandon(`no end after ${MAX_DATAGRAMS} datagrams`);
  }

  /** One datagram. The reply to a dump is there when send returns, so a socket without one has lost it. */
  #receive(calls: SocketCalls): readonly NetlinkMessage[] | string {
    const buffer = this.#buffer;
    const length = uninterrupted(() => calls.recv(this.#fd, buffer, buffer.length, MSG_TRUNC));
    if (length < 0) return `recv failed with errno ${lastErrno()}`;
    if (length === 0 || length > buffer.length) return `a datagram of ${length} bytes`;
    return parseMessages(new DataView(buffer.slice(0, length).buffer)) ?? 'a datagram that is cut short';
  }

  /** Connected to port 0, the socket takes datagrams from the kernel alone. Gives a reason when it cannot be made. */
  #open(calls: SocketCalls): string | null {
    if (this.#fd >= 0) return null;
    this.#fd = calls.socket(AF_NETLINK, SOCK_RAW_CLOEXEC_NONBLOCK, NETLINK_ROUTE);
    if (this.#fd < 0) return `socket failed with errno ${lastErrno()}`;
    if (calls.connect(this.#fd, KERNEL_ADDRESS, KERNEL_ADDRESS.length) === 0) return null;
    return this.#abandon(`connect failed with errno ${lastErrno()}`).reason;
  }

  #abandon(reason: string): Extract<Dump, { ok: false }> {
    this.close();
    return failed(reason);
  }
}

function failed(reason: string): Extract<Dump, { ok: false }> {
  return { ok: false, reason };
}

function uninterrupted(call: () => number): number {
  for (;;) {
    const result = call();
    if (result >= 0 || lastErrno() !== EINTR) return result;
  }
}

let bound: SocketCalls | undefined;

/** The C library's calls, or why there are none. */
function socketCalls(): SocketCalls | string {
  if (bound !== undefined) return bound;
  const loaded = loadLibrary('libc.so.6');
  if (!loaded.ok) return loaded.reason;
  const { library } = loaded;
  bound = {
    socket: library.bind('socket', 'int', ['int', 'int', 'int']) as SocketCalls['socket'],
    connect: library.bind('connect', 'int', ['int', 'void *', 'uint']) as SocketCalls['connect'],
    send: library.bind('send', 'longlong', ['int', 'void *', 'ulong', 'int']) as SocketCalls['send'],
    recv: library.bind('recv', 'longlong', ['int', 'void *', 'ulong', 'int']) as SocketCalls['recv'],
    close: library.bind('close', 'int', ['int']) as SocketCalls['close'],
  };
  return bound;
}
