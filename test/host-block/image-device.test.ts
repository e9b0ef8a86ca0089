import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { BlockDevices } from '../../src/host/block/block-devices.js';
import { BoundedFiles, NOT_NOW } from '../../src/host/block/bounded-files.js';
import { output } from '../support/command.js';
import { waitUntil } from '../support/wait.js';
import { type Entry, FakeFiles } from './fake-files.js';
import { SysfsTree } from './sysfs-tree.js';

const MOUNTS = [
  '27 1 254:0 / / rw - ext4 /dev/vda rw',
  '28 27 0:6 / /dev rw - devtmpfs devtmpfs rw',
  '30 27 253:2 / /data rw - xfs /dev/mapper/vg-data rw',
  '31 27 0:40 /sub /btrfs rw - btrfs /dev/sdb1 rw',
  '32 27 0:41 / /lost rw - btrfs /dev/gone rw',
  '33 27 0:42 / /zpool rw - zfs tank rw',
  '34 27 0:43 / /ram rw - tmpfs tmpfs rw',
  '35 27 0:44 / /nfs rw - nfs4 server:/ rw',
].join('\n');

const file = (device: string): Entry => ({ kind: 'file', device });
const FILES: Readonly<Record<string, Entry>> = {
  '/a.img': file('254:0'),
  '/data/b.img': file('253:2'),
  '/data/moved.img': file('8:99'),
  '/btrfs/c.img': file('0:57'),
  '/lost/c.img': file('0:58'),
  '/zpool/d.img': file('0:42'),
  '/ram/e.img': file('0:43'),
  '/directory': { kind: 'directory' },
  '/socket': { kind: 'other' },
  '/dev/vg': { kind: 'directory' },
  '/dev/vg/guest': { kind: 'link', target: '../dm-5' },
  '/dev/dm-5': { kind: 'block', device: '0:6', nodeDevice: '253:5' },
  '/dev/sdb1': { kind: 'block', device: '0:6', nodeDevice: '8:17' },
};

let sysfs: SysfsTree;
let files: FakeFiles;
let block: BlockDevices;
beforeEach(() => {
  sysfs = new SysfsTree();
  sysfs.write(join(sysfs.root, 'proc', 'self', 'mountinfo'), `${MOUNTS}\n`);
  files = new FakeFiles(FILES);
  block = new BlockDevices({ files, procRoot: join(sysfs.root, 'proc'), sysRoot: sysfs.root, cgroupRoot: sysfs.root });
});
afterEach(() => sysfs.remove());

const never = (reason: string) => ({ ok: false, reason, passing: false });
const imageOn = (fileSystem: string, path: string, ...devices: string[]) => {
  return { ok: true, kind: 'file', path, fileSystem, devices };
};

