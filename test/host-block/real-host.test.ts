/** The same questions on real devices: loop devices, partitions, file systems, a dead server, QEMU. Needs root. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BlockDevices } from '../../src/host/block/block-devices.js';
import { deviceNumber } from '../../src/host/block/device-number.js';
import { Cleanup, stopOnSignals } from '../support/cleanup.js';
import { execute, output } from '../support/command.js';
import { waitUntil } from '../support/wait.js';
import type { ProbedDeadServer, ProbedImage } from './probe.js';

const PROBE = fileURLToPath(new URL('./probe.js', import.meta.url));
const MIB = 1024 * 1024;
const ROOT_ONLY = process.getuid?.() === 0 ? false : 'needs root';
const LOOP = ROOT_ONLY || (existsSync('/dev/loop-control') ? false : 'the kernel has no loop devices');

const cleanup = new Cleanup();
let directory = '';
let block: BlockDevices;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'virtslad-block-'));
  stopOnSignals(async () => void (await cleanup.run()));
  cleanup.defer('remove the directory', () => rmSync(directory, { recursive: true }));
  block = new BlockDevices();
});
after(async () => assert.deepEqual(await cleanup.run(), []));

/** A file without content. */
function makeImage(name: string, mebibytes: number): string {
  const path = join(directory, name);
  const fd = openSync(path, 'w');
  ftruncateSync(fd, mebibytes * MIB);
  closeSync(fd);
  return path;
}

/** Gives the device node. */
async function attachLoop(path: string): Promise<string> {
  const node = (await output('losetup', ['--find', '--show', path])).trim();
  cleanup.defer(`detach ${node}`, async () => void (await output('losetup', ['--detach', node])));
  return node;
}

const nodeNumber = (path: string): string => deviceNumber(statSync(path, { bigint: true }).rdev);

/** Runs the script in a mount namespace of its own; it ends with `exec "$@"`, the probe. */
async function inNamespace<T>(script: string, ...question: string[]): Promise<T> {
  const args = [
    '--mount',
    '--propagation',
    'private',
    'sh',
    '-euc',
    script,
    'sh',
    process.execPath,
    PROBE,
    ...question,
  ];
  return JSON.parse(await output('unshare', args)) as T;
}

/** What this directory stands on, where a block device can be told at all. */
async function underTemporaryFiles() {
  const image = await block.imageDevice(makeImage('plain.img', 1));
  return image.ok ? await block.wholeDisks(image.devices) : null;
}

describe('a file here', { skip: ROOT_ONLY }, () => {
  it('stands on the device that stat tells, and on whole disks', async (t) => {
    const path = makeImage('a.img', 1);
    const device = deviceNumber(statSync(path, { bigint: true }).dev);
    if (device.startsWith('0:')) return t.skip(`temporary files are on a file system without a device`);
    const image = await block.imageDevice(path);
    assert.deepEqual(image.ok && image.devices, [device]);
    const below = await block.wholeDisks([device]);
    assert.ok(below.ok && below.disks.length > 0);
    for (const disk of below.disks) {
      assert.ok(existsSync(`/sys/block/${disk.name.replaceAll('/', '!')}`));
      const queue = await block.diskQueue(disk.device);
      t.diagnostic(`${disk.name} ${disk.device}: ${JSON.stringify(queue)}`);
    }
  });

  it('is found fast', async (t) => {
    const path = makeImage('b.img', 1);
    const image = await block.imageDevice(path);
    if (!image.ok) return t.skip(image.reason);
    const timed = async (what: string, times: number, work: () => Promise<unknown>) => {
      const cpu = process.cpuUsage();
      const started = performance.now();
      for (let n = 0; n < times; n++) await work();
      const each = ((performance.now() - started) * 1000) / times;
      const { user, system } = process.cpuUsage(cpu);
      t.diagnostic(`${what}: ${each.toFixed(0)} µs, of CPU ${((user + system) / times).toFixed(0)} µs`);
      return each;
    };
    const followed = await timed('image followed by path', 200, () => {
      block.forget(path);
      return block.imageDevice(path);
    });
    await timed('image remembered', 2000, () => block.imageDevice(path));
    await timed('whole disks', 500, () => block.wholeDisks(image.devices));
    await timed('scheduler and weights', 200, () => block.diskQueue(image.devices[0] ?? ''));
    await timed('open images of this process', 200, () => block.openImages(process.pid));
    assert.ok(followed < 50_000, `${followed} µs`);
  });
});

