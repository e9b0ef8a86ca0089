/**
 * Values written and read back through the writer: on emulated kernels of both versions, and on this machine's own where
 * it can be. One text for a value on every host, whatever files it stands in.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, afterEach, beforeEach, describe, test } from 'node:test';
import type { Controller } from '../../src/domains/types.js';
import type { GroupFile } from '../../src/host/cgroup/codec.js';
import { kernelFiles, readValue } from '../../src/host/cgroup/files.js';
import { Group } from '../../src/host/cgroup/group.js';
import { KERNEL_FILES } from '../../src/host/cgroup/kernel-files.js';
import { findHierarchies } from '../../src/host/cgroup/layout.js';
import { unlimitedOnV1 } from '../../src/host/cgroup/memory-files.js';
import { pageBytes, wholePages } from '../../src/host/cgroup/page-bytes.js';
import { writeValue } from '../../src/host/cgroup/write.js';
import { formatIoMax, NO_IO_LIMIT, parseIoMax } from '../../src/text/io-max.js';
import { CgroupEmulator } from '../fakes/cgroup-emulator.js';
import type { Machine } from '../fakes/cgroup-emulator-group.js';

const PAGE = pageBytes();
const CONTROLLERS = ['cpu', 'memory', 'io', 'cpuset'] as const;
const controllerOf = (file: string): Controller => CONTROLLERS.find((one) => file.startsWith(`${one}.`)) ?? 'cpu';

/** A value, the text that is written, and what comes of it on each version; left out where the version has no such value. */
interface Row {
  readonly file: string;
  readonly text: string;
  readonly device?: true;
  /** `ok`, an errno, or the text at which the kernel stands instead. */
  readonly v1?: string;
  readonly v2?: string;
}

const row = (file: string, text: string, v1?: string, v2?: string): Row => ({
  file,
  text,
  ...(file === 'io.max' && { device: true }),
  ...(v1 !== undefined && { v1 }),
  ...(v2 !== undefined && { v2 }),
});

const ROWS: readonly Row[] = [
  row('cpu.max', '20000 100000', 'ok', 'ok'),
  row('cpu.max', '20000 50000', 'ok', 'ok'),
  row('cpu.max', 'max 50000', 'ok', 'ok'),
  row('cpu.max', 'max 100000', 'ok', 'ok'),
  row('cpu.max', '500 100000', 'EINVAL', 'EINVAL'),
  row('cpu.max', '20000', 'EINVAL', 'EINVAL'),
  row('cpu.max', '5000abc 100000', 'EINVAL', 'EINVAL'),
  row('cpu.max', '20000 100000', 'ok', 'ok'),
  row('cpu.max.burst', '20000', 'ok', 'ok'),
  row('cpu.max.burst', '20001', 'EINVAL', 'EINVAL'),
  row('cpu.max', '10000 100000', 'EINVAL', 'EINVAL'),
  row('cpu.max.burst', '-1', 'EINVAL', 'EINVAL'),
  row('cpu.max.burst', '0', 'ok', 'ok'),
  row('cpu.shares', '512', 'ok', 'EINVAL'),
  row('cpu.shares', '1', '2', 'EINVAL'),
  row('cpu.weight', '50', 'EINVAL', 'ok'),
  row('cpu.weight', '10001', 'EINVAL', 'ERANGE'),
  row('memory.max', String(1024 * PAGE), 'ok', 'ok'),
  row('memory.max', String(1024 * PAGE + 1), String(1024 * PAGE), String(1024 * PAGE)),
  row('memory.max', '', 'EINVAL', 'EINVAL'),
  row('memory.max', '1G', 'EINVAL', 'EINVAL'),
  row('memory.max', '-1', 'EINVAL', 'EINVAL'),
  row('memory.max', 'max', 'ok', 'ok'),
  row('memory.high', String(1024 * PAGE), 'EINVAL', 'ok'),
  row('memory.high', 'max', 'EINVAL', 'ok'),
  row('memory.low', String(1024 * PAGE), 'EINVAL', 'ok'),
  row('memory.min', '0', 'EINVAL', 'ok'),
  row('memory.swap.max', '0', 'EINVAL', 'ok'),
  row('memory.swap.max', '', 'EINVAL', 'EINVAL'),
  row('memory.memsw.max', String(1024 * PAGE), 'EINVAL', 'EINVAL'),
  row('memory.max', String(512 * PAGE), 'ok', 'ok'),
  row('memory.memsw.max', String(1024 * PAGE), 'ok', 'EINVAL'),
  row('memory.memsw.max', 'max', 'ok', 'EINVAL'),
  row('memory.max', 'max', 'ok', 'ok'),
  row('memory.current', '0', 'EINVAL', 'EINVAL'),
  row('io.max', 'rbps=max wbps=1048576 riops=100 wiops=max', 'ok', 'ok'),
  row('io.max', 'rbps=18446744073709551614 wbps=max riops=4294967294 wiops=max', 'ok', 'ok'),
  row('io.max', 'rbps=max wbps=max riops=4294967296 wiops=max', 'EINVAL', 'EINVAL'),
  row('io.max', 'rbps=max wbps=max riops=0 wiops=max', 'EINVAL', 'EINVAL'),
  row('io.max', 'riops=100', 'EINVAL', 'EINVAL'),
  row('io.max', 'rbps=max wbps=max riops=1 wiops=max', 'ok', 'EINVAL'),
  row('io.max', NO_IO_LIMIT, 'ok', 'ok'),
  row('io.weight', '200', undefined, 'ok'),
  row('io.weight', '10001', undefined, 'EINVAL'),
  row('io.weight', 'default 200', undefined, 'EINVAL'),
  row('cpuset.cpus', '0', 'ok', 'ok'),
  row('cpuset.cpus', '0-1', 'ok', 'ok'),
  row('cpuset.cpus', '0,1', '0-1', '0-1'),
  row('cpuset.cpus', '0-100000', 'ERANGE', 'ERANGE'),
  row('cpuset.cpus', 'all', 'EINVAL', 'EINVAL'),
  row('cpuset.cpus', '', 'ok', 'ok'),
  row('cgroup.procs', '1', 'EINVAL', 'EINVAL'),
  row('cgroup.kill', '1', 'EINVAL', 'EINVAL'),
];

