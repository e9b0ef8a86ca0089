import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { BoundedFiles } from '../../src/host/block/bounded-files.js';
import { compareDeviceNumbers, deviceNumber, isDeviceNumber } from '../../src/host/block/device-number.js';
import {
  parseIoCostDevices,
  parseScheduler,
  readDiskQueue,
  readIoCostDevices,
} from '../../src/host/block/disk-queue.js';
import type { ImageDevice } from '../../src/host/block/image-device.js';
import { wholeDisks } from '../../src/host/block/whole-disk.js';
import { SysfsTree } from './sysfs-tree.js';

const SATA = 'pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block';

let sysfs: SysfsTree;
beforeEach(() => {
  sysfs = new SysfsTree();
});
afterEach(() => sysfs.remove());

const nowhere = async (path: string): Promise<ImageDevice> => ({ ok: false, reason: `no ${path}`, passing: false });
const disksOf = (...devices: string[]) => wholeDisks(devices, { sysRoot: sysfs.root, imageDevice: nowhere });

const SDA = { device: '8:0', name: 'sda' };
const SDB = { device: '8:16', name: 'sdb' };
const found = (disks: readonly object[], ...through: string[]) => ({ ok: true, disks, through });

function twoDisks(): void {
  sysfs.disk('sda', '8:0', {}, SATA);
  sysfs.partition('sda', 'sda1', '8:1');
  sysfs.partition('sda', 'sda2', '8:2');
  sysfs.disk('sdb', '8:16', {}, SATA.replaceAll('0:0', '1:0'));
  sysfs.partition('sdb', 'sdb1', '8:17');
}

describe('the whole disks behind a device', () => {
  it('are the disk itself', async () => {
    sysfs.disk('vda', '254:0', {}, 'pci0000:00/0000:00:02.0/virtio1/block');
    sysfs.disk('zram0', '253:0');
    assert.deepEqual(await disksOf('254:0'), found([{ device: '254:0', name: 'vda' }]));
    assert.deepEqual(await disksOf('253:0'), found([{ device: '253:0', name: 'zram0' }]));
    assert.deepEqual(await disksOf(), found([]));
  });

  it('are the disk of a partition', async () => {
    twoDisks();
    assert.deepEqual(await disksOf('8:2'), found([SDA]));
    assert.deepEqual(await disksOf('8:17', '8:1', '8:2'), found([SDA, SDB]));
  });

  it('are all disks of a volume group', async () => {
    twoDisks();
    sysfs.stack('dm-3', '253:3', ['sdb1', 'sda2'], { 'dm/uuid': 'LVM-q3HgvkBWk1', 'dm/name': 'vg0-guest' });
    assert.deepEqual(await disksOf('253:3'), found([SDA, SDB], 'dm-3 (LVM)'));
  });

  it('are found through encryption on a mirror of partitions', async () => {
    twoDisks();
    sysfs.stack('md127', '9:127', ['sda1', 'sdb1'], { 'md/level': 'raid1' });
    sysfs.stack('dm-0', '253:0', ['md127'], { 'dm/uuid': 'CRYPT-LUKS2-0a1b-crypt' });
    sysfs.stack('dm-1', '253:1', ['dm-0'], { 'dm/uuid': 'LVM-abc' });
    assert.deepEqual(await disksOf('253:1'), found([SDA, SDB], 'dm-1 (LVM)', 'dm-0 (CRYPT)', 'md127 (raid1)'));
  });

  it('are found through md partitions and bcache, and by a name made with dmsetup', async () => {
    twoDisks();
    sysfs.stack('md0', '9:0', ['sda', 'sdb'], { 'md/level': 'raid10' });
    sysfs.partition('md0', 'md0p1', '259:0');
    sysfs.stack('bcache0', '252:0', ['md0p1']);
    sysfs.stack('dm-0', '253:0', ['bcache0'], { 'dm/uuid': '' });
    assert.deepEqual(await disksOf('253:0'), found([SDA, SDB], 'dm-0', 'bcache0', 'md0 (raid10)'));
  });

  it('are the multipath device, not its paths', async () => {
    twoDisks();
    sysfs.stack('dm-0', '253:0', ['sda', 'sdb'], { 'dm/uuid': 'mpath-3600a0b80' });
    sysfs.stack('dm-1', '253:1', ['dm-0'], { 'dm/uuid': 'part1-mpath-3600a0b80' });
    assert.deepEqual(await disksOf('253:1'), found([{ device: '253:0', name: 'dm-0' }], 'dm-1 (part)'));
  });

  it('are the nvme namespace, whose hidden paths have no number', async () => {
    sysfs.disk('nvme0n1', '259:0', {}, 'virtual/nvme-subsystem/nvme-subsys0');
    sysfs.partition('nvme0n1', 'nvme0n1p2', '259:2');
    sysfs.write(join(sysfs.directory('nvme0n1'), 'multipath', 'nvme0c0n1', 'hidden'), '1\n');
    assert.deepEqual(await disksOf('259:2'), found([{ device: '259:0', name: 'nvme0n1' }]));
  });

  it('have the name of their device node', async () => {
    sysfs.disk('cciss!c0d0', '104:0');
    assert.deepEqual(await disksOf('104:0'), found([{ device: '104:0', name: 'cciss/c0d0' }]));
  });
});