describe('a loop device with partitions', { skip: LOOP }, () => {
  let loop = '';
  before(async () => {
    loop = await attachLoop(makeImage('disk.img', 64));
    // Told to the kernel one by one (BLKPG): not every kernel reads a partition table by itself, and none takes such
    // partitions away with the loop device.
    for (const [number, start, length] of [
      ['1', '2048', '2048'],
      ['2', '4096', '120000'],
    ] as const) {
      await output('addpart', [loop, number, start, length]);
      cleanup.defer(
        `remove partition ${number} of ${loop}`,
        async () => void (await output('delpart', [loop, number])),
      );
    }
    await waitUntil('the partitions', () => existsSync(`${loop}p2`), { seconds: 5 });
  });

  it('stands on the disk of its file', async (t) => {
    const expected = await underTemporaryFiles();
    for (const node of [loop, `${loop}p1`, `${loop}p2`]) {
      const image = await block.imageDevice(node);
      assert.ok(image.ok && image.kind === 'block');
      assert.deepEqual(image.devices, [nodeNumber(node)]);
      const below = await block.wholeDisks(image.devices);
      if (expected?.ok) assert.deepEqual(below, { ...expected, through: [basename(loop), ...expected.through] });
      else assert.equal(below.ok, false);
    }
    t.diagnostic(JSON.stringify(await block.wholeDisks([nodeNumber(`${loop}p2`)])));
  });

  it('takes limits for the whole device only, as the kernel has it', async (t) => {
    const root = '/sys/fs/cgroup/blkio';
    if (!existsSync(join(root, 'blkio.throttle.read_bps_device'))) return t.skip('no cgroup v1 blkio controller');
    const group = join(root, `virtslad-test-${process.pid}`);
    mkdirSync(group);
    try {
      const file = join(group, 'blkio.throttle.read_bps_device');
      writeFileSync(file, `${nodeNumber(loop)} 1048576`);
      assert.throws(() => writeFileSync(file, `${nodeNumber(`${loop}p1`)} 1048576`), { code: 'ENODEV' });
    } finally {
      rmdirSync(group);
    }
  });

  it('may carry the file system of an image', async (t) => {
    if ((await execute('sh', ['-c', 'command -v mkfs.ext4'])).code !== 0) return t.skip('no mkfs.ext4');
    await output('mkfs.ext4', ['-q', '-F', `${loop}p2`]);
    const mount = join(directory, 'with space');
    mkdirSync(mount);
    const script = `mount ${loop}p2 "${mount}"; truncate -s 1M "${mount}/a.img"; exec "$@"`;
    const [answer] = await inNamespace<ProbedImage[]>(script, 'images', join(mount, 'a.img'));
    assert.deepEqual(answer?.image, {
      ...{ ok: true, kind: 'file', path: join(mount, 'a.img'), fileSystem: 'ext4' },
      devices: [nodeNumber(`${loop}p2`)],
    });
    const expected = await underTemporaryFiles();
    if (expected?.ok) assert.deepEqual(answer.disks?.ok && answer.disks.disks, expected.disks);
  });
});

describe('a btrfs on two devices', { skip: LOOP }, () => {
  it('stands on both', async (t) => {
    if ((await execute('sh', ['-c', 'command -v mkfs.btrfs && grep -w btrfs /proc/filesystems'])).code !== 0) {
      return t.skip('no btrfs, or no mkfs.btrfs');
    }
    const loops = [await attachLoop(makeImage('one.img', 128)), await attachLoop(makeImage('two.img', 128))];
    await output('mkfs.btrfs', ['-q', '-f', '-d', 'raid1', '-m', 'raid1', ...loops]);
    cleanup.defer(
      'forget the btrfs',
      async () => void (await execute('btrfs', ['device', 'scan', '--forget', ...loops])),
    );
    const mount = join(directory, 'btrfs');
    mkdirSync(mount);
    const options = loops.map((loop) => `device=${loop}`).join(',');
    const script = `mount -t btrfs -o ${options} ${loops[0]} ${mount}
btrfs subvolume create ${mount}/vm >&2; truncate -s 1M ${mount}/vm/a.img; exec "$@"`;
    const [answer] = await inNamespace<ProbedImage[]>(script, 'images', join(mount, 'vm', 'a.img'));
    assert.deepEqual(answer?.image, {
      ...{ ok: true, kind: 'file', path: join(mount, 'vm', 'a.img'), fileSystem: 'btrfs' },
      devices: loops.map(nodeNumber),
    });
  });
});