describe('an image', () => {
  it('stands on the device of its file system', async () => {
    assert.deepEqual(await block.imageDevice('/a.img'), imageOn('ext4', '/a.img', '254:0'));
    assert.deepEqual(await block.imageDevice('//data/./b.img'), imageOn('xfs', '/data/b.img', '253:2'));
  });

  it('that is a device node is that device', async () => {
    assert.deepEqual(await block.imageDevice('/dev/vg/guest'), {
      ...{ ok: true, kind: 'block', path: '/dev/dm-5', fileSystem: null, devices: ['253:5'] },
    });
  });

  it('on btrfs stands on all of its devices', async () => {
    const uuid = join(sysfs.root, 'fs', 'btrfs', '0f3e-11');
    sysfs.disk('sdb', '8:16');
    sysfs.partition('sdb', 'sdb1', '8:17');
    sysfs.disk('sdc', '8:32');
    sysfs.write(join(sysfs.root, 'fs', 'btrfs', 'features', 'raid56'), '0\n');
    sysfs.write(join(sysfs.root, 'fs', 'btrfs', 'aaaa-00', 'devices', 'sdx', 'dev'), '65:0\n');
    sysfs.link(join(uuid, 'devices', 'sdc'), sysfs.directory('sdc'));
    const untold = 'image on btrfs: the devices of /dev/sdb1 cannot be told';
    assert.deepEqual(await block.imageDevice('/btrfs/c.img'), never(untold));
    sysfs.link(join(uuid, 'devices', 'sdb1'), sysfs.directory('sdb1'));
    block.forget('/btrfs/c.img');
    assert.deepEqual(await block.imageDevice('/btrfs/c.img'), imageOn('btrfs', '/btrfs/c.img', '8:17', '8:32'));
    assert.deepEqual(await block.wholeDisks(['8:17', '8:32']), {
      ...{
        ok: true,
        disks: [
          { device: '8:16', name: 'sdb' },
          { device: '8:32', name: 'sdc' },
        ],
        through: [],
      },
    });
    assert.deepEqual(
      await block.imageDevice('/lost/c.img'),
      never('image on btrfs: the devices of /dev/gone cannot be told'),
    );
  });

  it('may stand on nothing that has a number', async () => {
    const reasons = {
      '/zpool/d.img': 'image on zfs: its block devices cannot be told',
      '/ram/e.img': 'image on tmpfs: no host block device',
      '/nfs/f.img': 'image on nfs4: no host block device',
      '/directory': 'not a file or block device: /directory',
      '/socket': 'not a file or block device: /socket',
      'sheepdog:vol': 'not a path',
    };
    for (const [path, reason] of Object.entries(reasons)) {
      assert.deepEqual(await block.imageDevice(path), never(reason));
    }
  });

  it('that is not where the mounts say cannot be told now', async () => {
    assert.equal(await block.imageDevice('/data/moved.img'), NOT_NOW);
  });

  it('on a host whose mounts cannot be read cannot be told now', async () => {
    const blind = new BlockDevices({ files, procRoot: '/nonexistent' });
    assert.deepEqual(await blind.imageDevice('/a.img'), {
      ...{ ok: false, reason: 'the mounts of the host cannot be read: ENOENT', passing: true },
    });
  });
});

describe('what was found', () => {
  it('is remembered until it is to be forgotten', async () => {
    const [first, second] = await Promise.all([block.imageDevice('/a.img'), block.imageDevice('/a.img')]);
    assert.equal(first, second);
    assert.deepEqual(files.looks, ['/a.img']);
    await block.imageDevice('/a.img');
    assert.equal(files.looks.length, 1);
    block.forget('/a.img');
    await block.imageDevice('/a.img');
    assert.equal(files.looks.length, 2);
    block.forget();
    await block.imageDevice('/a.img');
    assert.equal(files.looks.length, 3);
  });

  it('is asked again when it may pass', async () => {
    assert.deepEqual(await block.imageDevice('/new.img'), { ok: false, reason: 'no such file', passing: true });
    await block.imageDevice('/new.img');
    assert.deepEqual(files.looks, ['/new.img', '/new.img']);
  });

  it('does not grow without end', async () => {
    for (let n = 0; n < 5000; n++) await block.imageDevice(`/nfs/${n}.img`);
    await block.imageDevice('/nfs/4999.img');
    assert.deepEqual(files.looks, []);
  });
});

describe('a look that may hang', () => {
  it('is one at a time, each with a deadline, and none while one hangs', async () => {
    const fifo = join(sysfs.root, 'fifo');
    await output('mkfifo', [fifo]);
    const bounded = new BoundedFiles(50);
    const started = performance.now();
    try {
      // Opening a fifo for reading waits for a writer, in a thread of the pool.
      const [late, behind] = await Promise.all([bounded.readText(fifo), bounded.lstat('/')]);
      assert.equal(late, NOT_NOW);
      assert.equal(behind, NOT_NOW);
      const waitedMs = performance.now() - started;
      assert.ok(waitedMs >= 45 && waitedMs < 1000, `${waitedMs} ms`);
      assert.equal(await bounded.lstat('/'), NOT_NOW);
    } finally {
      closeSync(openSync(fifo, 'w'));
    }
    const look = await waitUntil('the look to come back', async () => bounded.lstat('/').then((now) => now.ok && now), {
      seconds: 5,
    });
    assert.equal(look.value.kind, 'directory');
  });

  it('that fails says so', async () => {
    const bounded = new BoundedFiles();
    const missing = { ok: false, reason: 'no such file', passing: true };
    assert.deepEqual(await bounded.lstat('/nonexistent/x'), missing);
    assert.deepEqual(await bounded.readlink('/etc/passwd/x'), missing);
    const directory = await bounded.readText('/');
    assert.deepEqual(directory, { ok: false, reason: 'cannot be looked at: EISDIR', passing: true });
  });
});
