import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { InterfaceCounters } from '../../src/host/net/counters.js';
import { interfaceIdentity, isDeviceName } from '../../src/host/net/interface.js';

const root = mkdtempSync(join(tmpdir(), 'sysfs-'));
const directory = join(root, 'class', 'net', 'vnet0');
after(() => rmSync(root, { recursive: true }));
beforeEach(() => {
  rmSync(directory, { recursive: true, force: true });
  make('vnet0', 5);
  write('vnet0/tun_flags', '0x5102');
});

describe('names of interfaces', () => {
  it('are what the kernel would take, and nothing that leads elsewhere', () => {
    for (const name of ['vnet0', 'a', 'tap-1_2.3', 'macvtap0@if2', 'fifteen-bytes-x', '...', 'x%d']) {
      assert.ok(isDeviceName(name), name);
    }
    const bad = [
      '',
      '.',
      '..',
      'a/b',
      '/',
      '../lo',
      'sixteen-bytes-xy',
      'a b',
      'a:1',
      'a\0',
      'a\n',
      'ü',
      'a\t',
      '\x7f',
    ];
    for (const name of bad) assert.ok(!isDeviceName(name), JSON.stringify(name));
  });
});

describe('the identity of an interface', () => {
  it('is its number and kind', () => {
    assert.deepEqual(interfaceIdentity('vnet0', root), { state: 'found', ifindex: 5, kind: 'tap' });
    write('vnet0/tun_flags', '0x1001');
    assert.deepEqual(interfaceIdentity('vnet0', root), { state: 'found', ifindex: 5, kind: 'other' });
    rmSync(join(directory, 'tun_flags'));
    assert.deepEqual(interfaceIdentity('vnet0', root), { state: 'found', ifindex: 5, kind: 'other' });
    mkdirSync(join(directory, 'macvtap'));
    assert.deepEqual(interfaceIdentity('vnet0', root), { state: 'found', ifindex: 5, kind: 'macvtap' });
  });

  it('is vanished, or unreadable, as data', () => {
    assert.deepEqual(interfaceIdentity('vnet1', root), { state: 'vanished' });
    for (const ifindex of ['', '0', '-1', 'x', '5 6', '99999999999']) {
      write('vnet0/ifindex', ifindex);
      assert.equal(interfaceIdentity('vnet0', root).state, 'unreadable', ifindex);
    }
    assert.equal(interfaceIdentity('../../..', root).state, 'unreadable');
  });
});

describe('counters', () => {
  it("are the guest's: what a tap receives the guest has sent", () => {
    const counters = new InterfaceCounters(root);
    assert.deepEqual(counters.read('vnet0'), {
      state: 'read',
      ifindex: 5,
      counters: {
        receivedBytes: 20,
        receivedPackets: 21,
        receivedDropped: 22,
        sentBytes: 10,
        sentPackets: 11,
        sentDropped: 12,
      },
    });
    counters.close();
    rmSync(join(directory, 'tun_flags'));
    mkdirSync(join(directory, 'macvtap'));
    const reading = counters.read('vnet0');
    assert.ok(reading.state === 'read');
    assert.equal(reading.counters.receivedBytes, 10);
    assert.equal(reading.counters.sentDropped, 22);
    counters.close();
  });

  it('are read anew through descriptors that are kept, until they are let go', () => {
    const counters = new InterfaceCounters(root);
    counters.read('vnet0');
    assert.equal(descriptors(), 6);
    write('vnet0/statistics/rx_bytes', '18446744073709551615');
    const reading = counters.read('vnet0');
    assert.equal(reading.state === 'read' && reading.counters.sentBytes, 2 ** 64);
    assert.equal(descriptors(), 6);
    counters.close('vnet0');
    counters.close('never there');
    assert.equal(descriptors(), 0);
  });

  it('follow the name when the caller knows of another device', () => {
    const counters = new InterfaceCounters(root);
    counters.read('vnet0');
    rmSync(directory, { recursive: true });
    make('vnet0', 6);
    const stale = counters.read('vnet0', 5);
    assert.equal(stale.state === 'read' && stale.ifindex, 5);
    const fresh = counters.read('vnet0', 6);
    assert.equal(fresh.state === 'read' && fresh.ifindex, 6);
    counters.close();
  });

  it('that are missing or no numbers are data, and cost no descriptor', () => {
    const counters = new InterfaceCounters(root);
    for (const text of ['', '-1', '1e9', 'x', '1 2', '9'.repeat(100), '\0']) {
      write('vnet0/statistics/tx_packets', text);
      assert.equal(counters.read('vnet0').state, 'unreadable', text);
    }
    rmSync(join(directory, 'statistics', 'tx_packets'));
    assert.deepEqual(counters.read('vnet0'), { state: 'vanished' });
    mkdirSync(join(directory, 'statistics', 'tx_packets'));
    assert.equal(counters.read('vnet0').state, 'unreadable');
    assert.deepEqual(counters.read('vnet1'), { state: 'vanished' });
    assert.equal(counters.read('..').state, 'unreadable');
    assert.equal(descriptors(), 0);
  });
});

function make(device: string, ifindex: number): void {
  mkdirSync(join(root, 'class', 'net', device, 'statistics'), { recursive: true });
  write(`${device}/ifindex`, `${ifindex}`);
  for (const [index, direction] of ['rx', 'tx'].entries()) {
    for (const [number, name] of ['bytes', 'packets', 'dropped'].entries()) {
      write(`${device}/statistics/${direction}_${name}`, `${10 * (index + 1) + number}`);
    }
  }
}

function write(path: string, text: string): void {
  writeFileSync(join(root, 'class', 'net', path), `${text}\n`);
}

/** Open files of the made-up sysfs. */
function descriptors(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(root);
    } catch {
      return false;
    }
  }).length;
}