/** The group in which a value of this controller is tried; null when this kernel cannot. */
type Place = (controller: Controller) => { readonly group: Group; readonly device: string } | null;

function tried(version: 1 | 2, place: Place): void {
  for (const { file, text, device, ...expected } of ROWS) {
    const outcome = expected[`v${version}`];
    if (outcome === undefined) continue;
    const found = place(controllerOf(file));
    if (found === null) continue;
    const at: GroupFile = { group: found.group, file, version, device: device && found.device };
    const names = kernelFiles(file, version);
    if (names.length > 0 && !names.every((name) => found.group.offers(name))) continue;
    const before = readValue(at);
    const result = writeValue(at, text);
    const what = `${file} ← ${text}: ${JSON.stringify(result)}`;
    if (outcome === 'ok') {
      assert.deepEqual(result, { kind: 'written' }, what);
      assert.equal(readValue(at), text, what);
    } else if (/^E[A-Z]+$/.test(outcome)) {
      assert.equal(result.kind === 'refused' && result.errno, outcome, what);
      assert.equal(readValue(at), before, what);
    } else assert.deepEqual(result, { kind: 'differs', actual: outcome }, what);
  }
}

let kernel: CgroupEmulator;
let group: Group;

function emulate(version: 1 | 2, machine: Partial<Machine> = {}): void {
  kernel = new CgroupEmulator([{ root: '/cg', version, controllers: CONTROLLERS }], { pageBytes: PAGE, ...machine });
  kernel.make('/cg/guest');
  if (version === 1) kernel.poke('/cg/guest/cpuset.cpus', 'all');
  group = Group.open('/cg/guest', kernel) ?? assert.fail('no group');
}

for (const version of [1, 2] as const) {
  test(`every value on an emulated v${version}`, () => {
    emulate(version);
    tried(version, () => ({ group, device: '8:0' }));
    group.close();
    assert.equal(kernel.openDescriptors, 0);
  });
}

describe('on this machine’s kernel', { skip: process.getuid?.() !== 0 && 'needs root' }, () => {
  const hierarchies = findHierarchies('/sys/fs/cgroup');
  const made: string[] = [];
  const opened: Group[] = [];
  after(() => {
    for (const one of opened) one.close();
    for (const path of made.reverse()) rmdirSync(path);
  });
  const deviceFile = ['vda', 'sda', 'nvme0n1', 'loop0'].map((name) => `/sys/block/${name}/dev`).find(existsSync);
  const device = deviceFile === undefined ? null : readFileSync(deviceFile, 'utf8').trim();

  for (const controller of CONTROLLERS) {
    const hierarchy = hierarchies[controller];
    const root = hierarchy?.root ?? '/';
    const passed =
      hierarchy?.version === 1 || readFileSyncOr(join(root, 'cgroup.subtree_control')).includes(controller);
    const why =
      hierarchy === undefined || !passed ? `no ${controller} controller for groups here` : device === null && 'no disk';
    test(`values of ${controller}, v${hierarchy?.version}`, { skip: why }, () => {
      const path = join(root, `virtslad-values-${process.pid}-${controller}`);
      mkdirSync(path);
      made.push(path);
      const real = Group.open(path, KERNEL_FILES) ?? assert.fail('no group');
      opened.push(real);
      tried(hierarchy?.version ?? 2, (wanted) =>
        wanted === controller ? { group: real, device: device ?? '' } : null,
      );
    });
  }
});

