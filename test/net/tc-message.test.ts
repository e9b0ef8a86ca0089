import assert from 'node:assert/strict';
import { endianness } from 'node:os';
import { describe, it } from 'node:test';
import { dumpRequest, parseAttributes, parseMessages } from '../../src/host/net/netlink-message.js';
import { parseHtbClass, parsePolice } from '../../src/host/net/tc-message.js';
import { above34Gbit, type Capture, dropping, libvirt, matchall, none, someOnly, u32Action } from './captures.js';

const skip = endianness() === 'LE' ? false : 'the captures are of a little-endian machine';

describe('replies of a kernel', { skip }, () => {
  it('give the limits that libvirt has set', () => {
    assert.deepEqual(read(libvirt), {
      in: {
        averageBytesPerSecond: 1_000_000,
        peakBytesPerSecond: 2_000_000,
        burstBytes: 102_400,
        droppedPackets: 0,
      },
      out: {
        averageBytesPerSecond: 125_000_000,
        peakBytesPerSecond: null,
        burstBytes: 1_048_496,
        droppedPackets: 0,
      },
    });
    assert.deepEqual(read(none), { in: null, out: null });
  });

  it('hold rates above 32 bits', () => {
    const { in: to, out } = read(above34Gbit);
    assert.equal(to?.averageBytesPerSecond, 5e9);
    assert.equal(to?.peakBytesPerSecond, 6e9);
    assert.equal(out?.averageBytesPerSecond, 5e9);
  });

  it('count what a limit drops', () => {
    const { in: to, out } = read(dropping);
    assert.equal(to?.droppedPackets, 0);
    assert.equal(out?.droppedPackets, 488);
  });

  it('are understood in the newer forms of a policer too', () => {
    assert.deepEqual(read(matchall), { in: null, out: policed(125_000, 10_240) });
    assert.deepEqual(read(u32Action), { in: null, out: policed(250_000, 20_480) });
  });

  it('of other interfaces, and of limits on some packets only, are no limit', () => {
    assert.deepEqual(read(someOnly), { in: null, out: null });
    assert.deepEqual(read({ ...libvirt, ifindex: libvirt.ifindex + 1 }), { in: null, out: null });
    // Asked for the one and given the other.
    assert.deepEqual(read({ ...libvirt, classes: libvirt.filters, filters: libvirt.classes }), { in: null, out: null });
  });

  it('are no limit when what exceeds the rate may pass', () => {
    // struct tc_police: index 1, then the action.
    const passing = libvirt.filters.map((hex) => hex.replace('3c0001000100000002000000', '3c0001000100000000000000'));
    assert.notDeepEqual(passing, libvirt.filters);
    assert.equal(read({ ...libvirt, filters: passing }).out, null);
  });
});

describe('replies that are broken', { skip }, () => {
  const captures = [dropping, libvirt, above34Gbit, matchall, u32Action];

  it('end early at any byte of the first message, and give nothing', () => {
    for (const capture of captures) {
      for (const hex of [...capture.classes, ...capture.filters]) {
        for (let length = 0; length < Buffer.from(hex, 'hex').readUInt32LE(0); length++) {
          const cut = hex.slice(0, 2 * length);
          assert.deepEqual(read({ ...capture, classes: [cut], filters: [cut] }), { in: null, out: null });
        }
      }
    }
  });

  it('are cut inside a message that claims to be whole, and give nothing that is not in it', () => {
    for (const capture of captures) {
      for (const hex of [...capture.classes, ...capture.filters]) {
        const bytes = Buffer.from(hex, 'hex');
        for (let length = 16; length <= bytes.readUInt32LE(0); length++) {
          const short = Buffer.from(bytes.subarray(0, length));
          short.writeUInt32LE(length, 0);
          const text = short.toString('hex');
          read({ ...capture, classes: [text], filters: [text] });
        }
      }
    }
  });

  it('have any bits wrong, and nothing throws or loops', () => {
    let seed = 1;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return (seed >>> 8) % below;
    };
    for (let round = 0; round < 20_000; round++) {
      const capture = captures[round % captures.length] ?? libvirt;
      const all = [...capture.classes, ...capture.filters];
      const bytes = Buffer.from(all[random(all.length)] ?? '', 'hex');
      for (let count = 1 + random(4); count > 0; count--) bytes[random(bytes.length)] = random(256);
      const text = bytes.toString('hex');
      for (const value of Object.values(read({ ...capture, classes: [text], filters: [text] }))) {
        if (value === null) continue;
        for (const figure of Object.values(value))
          assert.ok(figure === null || (figure >= 0 && Number.isFinite(figure)));
      }
    }
  });

  it('hold lengths that lead nowhere', () => {
    const zero = new DataView(new ArrayBuffer(32));
    assert.equal(parseMessages(zero), null);
    assert.equal(parseAttributes(zero).size, 0);
    assert.equal(parseAttributes(undefined).size, 0);
  });
});

describe('a request', { skip }, () => {
  it('is a header and a tcmsg', () => {
    assert.equal(
      Buffer.from(dumpRequest(46, 7, 3, 0xffff_0000)).toString('hex'),
      '240000002e0001030700000000000000' + '0000000003000000000000000000ffff00000000',
    );
  });
});

function read({ ifindex, classes, filters }: Capture) {
  return { in: parseHtbClass(messages(classes), ifindex), out: parsePolice(messages(filters), ifindex) };
}

function messages(datagrams: readonly string[]) {
  return datagrams.flatMap((hex) => {
    const bytes = Uint8Array.from(Buffer.from(hex, 'hex'));
    return parseMessages(new DataView(bytes.buffer)) ?? [];
  });
}

function policed(averageBytesPerSecond: number, burstBytes: number) {
  return { averageBytesPerSecond, peakBytesPerSecond: null, burstBytes, droppedPackets: 0 };
}
