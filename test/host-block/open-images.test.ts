import assert from 'node:assert/strict';
import { constants, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { BlockDevices } from '../../src/host/block/block-devices.js';
import { NOT_NOW } from '../../src/host/block/bounded-files.js';
import { type Entry, FakeFiles } from './fake-files.js';
import { SysfsTree } from './sysfs-tree.js';

const { O_RDONLY, O_WRONLY, O_RDWR, O_APPEND, O_DIRECT, O_DIRECTORY } = constants;
const O_CLOEXEC = 0o2000000;
const PID = 4242;
const QEMU_MOUNTS = [
  '27 1 254:0 / / rw - ext4 /dev/vda rw',
  '28 27 0:6 / /dev rw - tmpfs tmpfs rw',
  '35 27 0:44 / /nfs rw - nfs4 server:/ rw',
  '36 27 0:45 / /run rw - tmpfs tmpfs rw',
  '37 27 0:46 / /dev/hugepages rw - hugetlbfs hugetlbfs rw',
].join('\n');

let host: SysfsTree;
let entries: Map<string, Entry>;
beforeEach(() => {
  host = new SysfsTree();
  entries = new Map();
  host.write(join(host.root, 'proc', 'self', 'mountinfo'), '60 1 254:0 / / rw - ext4 /dev/vda rw\n');
  host.write(join(host.root, 'proc', String(PID), 'mountinfo'), `${QEMU_MOUNTS}\n`);
});
afterEach(() => host.remove());

interface Descriptor {
  readonly to: string;
  readonly flags?: number;
  readonly mountId?: number;
  readonly inode?: number;
  readonly facts?: Entry | null;
}

/** Puts descriptors 0, 1, … into /proc/PID, and what they lead to into the fake files. */
function hostWith(descriptors: readonly Descriptor[]): BlockDevices {
  const at = join(host.root, 'proc', String(PID));
  for (const name of ['fd', 'fdinfo']) mkdirSync(join(at, name), { recursive: true });
  for (const [fd, { to, flags = O_RDWR, mountId = 27, inode = 10 + fd, facts }] of descriptors.entries()) {
    symlinkSync(to, join(at, 'fd', String(fd)));
    const text = `pos:\t0\nflags:\t0${(flags | O_CLOEXEC).toString(8)}\nmnt_id:\t${mountId}\nino:\t${inode}\n`;
    writeFileSync(join(at, 'fdinfo', String(fd)), `${text}lock:\t1: OFDLCK  ADVISORY  READ -1 fe:00:12 100 101\n`);
    if (facts !== null) entries.set(join(at, 'fd', String(fd)), facts ?? { kind: 'file' });
  }
  return new BlockDevices({ files: new FakeFiles(entries), procRoot: join(host.root, 'proc'), sysRoot: host.root });
}

async function imagesOf(descriptors: readonly Descriptor[]) {
  const answer = await hostWith(descriptors).openImages(PID);
  assert.ok(answer.ok, answer.ok ? '' : answer.reason);
  return answer.images;
}

describe('the images that a process has open', () => {
  it('are files and block devices, open for reading or for both', async () => {
    const images = await imagesOf([
      { to: '/srv/b.qcow2', flags: O_RDWR | O_DIRECT },
      { to: '/dev/dm-5', mountId: 28, facts: { kind: 'block', device: '0:45', nodeDevice: '253:5' } },
      { to: '/srv/base.qcow2', flags: O_RDONLY },
    ]);
    const common = { deleted: false, readOnly: false, direct: false };
    assert.deepEqual(images, [
      {
        ...common,
        ...{ path: '/dev/dm-5', kind: 'block', mountId: 28 },
        device: { ok: true, kind: 'block', path: '/dev/dm-5', fileSystem: null, devices: ['253:5'] },
      },
      {
        ...common,
        ...{ path: '/srv/b.qcow2', kind: 'file', mountId: 27, direct: true },
        device: { ok: true, kind: 'file', path: '/srv/b.qcow2', fileSystem: 'ext4', devices: ['254:0'] },
      },
      {
        ...common,
        ...{ path: '/srv/base.qcow2', kind: 'file', mountId: 27, readOnly: true },
        device: { ok: true, kind: 'file', path: '/srv/base.qcow2', fileSystem: 'ext4', devices: ['254:0'] },
      },
    ]);
  });

  it('are nothing else', async () => {
    const other: Entry = { kind: 'other' };
    const images = await imagesOf([
      { to: 'socket:[1234]' },
      { to: 'pipe:[1234]', flags: O_RDONLY },
      { to: 'anon_inode:kvm-vm' },
      { to: 'anon_inode:[eventfd]' },
      { to: '/memfd:pc.ram (deleted)', mountId: 1 },
      { to: '/anon_hugepage (deleted)', mountId: 15 },
      { to: '/dev/hugepages/qemu_back_mem.ram.x (deleted)', mountId: 37 },
      { to: '/dev/hugepages/ram', mountId: 37 },
      { to: '/run/ram (deleted)', mountId: 36 },
      { to: '/dev/kvm', mountId: 28, facts: other },
      { to: '/dev/net/tun', mountId: 28, facts: other },
      { to: '/dev/vfio/12', mountId: 28, facts: other },
      { to: '/var/log/libvirt/qemu/a.log', flags: O_WRONLY | O_APPEND },
      { to: '/var/log/serial.log', flags: O_WRONLY },
      { to: '/var/log/trace', flags: O_RDWR | O_APPEND },
      { to: '/srv', flags: O_RDONLY | O_DIRECTORY },
      { to: '/srv/by-path', flags: 0o10000000 },
      { to: '/run/libvirt/qemu/a.pid', mountId: 36, facts: { kind: 'file', sizeBytes: 5 } },
    ]);
    assert.deepEqual(images, []);
  });

  it('are one image for all descriptors of it, direct only if all are', async () => {
    const image = { to: '/srv/a.img', inode: 7 };
    const seen = async (...flags: number[]) => {
      const [found, ...more] = await imagesOf(flags.map((each) => ({ ...image, flags: each })));
      assert.deepEqual(more, []);
      host.remove();
      host = new SysfsTree();
      host.write(join(host.root, 'proc', String(PID), 'mountinfo'), `${QEMU_MOUNTS}\n`);
      return { readOnly: found?.readOnly, direct: found?.direct };
    };
    assert.deepEqual(await seen(O_RDONLY | O_DIRECT, O_RDWR | O_DIRECT), { readOnly: false, direct: true });
    assert.deepEqual(await seen(O_RDWR | O_DIRECT, O_RDONLY), { readOnly: false, direct: false });
    assert.deepEqual(await seen(O_RDONLY, O_RDONLY | O_DIRECT), { readOnly: true, direct: false });
  });

  it('may be deleted, or have a name that looks like it', async () => {
    const images = await imagesOf([
      { to: '/srv/a.img (deleted)', inode: 7 },
      { to: '/srv/a.img (deleted)', inode: 8 },
    ]);
    assert.deepEqual(
      images.map(({ path, deleted }) => ({ path, deleted })),
      [
        { path: '/srv/a.img', deleted: true },
        { path: '/srv/a.img', deleted: true },
      ],
    );
  });

  it('are not touched on a network file system, or when their mount is gone', async () => {
    const images = await imagesOf([
      { to: '/nfs/a.img', mountId: 35, facts: null },
      { to: '/b.img', mountId: 99, facts: null },
    ]);
    assert.deepEqual(
      images.map(({ path, kind, device }) => [path, kind, device.ok ? '' : device.reason]),
      [
        ['/b.img', 'unknown', 'its file system is no longer mounted'],
        ['/nfs/a.img', 'unknown', 'image on nfs4: no host block device'],
      ],
    );
  });

  it('may lie on a mount that only the daemon has, or in memory', async () => {
    const images = await imagesOf([
      { to: '/srv/a.img', mountId: 60 },
      { to: '/run/b.img', mountId: 36 },
    ]);
    assert.deepEqual(
      images.map(({ path, kind, device }) => [path, kind, device.ok ? device.devices : device.reason]),
      [
        ['/run/b.img', 'file', 'image on tmpfs: no host block device'],
        ['/srv/a.img', 'file', ['254:0']],
      ],
    );
  });
});

describe('a process', () => {
  it('that is gone, or has nothing open', async () => {
    const block = new BlockDevices({ procRoot: join(host.root, 'proc') });
    assert.deepEqual(await block.openImages(1), { ok: false, reason: 'the process is gone', passing: false });
    assert.deepEqual(await imagesOf([]), []);
  });

  it('that closes a descriptor meanwhile, or whose kernel tells less', async () => {
    const block = hostWith([{ to: '/srv/a.img' }, { to: '/srv/b.img', facts: null }, { to: '/srv/c.img' }]);
    const at = join(host.root, 'proc', String(PID), 'fdinfo');
    writeFileSync(join(at, '0'), 'pos:\t0\nflags:\t02\nmnt_id:\t27\n');
    writeFileSync(join(at, '2'), 'garbage\n');
    const answer = await block.openImages(PID);
    assert.deepEqual(answer.ok && answer.images.map(({ path }) => path), ['/srv/a.img']);
  });

  it('with an image whose disk does not answer cannot be told about now', async () => {
    const block = hostWith([{ to: '/srv/a.img' }]);
    const files = new FakeFiles(entries);
    files.stat = async () => NOT_NOW;
    const stuck = new BlockDevices({ files, procRoot: join(host.root, 'proc') });
    assert.deepEqual(await stuck.openImages(PID), { ok: false, reason: NOT_NOW.reason, passing: true });
    assert.equal((await block.openImages(PID)).ok, true);
  });
});