describe('an image on a dead server', { skip: ROOT_ONLY || (existsSync('/dev/fuse') ? false : 'no /dev/fuse') }, () => {
  it('hangs nobody', async (t) => {
    const place = join(directory, 'dead');
    mkdirSync(join(place, 'mnt'), { recursive: true });
    symlinkSync('mnt', join(place, 'link'));
    writeFileSync(join(place, 'local.img'), Buffer.alloc(512));
    // Nobody reads descriptor 3, so no question to this file system is ever answered.
    const script = `exec 3<>/dev/fuse
mount -i -t fuse.dead -o fd=3,rootmode=40000,user_id=0,group_id=0 dead ${join(place, 'mnt')}; exec "$@"`;
    const answer = await inNamespace<ProbedDeadServer>(script, 'dead', place);
    for (const { image, milliseconds } of answer.untouched) {
      assert.deepEqual(image, { ok: false, reason: 'image on fuse.dead: no host block device', passing: false });
      assert.ok(milliseconds < 1000);
    }
    const waited = answer.misled.map(({ image, milliseconds }) => {
      assert.ok(!image.ok && image.passing && /does not answer/.test(image.reason), JSON.stringify(image));
      return milliseconds;
    });
    assert.ok(waited.every((milliseconds) => milliseconds < 1000));
    assert.ok((waited[0] ?? 0) >= 190 && (waited[2] ?? 1000) < 100, waited.join(', '));
    assert.equal(answer.othersWork, true);
    assert.equal(answer.afterwards.ok || !answer.afterwards.passing, true);
    t.diagnostic(
      `untouched: ${answer.untouched.map(({ milliseconds }) => `${milliseconds.toFixed(1)} ms`).join(', ')}`,
    );
    t.diagnostic(`misled: ${waited.map((milliseconds) => `${milliseconds.toFixed(1)} ms`).join(', ')}`);
  });
});

describe('a QEMU process', { skip: LOOP || (existsSync('/usr/bin/qemu-system-x86_64') ? false : 'no QEMU') }, () => {
  it('has its images open, and nothing else that looks like one', async (t) => {
    const [direct, cached, cdrom, overlaid] = ['direct.img', 'cached.img', 'cdrom.iso', 'overlaid.img'].map((name) =>
      makeImage(name, 1),
    ) as [string, string, string, string];
    const loop = await attachLoop(makeImage('lun.img', 1));
    // Without a device on it, QEMU opens an image for reading only.
    const drive = (id: string, path: string, options: string, device = 'virtio-blk-pci') => [
      ...['-drive', `id=${id},file=${path},format=raw,if=none,${options}`, '-device', `${device},drive=${id}`],
    ];
    const pidFile = join(directory, 'qemu.pid');
    const child = spawn(
      '/usr/bin/qemu-system-x86_64',
      [
        ...['-S', '-nodefaults', '-display', 'none', '-machine', 'pc,accel=tcg', '-m', '16', '-pidfile', pidFile],
        ...['-serial', `file:${join(directory, 'serial.log')}`, '-D', join(directory, 'qemu.log')],
        ...drive('direct', direct, 'cache=none'),
        ...drive('cached', cached, 'cache=writeback'),
        ...drive('cdrom', cdrom, 'media=cdrom,readonly=on', 'ide-cd'),
        ...drive('overlaid', overlaid, 'snapshot=on'),
        ...drive('loop', loop, 'cache=directsync'),
      ],
      { stdio: 'ignore' },
    );
    const ended = new Promise((resolve) => child.once('exit', resolve));
    try {
      const answer = await waitUntil(
        'QEMU to open its images',
        async () => {
          const now = await block.openImages(child.pid ?? 0);
          return now.ok && now.images.filter(({ deleted, readOnly }) => !deleted && !readOnly).length >= 3 && now;
        },
        { seconds: 20 },
      );
      const seen = answer.images.filter(({ deleted }) => !deleted);
      assert.deepEqual(
        seen.map(({ path, kind, readOnly, direct: isDirect }) => [path, kind, readOnly, isDirect]),
        [
          [loop, 'block', false, true],
          [cached, 'file', false, false],
          [cdrom, 'file', true, false],
          [direct, 'file', false, true],
          [overlaid, 'file', true, false],
        ].sort(([a = ''], [b = '']) => (a < b ? -1 : 1)),
      );
      for (const image of seen) {
        const byPath = await block.imageDevice(image.path);
        assert.deepEqual(image.device, byPath, 'by descriptor and by path alike');
      }
      t.diagnostic(`deleted: ${JSON.stringify(answer.images.filter(({ deleted }) => deleted))}`);
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
    assert.deepEqual(await block.openImages(child.pid ?? 0), {
      ok: false,
      reason: 'the process is gone',
      passing: false,
    });
  });
});
