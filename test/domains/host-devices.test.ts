/** What disks stand on: looked up once for each description, again when it may have changed, and kept while it cannot be told. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { HostDevices, type HostDevicesOptions } from '../../src/domains/host-devices.js';
import type { DiskDevice, Domain, HostDevice } from '../../src/domains/types.js';
import type { ImageDevice } from '../../src/host/block/image-device.js';
import { guestOn } from '../controls/some-guest.js';
import { fakeDisk } from '../fakes/fake-tuning.js';

const file = (device: string, fileSystem = 'ext4'): ImageDevice => ({
  ok: true,
  kind: 'file',
  path: '/x',
  fileSystem,
  devices: [device],
});
const unknown = (passing: boolean): ImageDevice => ({ ok: false, reason: 'a server does not answer', passing });

let nowMs: number;
let looks: string[];
let forgotten: string[];
let learnt: { readonly uuid: string; readonly devices: ReadonlyMap<string, HostDevice> }[];
let images: Map<string, ImageDevice | Promise<ImageDevice>>;
let devices: HostDevices;
let block: HostDevicesOptions['block'];

beforeEach(() => {
  nowMs = 0;
  [looks, forgotten, learnt] = [[], [], []];
  images = new Map();
  block = {
    imageDevice: async (path) => {
      looks.push(path);
      return images.get(path) ?? file('8:0');
    },
    wholeDisks: async (found) => ({
      ok: true,
      disks: found.map((device) => ({ device, name: `disk${device}` })),
      through: found.includes('253:1') ? ['dm-1 (LVM)'] : [],
    }),
    diskQueue: async () => ({ scheduler: 'bfq', rotational: true, ioCost: false, weightsKeptBy: 'bfq' }),
    forget: (path) => void forgotten.push(path ?? 'all'),
  };
  devices = new HostDevices({
    get block() {
      return block;
    },
    monotonicMs: () => nowMs,
    onLearnt: (uuid, found) => learnt.push({ uuid, devices: found }),
  });
});

function guest(disks: readonly DiskDevice[], changes: Partial<Domain> = {}): Domain {
  return { ...guestOn('v2-nested', { tuning: { disks } }), uuid: 'db', ...changes };
}
const VDA = fakeDisk({ target: 'vda', path: '/images/a' });
const VDB = fakeDisk({ target: 'vdb', path: '/images/b' });
const found = (target = 'vda'): HostDevice | undefined => learnt.at(-1)?.devices.get(target);

async function want(domain: Domain): Promise<void> {
  devices.want(domain);
  await devices.idle();
}

describe('looking', () => {
  test('once for a description, however often the guest is looked at; again after five minutes', async () => {
    for (; nowMs <= 600_000; nowMs += 5_000) {
      devices.want(guest([VDA]));
      await want(guest([VDA]));
    }
    assert.equal(looks.length, 3);
    assert.deepEqual(found(), {
      ok: true,
      disks: [{ device: '8:0', name: 'disk8:0', weightsKeptBy: 'bfq' }],
      notes: [],
    });
  });

  test('at once when a disk came, went, or has another medium or cache mode', async () => {
    await want(guest([VDA]));
    for (const disks of [[VDA, VDB], [VDB], [{ ...VDB, path: '/images/c' }], [{ ...VDB, cache: 'writeback' }], []]) {
      const before = learnt.length;
      await want(guest(disks));
      assert.equal(learnt.length, before + 1);
      assert.deepEqual(
        [...(learnt.at(-1)?.devices.keys() ?? [])],
        disks.map(({ target }) => target),
      );
    }
    await want(guest([{ ...VDB, throttle: { fields: { total_iops_sec: 1 }, group: null } }]));
    const before = learnt.length;
    await want(guest([{ ...VDB, throttle: { fields: { total_iops_sec: 2 }, group: null } }]));
    assert.equal(learnt.length, before, 'a limit moves no image');
  });

  test('not at a guest that does not run, or that nobody has described', async () => {
    await want(guest([VDA], { process: null }));
    await want(guest([VDA], { facts: null }));
    assert.deepEqual(looks, []);
  });

  test('leaves out what is not on this host: an empty drive, a network disk', async () => {
    await want(
      guest([
        fakeDisk({ target: 'sda', path: null }),
        VDA,
        fakeDisk({ target: 'vdc', sourceType: 'network', path: null }),
      ]),
    );
    assert.deepEqual([...(learnt[0]?.devices.keys() ?? [])], ['vda']);
  });

  test('says what is behind, and what buffered writes escape', async () => {
    images.set('/images/a', file('253:1', 'zfs'));
    await want(guest([{ ...VDA, cache: 'writeback' }]));
    const device = found();
    assert.ok(device?.ok);
    assert.deepEqual(device.notes, ['behind dm-1 (LVM)', 'zfs does not charge buffered writes to the guest']);
    await want(guest([{ ...VDA, cache: 'none' }]));
    const direct = found();
    assert.ok(direct?.ok);
    assert.deepEqual(direct.notes, ['behind dm-1 (LVM)']);
  });
});

describe('what cannot be told', () => {
  test('for good, with the reason, and not asked again for five minutes', async () => {
    images.set('/images/a', unknown(false));
    for (; nowMs < 300_000; nowMs += 5_000) await want(guest([VDA]));
    assert.equal(looks.length, 1);
    assert.deepEqual(found(), { ok: false, reason: 'a server does not answer' });
  });

  test('now: not known yet, and asked again every half minute', async () => {
    images.set('/images/a', unknown(true));
    for (; nowMs < 120_000; nowMs += 5_000) await want(guest([VDA, VDB]));
    assert.equal(looks.filter((path) => path === '/images/a').length, 4);
    assert.equal(found('vda'), undefined);
    assert.equal(found('vdb')?.ok, true, 'the other disk is known');
    images.set('/images/a', file('8:16'));
    await want(guest([VDA, VDB]));
    assert.equal(found('vda')?.ok, true);
  });

  test('any more: what was known stays, for the same image in the same place alone', async () => {
    await want(guest([VDA]));
    images.set('/images/a', unknown(true));
    images.set('/images/c', unknown(true));
    nowMs += 300_000;
    await want(guest([VDA]));
    assert.equal(found('vda')?.ok, true);
    await want(guest([{ ...VDA, path: '/images/c' }]));
    assert.equal(found('vda'), undefined);
  });

  test('because a disk hangs: no second look is begun, and no other guest waits', async () => {
    let answer: (device: ImageDevice) => void = () => undefined;
    images.set('/images/a', new Promise((resolve) => (answer = resolve)));
    for (let look = 0; look < 5; look++) devices.want(guest([VDA]));
    devices.want(guest([VDB], { uuid: 'web' }));
    await new Promise(setImmediate);
    assert.deepEqual(
      learnt.map(({ uuid }) => uuid),
      ['web'],
    );
    assert.deepEqual(looks, ['/images/a', '/images/b']);
    answer(file('8:0'));
    await devices.idle();
    assert.deepEqual(
      learnt.map(({ uuid }) => uuid),
      ['web', 'db'],
    );
  });
});

describe('another keeper of weights', () => {
  let keeper: 'bfq' | 'iocost' | null;
  beforeEach(() => {
    keeper = null;
    block = {
      ...block,
      diskQueue: async () => ({
        scheduler: 'none',
        rotational: true,
        ioCost: keeper === 'iocost',
        weightsKeptBy: keeper,
      }),
    };
  });
  const kept = (target = 'vda'): unknown => {
    const device = found(target);
    return device?.ok === true ? device.disks[0]?.weightsKeptBy : undefined;
  };

  test('of one disk is learnt at once for all guests on it, without a look at their images', async () => {
    images.set('/images/b', file('8:16'));
    await want(guest([VDA]));
    await want(guest([VDA], { uuid: 'web' }));
    await want(guest([VDB], { uuid: 'mail' }));
    const [before, told] = [looks.length, learnt.length];
    keeper = 'iocost';
    await devices.learnKeeper('8:0');
    assert.deepEqual(
      learnt.slice(told).map(({ uuid }) => uuid),
      ['db', 'web'],
    );
    assert.equal(kept(), 'iocost');
    await devices.learnKeeper('8:0');
    assert.deepEqual([looks.length, learnt.length], [before, told + 2]);
  });

  test('is not forgotten for a look that began before', async () => {
    let answer: (device: ImageDevice) => void = () => undefined;
    images.set('/images/b', new Promise((resolve) => (answer = resolve)));
    devices.want(guest([VDA, VDB]));
    await new Promise(setImmediate);
    keeper = 'iocost';
    await devices.learnKeeper('8:0');
    answer(file('8:0'));
    await devices.idle();
    assert.deepEqual([kept('vda'), kept('vdb')], ['iocost', 'iocost']);
    keeper = 'bfq';
    nowMs += 300_000;
    await want(guest([VDA, VDB]));
    assert.equal(kept(), 'bfq');
  });
});

test('a guest that has gone is forgotten, with what its paths meant', async () => {
  await want(guest([VDA, VDB]));
  devices.forget('db');
  devices.forget('unheard of');
  assert.deepEqual(forgotten, ['/images/a', '/images/b']);
  images.set('/images/a', file('8:16'));
  await want(guest([VDA]));
  const device = found();
  assert.ok(device?.ok);
  assert.equal(device.disks[0]?.device, '8:16');
});