describe('a loop device', () => {
  const image = (devices: readonly string[]) => async (): Promise<ImageDevice> => {
    return { ok: true, kind: 'file', path: '/srv/a.img', fileSystem: 'btrfs', devices };
  };

  it('stands on the disks of its file', async () => {
    twoDisks();
    sysfs.disk('loop0', '7:0', { 'loop/backing_file': '/srv/a b.img' });
    sysfs.partition('loop0', 'loop0p1', '259:0');
    const asked: string[] = [];
    const imageDevice = (path: string) => {
      asked.push(path);
      return image(['8:1', '8:17'])();
    };
    assert.deepEqual(await wholeDisks(['259:0'], { sysRoot: sysfs.root, imageDevice }), found([SDA, SDB], 'loop0'));
    assert.deepEqual(asked, ['/srv/a b.img']);
  });

  it('that stands on nothing, on a file somewhere or on itself has no disk', async () => {
    sysfs.disk('loop0', '7:0');
    sysfs.disk('loop1', '7:1', { 'loop/backing_file': '/nfs/a.img' });
    assert.deepEqual(await disksOf('7:0'), { ok: false, reason: 'no file behind loop0', passing: true });
    assert.deepEqual(await disksOf('7:1'), { ok: false, reason: 'loop1: no /nfs/a.img', passing: false });
    const itself = await wholeDisks(['7:1'], { sysRoot: sysfs.root, imageDevice: image(['7:1']) });
    assert.deepEqual(itself, { ok: false, reason: 'block device 7:1 stands on itself', passing: false });
  });
});

describe('what cannot be', () => {
  const reason = async (...devices: string[]): Promise<string> => {
    const answer = await disksOf(...devices);
    return answer.ok ? 'ok' : answer.reason;
  };

  it('is no number, or nothing of that number', async () => {
    sysfs.disk('sda', '8:0');
    for (const device of ['8:1', '', '8', '8:0/../8:0', '../block/8:0', '08:0', '-8:0', '8:0\n', '99999:0', '0:45']) {
      assert.equal(await reason(device), `no block device ${device}`);
    }
    assert.equal(await reason('8:0', '8:1'), 'no block device 8:1', 'one that is missing spoils the answer');
  });

  it('is a circle', async () => {
    sysfs.disk('sda', '8:0');
    sysfs.stack('dm-0', '253:0', [], { 'dm/uuid': '' });
    sysfs.stack('dm-1', '253:1', ['sda', 'dm-0'], { 'dm/uuid': '' });
    sysfs.link(join(sysfs.directory('dm-0'), 'slaves', 'dm-1'), sysfs.directory('dm-1'));
    assert.match(await reason('253:0'), /stands on itself/);
    assert.match(await reason('8:0', '253:1'), /stands on itself/);
  });

  it('is a tower without an end; many ways to one disk are none', async () => {
    sysfs.disk('sda', '8:0');
    sysfs.disk('sdb', '8:16');
    sysfs.stack('dm-0', '253:0', ['sda', 'sdb'], { 'dm/uuid': '' });
    sysfs.stack('dm-1', '253:1', ['sda', 'sdb'], { 'dm/uuid': '' });
    for (let n = 2; n < 30; n++) sysfs.stack(`dm-${n}`, `253:${n}`, [`dm-${n - 2}`, `dm-${n - 1}`], { 'dm/uuid': '' });
    const answer = await disksOf('253:29');
    assert.deepEqual(answer.ok && answer.disks, [SDA, SDB]);
    for (let n = 30; n < 70; n++) sysfs.stack(`dm-${n}`, `253:${n}`, [`dm-${n - 1}`], { 'dm/uuid': '' });
    assert.equal(await reason('253:69'), 'more than 32 layers of block devices');
  });

  it('is a stack without a disk, a slave without a number, a number that does not agree', async () => {
    sysfs.stack('dm-0', '253:0', [], { 'dm/uuid': 'LVM-x' });
    sysfs.stack('md0', '9:0', [], { 'md/level': '' });
    sysfs.stack('dm-1', '253:1', [], { 'dm/uuid': 'LVM-x' });
    mkdirSync(join(sysfs.directory('dm-1'), 'slaves', 'sda'));
    sysfs.disk('sdz', '65:144');
    sysfs.write(join(sysfs.directory('sdz'), 'dev'), '65:145\n');
    assert.equal(await reason('253:0'), 'no disk behind dm-0');
    assert.equal(await reason('9:0'), 'no disk behind md0');
    assert.equal(await reason('253:1'), 'what is behind dm-1 has no number');
    assert.equal(await reason('65:144'), 'no block device 65:144');
    sysfs.write(join(sysfs.directory('dm-1'), 'slaves', 'sda', 'dev'), 'garbage\n');
    assert.equal(await reason('253:1'), 'what is behind dm-1 has no number');
  });

  it('is a host without sysfs', async () => {
    const answer = await wholeDisks(['8:0'], { sysRoot: '/nonexistent', imageDevice: nowhere });
    assert.deepEqual(answer, { ok: false, reason: 'no block device 8:0', passing: true });
  });
});

