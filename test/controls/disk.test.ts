/** disk.limit and disk.weight: which way each disk is limited and why, what is merged with what others set, who is told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Control, Desired } from '../../src/controls/control.js';
import { diskLimit } from '../../src/controls/disk-limit.js';
import { ioMaxBeneath, throttleBeneath } from '../../src/controls/disk-merge.js';
import { diskWeight } from '../../src/controls/disk-weight.js';
import type { DiskDevice } from '../../src/domains/types.js';
import { fakeDisk } from '../fakes/fake-tuning.js';
import {
  desiredOf,
  type GuestOptions,
  guestOn,
  type Layout,
  MIB,
  onDisk,
  sees,
  tellOf,
  textsOf,
  writersOf,
} from './some-guest.js';

const notesOf = (desired: Desired): string =>
  desired.kind === 'set' ? desired.notes.join('; ') : desired.kind === 'unmanaged' ? '' : desired.reason;

const withDisks = (disks: readonly DiskDevice[], more: Partial<GuestOptions> = {}): GuestOptions => ({
  ...more,
  tuning: { disks, ...more.tuning },
});
const VDA = fakeDisk({ target: 'vda' });
const ON_SDA = { hostDevices: { vda: onDisk('8:0', 'sda'), vdb: onDisk('8:0', 'sda') } };
const IOPS = 'disk: { limit: { iops: 500 } }';

describe('disk.limit', () => {
  const cgroup = (limits: string) => `disk: { via: cgroup, limit: { ${limits} } }`;
  const [vdb, cdrom] = [fakeDisk({ target: 'vdb' }), { device: 'cdrom', target: 'sda' } as const];
  const rbd = fakeDisk({ target: 'vda', sourceType: 'network', path: null, empty: false });
  const nothingSet = { 'io.max 8:0': 'rbps=max wbps=max riops=max wiops=max' };

  const ways: [string, string, Layout, GuestOptions, RegExp | Record<string, string>, RegExp | null][] = [
    [
      'each disk through QEMU',
      IOPS,
      'v2',
      withDisks([VDA, vdb]),
      { 'vda/throttle': 'total_iops_sec=500', 'vdb/throttle': 'total_iops_sec=500' },
      /vda: through QEMU/,
    ],
    ['network storage too', IOPS, 'v1', withDisks([rbd]), { 'vda/throttle': 'total_iops_sec=500' }, null],
    [
      'a CD-ROM with a medium',
      IOPS,
      'v2',
      withDisks([fakeDisk(cdrom)]),
      { 'sda/throttle': 'total_iops_sec=500' },
      null,
    ],
    [
      'an empty drive is left out, the others are not',
      IOPS,
      'v2',
      withDisks([VDA, fakeDisk({ ...cdrom, path: null })]),
      { 'vda/throttle': 'total_iops_sec=500' },
      /sda: not limited: there is no medium/,
    ],
    [
      'vhost-user',
      IOPS,
      'v2',
      withDisks([fakeDisk({ target: 'vda', sourceType: 'vhostuser', path: null, empty: false })]),
      /^unsupported: vda: not limited: vhost-user/,
      null,
    ],
    [
      'a passed-through LUN',
      IOPS,
      'v2',
      withDisks([{ ...VDA, device: 'lun' }]),
      /^unsupported: vda: .*passed through/,
      null,
    ],
    ['no disks', IOPS, 'v2', {}, /^unsupported: it has no disks$/, null],
    [
      'a group that two disks share is one limit for both',
      IOPS,
      'v2',
      withDisks(
        ['vda', 'vdb', 'vdc'].map((target) =>
          fakeDisk({ target, throttle: { fields: { read_iops_sec: 9 }, group: target === 'vdc' ? 'own' : 'both' } }),
        ),
      ),
      { 'vdc/throttle': 'total_iops_sec=500' },
      /vda: not limited: it shares a throttle group with 1 other/,
    ],
    [
      'through the cgroup: one limit a host disk, however many of the guest’s are on it',
      cgroup('read: 1MiB/s, write-iops: 7'),
      'v2-nested',
      withDisks([VDA, vdb], ON_SDA),
      { 'io.max/8:0': `rbps=${MIB} wbps=max riops=max wiops=7` },
      /vda: through the cgroup on sda \(8:0\), for all disks of the guest there together: as disk\.via asks/,
    ],
    [
      'on several host disks',
      cgroup('read-iops: 7'),
      'v2',
      withDisks([VDA, vdb], { hostDevices: { vda: onDisk('8:0', 'sda'), vdb: onDisk('254:0', 'vda') } }),
      {
        'io.max/8:0': 'rbps=max wbps=max riops=7 wiops=max',
        'io.max/254:0': 'rbps=max wbps=max riops=7 wiops=max',
      },
      null,
    ],
    [
      'v1 knows the guest’s requests only without the page cache',
      cgroup('read-iops: 7'),
      'v1',
      withDisks([VDA, { ...vdb, cache: 'writeback' }, fakeDisk({ target: 'vdc', cache: null })], ON_SDA),
      { 'io.max/8:0': 'rbps=max wbps=max riops=7 wiops=max' },
      /vdb: not limited: cgroup v1 .*; vdc: not limited: cgroup v1/,
    ],
    [
      'what is no disk of this host has no such limit',
      cgroup('read-iops: 7'),
      'v2',
      withDisks([rbd]),
      /^unsupported: vda: .*no file or device of this host/,
      null,
    ],
    ['not looked up yet', cgroup('read-iops: 7'), 'v2', withDisks([VDA]), /^unsupported: vda: .*not known yet/, null],
    [
      'what cannot be looked up says why',
      cgroup('read-iops: 7'),
      'v2',
      withDisks([VDA], { hostDevices: { vda: { ok: false, reason: 'it is on tmpfs' } } }),
      /^unsupported: vda: .*on tmpfs/,
      null,
    ],
    [
      'without libvirt, the cgroup',
      'disk: { limit: { read-iops: 7 } }',
      'bare',
      withDisks([VDA], ON_SDA),
      { 'io.max/8:0': 'rbps=max wbps=max riops=7 wiops=max' },
      /libvirt does not run it/,
    ],
    ['which has no sums', IOPS, 'bare', withDisks([VDA], ON_SDA), /^unsupported: vda: .*neither sums nor bursts/, null],
    [
      'nor a QEMU that could be asked',
      'disk: { via: qemu, limit: { read-iops: 7 } }',
      'bare',
      withDisks([VDA], ON_SDA),
      /^unsupported: vda: .*libvirt, which does not run it/,
      null,
    ],
    [
      'nor a systemd',
      cgroup('read-iops: 7'),
      'bare-scope',
      withDisks([VDA], ON_SDA),
      /^unsupported: vda: .*systemd owns its group/,
      null,
    ],
    [
      'more than anything counts',
      'disk: { limit: { read: 2000TB/s } }',
      'v2',
      withDisks([VDA]),
      /^refused: read 2000TB\/s is more than QEMU counts/,
      null,
    ],
  ];
  for (const [name, text, layout, options, wanted, notes] of ways) {
    test(name, () => {
      const desired = desiredOf(diskLimit, text, guestOn(layout, options), sees(nothingSet));
      if (wanted instanceof RegExp) assert.match(String(textsOf(desired)), wanted);
      else assert.deepEqual(textsOf(desired), wanted);
      if (notes !== null) assert.match(notesOf(desired), notes);
    });
  }

  test('QEMU’s own reason is given', () => {
    const guest = guestOn('v2', withDisks([VDA]));
    const sight = { ...sees({}), problem: () => 'no such luck' };
    assert.match(
      String(textsOf(desiredOf(diskLimit, IOPS, guest, sight))),
      /QEMU has no throttle for it: no such luck/,
    );
  });

  const merges: [string, string, string, string][] = [
    ['beside what others set', 'read: 1000B/s', 'write_bytes_sec=5', 'read_bytes_sec=1000 write_bytes_sec=5'],
    ['in its place', 'read: 1000B/s', 'read_bytes_sec=5 read_bytes_sec_max=9', 'read_bytes_sec=1000'],
    ['a sum instead of parts', 'total: 1000B/s', 'read_bytes_sec=5 write_bytes_sec=6', 'total_bytes_sec=1000'],
    ['a part instead of a sum', 'write-iops: 7', 'total_iops_sec=5 total_iops_sec_max=6', 'write_iops_sec=7'],
    ['in the group where it is', 'iops: 7', 'read_bytes_sec=5 group=g', 'read_bytes_sec=5 total_iops_sec=7 group=g'],
    ['the size of an operation stays', 'iops: 7', 'size_iops_sec=512', 'total_iops_sec=7 size_iops_sec=512'],
    [
      'a burst lasts no longer than asked',
      'iops: 500, burst: { iops: 1000, for: 30.9s }',
      'none',
      'total_iops_sec=500 total_iops_sec_max=1000 total_iops_sec_max_length=15',
    ],
  ];
  for (const [name, limits, standing, wanted] of merges) {
    test(`merged: ${name}`, () => {
      const domain = guestOn('v2', withDisks([VDA]));
      const desired = desiredOf(diskLimit, `disk: { limit: { ${limits} } }`, domain, sees({ 'qemu:vda': standing }));
      assert.deepEqual(textsOf(desired), { 'vda/throttle': wanted });
      const again = desiredOf(diskLimit, `disk: { limit: { ${limits} } }`, domain, sees({ 'qemu:vda': wanted }));
      assert.deepEqual(textsOf(again), { 'vda/throttle': wanted }, 'at rest');
    });
  }

  const beneath: [string, string, string, string[], string][] = [
    ['ours goes', 'read_iops_sec=5', 'none', ['read_iops_sec=5'], 'none'],
    ['and what it replaced comes back', 'read_iops_sec=5', 'read_iops_sec=3', ['read_iops_sec=5'], 'read_iops_sec=3'],
    ['another’s stays', 'read_iops_sec=5 write_iops_sec=6', 'none', ['read_iops_sec=5'], 'write_iops_sec=6'],
    ['ours that another has changed is theirs', 'read_iops_sec=9', 'none', ['read_iops_sec=5'], 'read_iops_sec=9'],
    [
      'parts that our sum replaced come back',
      'total_iops_sec=5',
      'read_iops_sec=3 write_iops_sec=4',
      ['total_iops_sec=5'],
      'read_iops_sec=3 write_iops_sec=4',
    ],
    ['but not beside another’s sum', 'total_iops_sec=9', 'read_iops_sec=3', ['total_iops_sec=5'], 'total_iops_sec=9'],
    [
      'a limit with its burst is one',
      'read_iops_sec=5 read_iops_sec_max=9',
      'none',
      ['read_iops_sec=5'],
      'read_iops_sec=5 read_iops_sec_max=9',
    ],
    [
      'a group comes back with its limits',
      'read_iops_sec=5 group=g',
      'read_iops_sec=3 group=g',
      ['read_iops_sec=5 group=g'],
      'read_iops_sec=3 group=g',
    ],
    ['someone has taken all off', 'none', 'read_iops_sec=3', ['read_iops_sec=5'], 'none'],
  ];
  for (const [name, standing, original, written, wanted] of beneath) {
    test(`without ours: ${name}`, () => assert.equal(throttleBeneath(standing, original, written), wanted));
  }
  test('without ours, on a host disk', () => {
    const line = (rbps: string, wiops: string) => `rbps=${rbps} wbps=max riops=max wiops=${wiops}`;
    assert.equal(ioMaxBeneath(line('5', '6'), line('max', 'max'), [line('5', 'max')]), line('max', '6'));
    assert.equal(ioMaxBeneath(line('5', 'max'), line('3', 'max'), [line('5', 'max')]), line('3', 'max'));
    assert.equal(ioMaxBeneath('strange', line('3', 'max'), []), line('3', 'max'));
  });

  test('who is told what', () => {
    const asked = 'disk: { via: cgroup, limit: { read: 5B/s } }';
    const rows: [Layout, string, boolean][] = [
      ['v1', 'direct', true],
      ['v2-nested', 'direct', true],
      ['v2-flat', 'libvirt', true],
      ['bare', 'direct', false],
    ];
    for (const [layout, writer, told] of rows) {
      const domain = guestOn(layout, withDisks([VDA], ON_SDA));
      const desired = desiredOf(diskLimit, asked, domain);
      assert.deepEqual(writersOf(desired), { 'io.max/8:0': writer }, layout);
      const [call] = tellOf(diskLimit, desired, domain)?.calls ?? [];
      assert.deepEqual(
        call?.call === 'blkio' ? call.parameters : null,
        told
          ? {
              device_read_bytes_sec: '/dev/sda,5',
              device_write_bytes_sec: '/dev/sda,0',
              device_read_iops_sec: '/dev/sda,0',
              device_write_iops_sec: '/dev/sda,0',
            }
          : null,
        layout,
      );
    }
  });

  test('metrics and words name the guest’s disk, or the host’s device', () => {
    const domain = guestOn('v2', withDisks([VDA], ON_SDA));
    const labels = (text: string): unknown => {
      const desired = desiredOf(diskLimit, text, domain);
      return desired.kind === 'set' ? [desired.amounts.map((one) => one.labels.disk), desired.display] : desired.kind;
    };
    assert.deepEqual(labels(IOPS), [['vda'], 'vda: 500 iops']);
    assert.deepEqual(labels('disk: { via: cgroup, limit: { read-iops: 5 } }'), [['/dev/sda'], '/dev/sda: 5 read iops']);
    const unknown = new Map([['vda/throttle', null]]);
    assert.deepEqual(diskLimit.amountsOf?.(unknown, domain), []);
    assert.equal(diskLimit.displayOf?.(unknown, domain), 'vda: not known yet');
  });
});

describe('disk.weight', () => {
  const on = (layout: Layout, keeper: 'bfq' | 'iocost' | null, missing: string[] = []) => {
    const domain = guestOn(layout, withDisks([VDA], { hostDevices: { vda: onDisk('8:0', 'sda', keeper) } }));
    const desired = desiredOf(diskWeight, 'disk: { weight: 400 }', domain, sees({}, missing));
    const tell = tellOf(diskWeight, desired, domain);
    const [call] = tell?.calls ?? [];
    const property = tell?.units[0]?.properties[0];
    return {
      found: textsOf(desired),
      told: call?.call === 'blkio' ? call.parameters.weight : property && `${property.name}=${property.value}`,
    };
  };
  const rows: [Layout, 'bfq' | 'iocost', Record<string, string>, number | string | undefined][] = [
    ['v2', 'iocost', { 'io.weight': '400' }, 400],
    ['v2', 'bfq', { 'io.bfq.weight': '127' }, 127],
    ['v1', 'bfq', { 'io.bfq.weight': '127' }, 127],
    ['v2-nested', 'bfq', { 'io.weight': '400', 'io.bfq.weight': '127' }, 400],
    ['bare', 'bfq', { 'io.bfq.weight': '127' }, undefined],
    ['bare-scope', 'iocost', { 'io.weight': '400', 'io.bfq.weight': '127' }, 'IOWeight=400'],
  ];
  for (const [layout, keeper, texts, told] of rows) {
    test(`${layout}, ${keeper}`, () => assert.deepEqual(on(layout, keeper), { found: texts, told }));
  }
  test('a scope on a kernel without the io cost controller: the least weight that BFQ takes for it', () => {
    assert.deepEqual(on('v2-nested', 'bfq', ['/io.weight']), { found: { 'io.bfq.weight': '127' }, told: 397 });
  });
  test('where nobody keeps weights, nothing is written', () => {
    assert.match(String(on('v2', null).found), /^unsupported: nothing keeps weights on sda/);
    assert.match(String(on('v2', 'bfq', ['weight']).found), /^unsupported: this kernel/);
    assert.match(String(on('v1-nested', 'bfq').found), /^unsupported: on cgroup v1 systemd/);
  });
  test('where nobody keeps weights and the class lets the daemon see to it, the reason says who does', () => {
    const onHost = { hostDevices: { vda: onDisk('8:0', 'sda') } };
    const reason = (layout: Layout) =>
      textsOf(desiredOf(diskWeight, 'disk: { weight: 400, iocost: true }', guestOn(layout, withDisks([VDA], onHost))));
    assert.match(String(reason('v2')), /^unsupported: nothing keeps weights on sda: host\.io-cost has not switched/);
    assert.match(String(reason('v1')), /neither the BFQ scheduler nor/);
  });
  test('libvirt’s weight reads as the text that it makes', () => {
    const xml = (control: Control, key: string, layout: Layout) =>
      control.fromXml?.(
        key,
        { ...guestOn(layout).facts?.tuning, blkio: { weight: 400, devices: [] } } as never,
        guestOn(layout),
      ).text;
    assert.equal(xml(diskWeight, 'io.bfq.weight', 'v2-nested'), '127');
    assert.equal(xml(diskWeight, 'io.weight', 'v2-nested'), '400');
    assert.equal(xml(diskWeight, 'io.bfq.weight', 'v2'), '400');
  });
});
