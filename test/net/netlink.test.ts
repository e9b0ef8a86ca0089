import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { endianness, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import type { InterfaceKind } from '../../src/host/net/interface.js';
import { RouteSocket, type SocketCalls } from '../../src/host/net/netlink.js';
import { TrafficControl } from '../../src/host/net/tc.js';
import { libvirt, none } from './captures.js';

const skip = endianness() === 'LE' ? false : 'the captures are of a little-endian machine';
const RTM_GETTCLASS = 42;
const INTERRUPTED = 0x10;

const root = mkdtempSync(join(tmpdir(), 'sysfs-'));
const ifindexFile = join(root, 'class', 'net', 'vnet0', 'ifindex');
after(() => rmSync(root, { recursive: true }));
beforeEach(() => {
  mkdirSync(join(root, 'class', 'net', 'vnet0'), { recursive: true });
  writeFileSync(ifindexFile, '3\n');
});

/** A kernel that answers each request with the next of these lists; every datagram gets the request's number. */
class FakeKernel implements SocketCalls {
  readonly open = new Set<number>();
  opened = 0;
  beforeReply = () => {};
  #waiting: Buffer[] = [];
  readonly #replies: (readonly Buffer[])[];

  constructor(...replies: readonly (readonly Buffer[])[]) {
    this.#replies = [...replies];
  }

  socket() {
    this.opened += 1;
    this.open.add(this.opened);
    return this.opened;
  }

  connect() {
    return 0;
  }

  send(fd: number, bytes: Uint8Array) {
    assert.ok(this.open.has(fd));
    this.beforeReply();
    const sequence = Buffer.from(bytes).readUInt32LE(8);
    const reply = this.#replies.shift() ?? [];
    this.#waiting = reply.map((datagram) => {
      const copy = Buffer.from(datagram);
      if (copy.length >= 12 && copy.readUInt32LE(8) !== STRANGER) copy.writeUInt32LE(sequence, 8);
      return copy;
    });
    return bytes.length;
  }

  recv(fd: number, bytes: Uint8Array) {
    assert.ok(this.open.has(fd));
    const datagram = this.#waiting.shift();
    if (datagram === undefined) return -1;
    bytes.set(datagram.subarray(0, bytes.length));
    return datagram.length;
  }

  close(fd: number) {
    assert.ok(this.open.delete(fd));
    return 0;
  }
}

const STRANGER = 0xdead_beef;
const classes = libvirt.classes.map(bytes);
const filters = libvirt.filters.map(bytes);
const nothing = none.classes.map(bytes);

describe('a dump', { skip }, () => {
  it('ends with the message that says so, over several datagrams', () => {
    const socket = new RouteSocket(new FakeKernel(classes));
    const dump = socket.dump(RTM_GETTCLASS, libvirt.ifindex);
    assert.equal(dump.ok && dump.messages.length, 1);
  });

  it("leaves out messages of somebody else's request", () => {
    const foreign = Buffer.from(classes[0] ?? assert.fail());
    foreign.writeUInt32LE(STRANGER, 8);
    const dump = new RouteSocket(new FakeKernel([foreign, ...classes])).dump(RTM_GETTCLASS, 3);
    assert.equal(dump.ok && dump.messages.length, 1);
  });

  it('is asked for once more when the kernel was interrupted, on a fresh socket', () => {
    const interrupted = classes.map((datagram) => {
      const copy = Buffer.from(datagram);
      copy.writeUInt16LE(copy.readUInt16LE(6) | INTERRUPTED, 6);
      return copy;
    });
    const kernel = new FakeKernel(interrupted, classes);
    assert.ok(new RouteSocket(kernel).dump(RTM_GETTCLASS, 3).ok);
    assert.deepEqual([...kernel.open], [2]);
    const never = new RouteSocket(new FakeKernel(interrupted, interrupted)).dump(RTM_GETTCLASS, 3);
    assert.deepEqual(never, { ok: false, reason: 'the traffic control of the interface keeps changing' });
  });

  const enoent = Buffer.alloc(20);
  enoent.writeUInt32LE(20, 0);
  enoent.writeUInt16LE(2, 4);
  enoent.writeInt32LE(-2, 16);
  const cases: Readonly<Record<string, readonly [readonly Buffer[], RegExp]>> = {
    'has no end': [classes.slice(0, 1), /^recv failed/],
    'goes on for ever': [Array.from({ length: 1000 }, () => classes[0] ?? assert.fail()), /^no end after 64/],
    'is larger than the buffer': [[Buffer.alloc(40_000)], /^a datagram of 40000 bytes/],
    'is empty': [[Buffer.alloc(0)], /^a datagram of 0 bytes/],
    'is cut short': [[(classes[0] ?? assert.fail()).subarray(0, 100)], /cut short/],
    'is a refusal': [[enoent], /^the kernel answered errno 2$/],
  };
  for (const [what, [datagrams, reason]] of Object.entries(cases)) {
    it(`that ${what} is a reason, and the next one begins with a fresh socket`, () => {
      const kernel = new FakeKernel(datagrams, classes);
      const socket = new RouteSocket(kernel);
      const dump = socket.dump(RTM_GETTCLASS, 3);
      assert.match(dump.ok ? '' : dump.reason, reason);
      assert.equal(kernel.open.size, 0);
      assert.ok(socket.dump(RTM_GETTCLASS, 3).ok);
      socket.close();
      assert.equal(kernel.open.size, 0);
    });
  }

  it('is not made without a C library', () => {
    const socket = new RouteSocket('libc.so.6 cannot be loaded');
    assert.deepEqual(socket.dump(RTM_GETTCLASS, 3), { ok: false, reason: 'libc.so.6 cannot be loaded' });
    assert.deepEqual(new TrafficControl(socket, root).read('vnet0', 'tap'), {
      state: 'unreadable',
      reason: 'libc.so.6 cannot be loaded',
    });
  });
});

describe('the limits of an interface', { skip }, () => {
  it("are from the guest's view: a macvtap is the guest's own end", () => {
    const read = (kind: InterfaceKind) =>
      new TrafficControl(new RouteSocket(new FakeKernel(classes, filters)), root).read('vnet0', kind);
    const [tap, macvtap] = [read('tap'), read('macvtap')];
    assert.ok(tap.state === 'read' && macvtap.state === 'read');
    assert.equal(tap.in?.averageBytesPerSecond, 1_000_000);
    assert.equal(tap.out?.averageBytesPerSecond, 125_000_000);
    assert.deepEqual([macvtap.in, macvtap.out], [tap.out, tap.in]);
  });

  it('are not none when the interface went, or was replaced, while it was read', () => {
    for (const successor of ['4', null]) {
      const kernel = new FakeKernel(nothing, nothing);
      const tc = new TrafficControl(new RouteSocket(kernel), root);
      kernel.beforeReply = () =>
        successor === null ? rmSync(ifindexFile, { force: true }) : writeFileSync(ifindexFile, successor);
      assert.deepEqual(tc.read('vnet0', 'tap'), { state: 'vanished' });
    }
  });

  it('are not asked for by a name that is none, or that nothing has', () => {
    const kernel = new FakeKernel();
    const tc = new TrafficControl(new RouteSocket(kernel), root);
    assert.equal(tc.read('../net/vnet0', 'tap').state, 'unreadable');
    assert.equal(tc.read('vnet1', 'tap').state, 'vanished');
    assert.equal(kernel.opened, 0);
  });
});

function bytes(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}
