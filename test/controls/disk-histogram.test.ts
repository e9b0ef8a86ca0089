/** Which disks get a histogram with which boundaries, what QEMU is told, and where there can be none. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Sight } from '../../src/controls/control.js';
import { diskHistogram } from '../../src/controls/disk-histogram.js';
import { fakeDisk } from '../fakes/fake-tuning.js';
import { desiredOf, guestOn, HOST, SEES_NOTHING, tellOf, textsOf } from './some-guest.js';

const DISKS = [fakeDisk({ target: 'vda' }), fakeDisk({ target: 'hda', device: 'cdrom', path: null })];
const guest = guestOn('v2-nested', { tuning: { disks: DISKS } });
const PLAIN = 'ns=100000,500000,1000000,2500000,5000000,10000000,25000000,100000000,500000000,5000000000,60000000000';
const desired = (text: string, domain = guest, sight?: Sight) => desiredOf(diskHistogram, text, domain, sight);

describe('who has one', () => {
  test('each disk with a medium, of a class that asks; the words say that it taints', () => {
    const asked = desired('disk: { histogram: true }');
    assert.deepEqual(textsOf(asked), { 'vda/histogram': PLAIN });
    assert.ok(asked.kind === 'set');
    assert.match(asked.display, /^vda: 12 bins to 1m, by monitor command, which marks the guest as tainted until/);
    assert.deepEqual(asked.notes, ['hda: no histogram: there is no medium in it']);
  });

  for (const text of ['disk: { histogram: false }', 'disk: { latency: 10ms }', 'cpu: { limit: 50% }']) {
    test(`nobody by ${text}`, () => assert.equal(textsOf(desired(text)), 'unmanaged'));
  }

  test('no guest that libvirt does not run', () => {
    const bare = guestOn('bare', { tuning: { disks: DISKS } });
    assert.match(
      String(textsOf(desired('disk: { histogram: true }', bare))),
      /^unsupported: QEMU is asked through libvirt/,
    );
  });

  test('no guest without a disk that could have one', () => {
    const ask = (disks: typeof DISKS) =>
      String(textsOf(desired('disk: { histogram: true }', guestOn('v2', { tuning: { disks } }))));
    assert.equal(ask([]), 'unsupported: it has no disks');
    assert.match(ask([fakeDisk({ target: 'vda', sourceType: 'vhostuser' })]), /^unsupported: vda: .*vhost-user/);
  });

  test('none where QEMU or libvirt has no way to it, in their words', () => {
    const sight = { ...SEES_NOTHING, problem: () => 'this QEMU has no block-latency-histogram-set' };
    assert.equal(
      textsOf(desired('disk: { histogram: true }', guestOn('v2', { tuning: { disks: DISKS.slice(0, 1) } }), sight)),
      'unsupported: vda: no histogram: this QEMU has no block-latency-histogram-set',
    );
  });
});

describe('boundaries', () => {
  const bounds = (latency: string): readonly number[] => {
    const { 'vda/histogram': text = '' } = textsOf(desired(`disk: { histogram: true, latency: ${latency} }`)) as never;
    return String(text).slice(3).split(',').map(Number);
  };
  for (const [latency, ns] of [
    ['10us', 10_000],
    ['10ms', 10_000_000],
    ['20ms', 20_000_000],
    ['1s', 1_000_000_000],
    ['60s', 60_000_000_000],
  ] as const) {
    test(`have the bound of the class, ${latency}, and are eleven, ascending`, () => {
      const all = bounds(latency);
      assert.ok(all.includes(ns), all.join());
      assert.equal(all.length, 11);
      assert.deepEqual(
        all,
        [...new Set(all)].sort((a, b) => a - b),
      );
    });
  }
});

describe('what QEMU is told', () => {
  test('the boundaries of each disk, or null to take them off', () => {
    const boundariesNs = PLAIN.slice(3).split(',').map(Number);
    assert.deepEqual(tellOf(diskHistogram, desired('disk: { histogram: true }'), guest), {
      calls: [{ call: 'histogram', disk: 'vda', boundariesNs }],
      units: [],
    });
    assert.deepEqual(diskHistogram.tellFor?.(new Map([['vda/histogram', 'none']]), guest)?.calls, [
      { call: 'histogram', disk: 'vda', boundariesNs: null },
    ]);
  });

  test('one that somebody set apart for reads and writes cannot be said again: none takes its place', () => {
    assert.equal(diskHistogram.restoredAs?.('read-ns=1 write-ns=none flush-ns=none', HOST), 'none');
    assert.equal(diskHistogram.restoredAs?.('ns=1,2', HOST), 'ns=1,2');
  });

  test('of a disk that is there', () => {
    assert.equal(diskHistogram.place?.('vda/histogram', guest)?.path, 'qemu-histogram:vda');
    for (const key of ['vdb/histogram', 'hda/histogram', 'vda/throttle']) {
      assert.equal(diskHistogram.place?.(key, guest), null, key);
    }
  });
});

test('the words of what stands', () => {
  const words = (text: string | null) => diskHistogram.displayOf?.(new Map([['vda/histogram', text]]), guest);
  assert.equal(words('none'), 'vda: none');
  assert.equal(words(null), 'vda: not known yet');
  assert.match(words('read-ns=1 write-ns=none flush-ns=none') ?? '', /somebody else's/);
});