function readFileSyncOr(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

describe('how it is written', () => {
  afterEach(() => group.close());
  const written = (): string[] => kernel.writes.map(({ path, text }) => `${basename(path)} ${JSON.stringify(text)}`);

  test('v1: what of a limit differs, in an order that is never under both the old and the new one', () => {
    emulate(1);
    const at: GroupFile = { group, file: 'cpu.max', version: 1 };
    for (const text of ['20000 100000', '20000 100000', '10000 100000', '10000 20000', '50000 100000', 'max 100000']) {
      writeValue(at, text);
    }
    assert.deepEqual(written(), [
      'cpu.cfs_quota_us "20000"',
      'cpu.cfs_quota_us "10000"',
      'cpu.cfs_period_us "20000"',
      'cpu.cfs_quota_us "50000"',
      'cpu.cfs_period_us "100000"',
      'cpu.cfs_quota_us "-1"',
    ]);
  });

  test('v1: those of the four throttles that differ, 0 for none', () => {
    emulate(1);
    const at: GroupFile = { group, file: 'io.max', version: 1, device: '8:0' };
    writeValue(at, 'rbps=1000 wbps=max riops=max wiops=5');
    writeValue(at, 'rbps=1000 wbps=max riops=7 wiops=max');
    assert.deepEqual(written(), [
      'blkio.throttle.read_bps_device "8:0 1000"',
      'blkio.throttle.write_iops_device "8:0 5"',
      'blkio.throttle.read_iops_device "8:0 7"',
      'blkio.throttle.write_iops_device "8:0 0"',
    ]);
  });

  test('v2: one device at a time, the others stay as they are', () => {
    emulate(2, { disks: ['8:0', '8:16'] });
    const at: GroupFile = { group, file: 'io.max', version: 2, device: '8:0' };
    writeValue({ ...at, device: '8:16' }, 'rbps=5 wbps=max riops=max wiops=max');
    writeValue(at, 'rbps=max wbps=max riops=100 wiops=max');
    assert.deepEqual(written(), [
      'io.max "8:16 rbps=5 wbps=max riops=max wiops=max"',
      'io.max "8:0 rbps=max wbps=max riops=100 wiops=max"',
    ]);
    assert.equal(readValue({ ...at, device: '8:16' }), 'rbps=5 wbps=max riops=max wiops=max');
    assert.equal(readValue({ ...at, device: '8:1' }), NO_IO_LIMIT);
    assert.equal(readValue({ group, file: 'io.max', version: 2 }), null);
    for (const device of ['8:1', '9:0']) {
      const result = writeValue({ ...at, device }, 'rbps=5 wbps=max riops=max wiops=max');
      assert.equal(result.kind === 'refused' && result.errno, 'ENODEV', device);
    }
    assert.equal(writeValue({ ...at, device: '8:0 riops=1' }, NO_IO_LIMIT).kind, 'refused');
  });

  test('no CPU of its own is a line feed: a write of nothing is none', () => {
    emulate(2);
    writeValue({ group, file: 'cpuset.cpus', version: 2 }, '0');
    writeValue({ group, file: 'cpuset.cpus', version: 2 }, '');
    assert.deepEqual(written(), ['cpuset.cpus "0"', 'cpuset.cpus "\\n"']);
  });

  test('what is no value never reaches the kernel', () => {
    emulate(2);
    for (const file of [
      'memory.max',
      'memory.swap.max',
      'cpu.max',
      'io.max',
      'cpuset.cpus',
      'cgroup.procs',
      'cgroup.kill',
    ]) {
      assert.equal(writeValue({ group, file, version: 2, device: '8:0' }, 'nonsense').kind, 'refused', file);
    }
    assert.deepEqual(written(), []);
  });
});

describe('memory below what is used', () => {
  const fill = (): void => {
    kernel.enter('/cg/guest', 4242);
    kernel.group('/cg/guest').pinnedBytes = 64n * 2n ** 20n;
  };
  const below = String(16 * 2 ** 20);
  afterEach(() => group.close());

  test('v2: the limit is in force and nobody was killed for it; the kernel deals with what is over it later', () => {
    emulate(2);
    fill();
    assert.deepEqual(writeValue({ group, file: 'memory.max', version: 2 }, below), { kind: 'written' });
    assert.equal(readValue({ group, file: 'memory.events', version: 2 })?.includes('oom_kill 0'), true);
    assert.equal(kernel.group('/cg/guest').processes.size, 1);
  });

  test('v2 before Linux 6.16 kills, which is why no control asks for it', () => {
    emulate(2, { nonBlocking: false });
    fill();
    assert.deepEqual(writeValue({ group, file: 'memory.max', version: 2 }, below), { kind: 'written' });
    assert.equal(kernel.group('/cg/guest').processes.size, 0);
  });

  test('v1: refused, and the old limit stands', () => {
    emulate(1);
    fill();
    const result = writeValue({ group, file: 'memory.max', version: 1 }, below);
    assert.equal(result.kind === 'refused' && result.errno, 'EBUSY');
    assert.equal(readValue({ group, file: 'memory.max', version: 1 }), 'max');
  });
});

describe('a kernel that refuses', () => {
  beforeEach(() => emulate(2));
  afterEach(() => group.close());
  const at = (file: string): GroupFile => ({ group, file, version: 2, device: '8:0' });
  const VALUES: Readonly<Record<string, string>> = {
    'cpu.max': '20000 100000',
    'cpu.max.burst': '0',
    'cpu.weight': '50',
    'memory.max': '1073741824',
    'memory.high': '1073741824',
    'memory.low': '1073741824',
    'memory.min': '1073741824',
    'memory.swap.max': '0',
    'io.max': 'rbps=max wbps=max riops=100 wiops=max',
    'io.weight': '200',
    'cpuset.cpus': '0',
  };

  for (const errno of [
    'EACCES',
    'EPERM',
    'EROFS',
    'EINVAL',
    'EBUSY',
    'ENOSPC',
    'ERANGE',
    'ENOTSUP',
    'EIO',
    'ENODEV',
    'EMFILE',
  ]) {
    test(`${errno} on a write is told as it is, and is that value's alone`, () => {
      for (const [file, text] of Object.entries(VALUES)) {
        const end = kernel.fault({ file, operation: 'write', errno });
        const result = writeValue(at(file), text);
        assert.equal(result.kind === 'refused' && result.errno, errno, file);
        end();
        assert.deepEqual(writeValue(at(file), text), { kind: 'written' }, file);
      }
    });

    test(`${errno} on a read makes the value unknown, and a write of it not proven`, () => {
      for (const [file, text] of Object.entries(VALUES)) {
        for (let times = 0; times < 2; times++) assert.notEqual(readValue(at(file)), null);
        const end = kernel.fault({ file, operation: 'read', errno });
        assert.equal(readValue(at(file)), null, file);
        assert.deepEqual(writeValue(at(file), text), { kind: 'differs', actual: null }, file);
        end();
        assert.equal(readValue(at(file)), text, file);
      }
    });
  }

  test('a group that is gone has vanished, whatever the value', () => {
    for (const file of Object.keys(VALUES)) for (let times = 0; times < 2; times++) readValue(at(file));
    kernel.removeTree('/cg/guest');
    kernel.make('/cg/guest');
    for (const [file, text] of Object.entries(VALUES)) {
      assert.equal(readValue(at(file)), null, file);
      assert.deepEqual(writeValue(at(file), text), { kind: 'vanished' }, file);
    }
  });

  test('a file that the kernel does not have is no group that is gone', () => {
    emulate(2, { swapAccounting: false });
    const result = writeValue(at('memory.swap.max'), '0');
    assert.equal(result.kind === 'refused' && result.errno, 'ENOENT');
    assert.equal(group.offers('memory.swap.max'), false);
    assert.equal(group.offers('memory.max'), true);
  });
});

test('figures have v2’s words on v1', () => {
  emulate(1);
  kernel.enter('/cg/guest', 4242);
  Object.assign(kernel.group('/cg/guest'), { pinnedBytes: 8192n, reclaimableBytes: 4096n });
  const read = (file: string): string | null => readValue({ group, file, version: 1 });
  assert.equal(read('memory.current'), '12288');
  assert.equal(read('memory.peak'), '12288');
  assert.match(read('memory.stat') ?? '', /^anon 8192$/m);
  assert.match(read('memory.stat') ?? '', /^file 4096$/m);
  assert.equal(read('memory.swap.current'), '0');
  assert.equal(read('memory.events'), 'max 0\noom_kill 0');
  assert.equal(read('cpuset.cpus.effective'), '0-7');
  for (const file of ['memory.low', 'memory.pressure', 'io.pressure']) assert.equal(read(file), null, file);
  group.close();
});

test('texts of limits', () => {
  const limits = { readBytes: null, writeBytes: 1048576, readOperations: 100, writeOperations: null };
  assert.equal(formatIoMax(limits), 'rbps=max wbps=1048576 riops=100 wiops=max');
  assert.deepEqual(parseIoMax(formatIoMax(limits)), limits);
  for (const text of ['', 'rbps=max', 'rbps=max wbps=max riops=max', `8:0 ${NO_IO_LIMIT}`])
    assert.equal(parseIoMax(text), null);
  assert.equal(unlimitedOnV1(4096), '9223372036854771712');
  assert.equal(unlimitedOnV1(65536), '9223372036854710272');
  assert.equal(wholePages(8191, 4096), 4096);
});