describe('device numbers', () => {
  it('are taken out of st_dev as the C library does', () => {
    assert.equal(deviceNumber(0xfe00n), '254:0');
    assert.equal(deviceNumber(0x10_0001n), '0:257');
    assert.equal(deviceNumber((0x12345n << 20n) | 0xf03n), `15:${0x1234503}`);
  });

  it('are ordered by number, and nothing else is one', () => {
    assert.deepEqual(['8:16', '254:0', '8:2', '7:0'].sort(compareDeviceNumbers), ['7:0', '8:2', '8:16', '254:0']);
    assert.equal(isDeviceNumber('4095:1048575'), true);
    for (const text of ['', '8:', ':0', '8:01', '8:0 ', 'a:b']) assert.equal(isDeviceNumber(text), false);
  });
});

describe('who keeps weights on a disk', () => {
  const files = new BoundedFiles();
  const queue = (device: string, ioCost: readonly string[] = []) =>
    readDiskQueue(device, { files, sysRoot: sysfs.root, ioCostDevices: new Set(ioCost) });

  it('is BFQ, the cost controller or nobody', async () => {
    sysfs.disk('sda', '8:0', { 'queue/scheduler': 'none mq-deadline [bfq]', 'queue/rotational': '1' });
    sysfs.disk('sdb', '8:16', { 'queue/scheduler': '[none] mq-deadline', 'queue/rotational': '0' });
    sysfs.disk('zram0', '253:0', { 'queue/rotational': 'x' });
    assert.deepEqual(await queue('8:0'), { scheduler: 'bfq', rotational: true, ioCost: false, weightsKeptBy: 'bfq' });
    const plain = { scheduler: 'none', rotational: false, ioCost: false, weightsKeptBy: null };
    assert.deepEqual(await queue('8:16'), plain);
    assert.deepEqual(await queue('8:16', ['8:16']), { ...plain, ioCost: true, weightsKeptBy: 'iocost' });
    const nothing = { scheduler: null, rotational: null, ioCost: false, weightsKeptBy: null };
    assert.deepEqual(await queue('253:0'), nothing);
    assert.deepEqual(await queue('99:0'), nothing);
  });

  it('is read from what the kernel writes', () => {
    assert.equal(parseScheduler('none [mq-deadline] kyber bfq \n'), 'mq-deadline');
    assert.equal(parseScheduler('none\n'), 'none');
    for (const text of ['', '\n', '[]', 'mq-deadline', '[a b]']) assert.equal(parseScheduler(text), null);
    const qos =
      '8:16 enable=0 ctrl=auto rpct=95.00 rlat=5000 wpct=95.00 wlat=5000 min=50.00 max=150.00\n254:0 enable=1 ctrl=user\n';
    assert.deepEqual([...parseIoCostDevices(qos)], ['254:0']);
    assert.deepEqual([...parseIoCostDevices('\n')], []);
    assert.deepEqual([...readIoCostDevices('/nonexistent')], []);
    sysfs.write(join(sysfs.root, 'io.cost.qos'), qos);
    assert.deepEqual([...readIoCostDevices(sysfs.root)], ['254:0']);
  });
});
