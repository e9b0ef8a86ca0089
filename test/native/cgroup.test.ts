/**
 * The emulated cgroup file system against this machine's kernel: the same writes, the same errno, the same text
 * afterwards. Whatever version the kernel has mounted is compared; as root.
 */
import assert from 'node:assert/strict';
import { constants, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import type { Controller } from '../../src/domains/types.js';
import { findHierarchies } from '../../src/host/cgroup/layout.js';
import { pageBytes } from '../../src/host/cgroup/page-bytes.js';
import { CgroupEmulator } from '../fakes/cgroup-emulator.js';
import { CONTRACT } from './cgroup-contract.js';
import { EmulatedTarget, errnoOf, inherit, KernelTarget, type Target, transcriptOf } from './cgroup-target.js';

const CGROUP = '/sys/fs/cgroup';
const CONTROLLERS = ['cpu', 'memory', 'io', 'cpuset'] as const;
const HIERARCHIES = findHierarchies(CGROUP);

/** A whole disk that the kernel throttles. */
function wholeDisk(): string | null {
  for (const name of ['vda', 'sda', 'nvme0n1', 'loop0']) {
    const file = `/sys/block/${name}/dev`;
    if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  }
  return null;
}

const disk = wholeDisk();
/** Of the VM lane: an empty one. */
const spare = existsSync('/sys/block/vdb/dev') ? readFileSync('/sys/block/vdb/dev', 'utf8').trim() : null;
const WORDS = {
  $disk: disk ?? '-',
  $spare: spare ?? '-',
  $nothing: '999:0',
  $last: String(cpus().length - 1),
  $beyond: String(cpus().length),
};

/** Those of our controllers that v2's root passes on; what it does not is none of a test's business. */
const passedOn = (root: string): Controller[] => {
  const words = readFileSync(join(root, 'cgroup.subtree_control'), 'utf8').trim().split(' ');
  return words.filter((word): word is Controller => CONTROLLERS.some((controller) => controller === word));
};

function whyNot(version: 1 | 2, controller: Controller): string | false {
  const hierarchy = HIERARCHIES[controller];
  if (process.getuid?.() !== 0) return 'needs root';
  if (hierarchy?.version !== version) return `this kernel has ${controller} not on v${version}`;
  if (version === 2 && !passedOn(hierarchy.root).includes(controller)) return `${controller} is not passed on`;
  if (controller === 'io' && disk === null) return 'no disk to name';
  if (controller === 'cpuset' && cpus().length < 2) return 'needs two CPUs';
  if (controller === 'memory' && readFileSync('/proc/swaps', 'utf8').trim().includes('\n'))
    return 'needs swap to be off';
  return false;
}

/** What somebody has made of the io cost controller of this kernel's disks before. */
function switchesOf(root: string): readonly string[] {
  if (!existsSync(join(root, 'io.cost.qos'))) return [];
  const lines = readFileSync(join(root, 'io.cost.qos'), 'utf8').split('\n').filter(Boolean);
  return lines.reverse().map((line) => line.replace(/ ctrl=auto .*/, ' ctrl=auto'));
}

/** A real group and an emulated one, in the tree of one controller, that are the same to begin with. */
function targetsFor(controller: Controller, version: 1 | 2): readonly [KernelTarget, EmulatedTarget] {
  const root = HIERARCHIES[controller]?.root ?? CGROUP;
  const base = join(root, `virtslad-contract-${process.pid}`);
  mkdirSync(base);
  const controllers = version === 1 ? [controller] : passedOn(root);
  if (version === 2) {
    writeFileSync(join(base, 'cgroup.subtree_control'), controllers.map((name) => `+${name}`).join(' '), {
      flag: 'r+',
    });
  } else for (const file of ['cpuset.cpus', 'cpuset.mems']) inherit(base, file);
  const kernel = new KernelTarget(base);
  const has = (name: string): boolean => {
    const probe = join(base, 'probe');
    mkdirSync(probe);
    const found = existsSync(join(probe, name));
    rmdirSync(probe);
    return found;
  };
  const emulator = new CgroupEmulator([{ root, version, controllers }], {
    cpus: cpus().length,
    pageBytes: pageBytes(),
    disks: [disk, spare].filter((one) => one !== null),
    swapAccounting: has(version === 1 ? 'memory.memsw.limit_in_bytes' : 'memory.swap.max'),
    bfq: has(version === 1 ? 'blkio.bfq.weight' : 'io.bfq.weight'),
    peak: has('memory.peak'),
  });
  const emulated = new EmulatedTarget(emulator, base);
  if (version === 2) {
    for (const name of controllers) emulator.group(base).passedOn.add(name);
    for (const line of switchesOf(root)) emulator.poke(join(root, 'io.cost.qos'), line);
  } else if (controller === 'cpuset') emulator.poke(join(base, 'cpuset.cpus'), 'all');
  return [kernel, emulated];
}

for (const version of [1, 2] as const) {
  for (const controller of CONTROLLERS) {
    describe(`v${version}, ${controller}`, { skip: whyNot(version, controller) }, () => {
      let kernel: KernelTarget;
      let emulated: EmulatedTarget;
      before(() => {
        [kernel, emulated] = targetsFor(controller, version);
      });
      after(() => rmdirSync(kernel.base));
      afterEach(async () => {
        await kernel.clean();
        await emulated.clean();
      });

      for (const { name, needs, steps } of CONTRACT.filter(
        (one) => one.version === version && one.controller === controller,
      )) {
        test(name, async (context) => {
          kernel.make(join(kernel.base, 'probe'));
          const has = needs === undefined || existsSync(join(kernel.base, 'probe', needs));
          kernel.remove(join(kernel.base, 'probe'));
          if (!has) return context.skip(`this kernel has no ${needs}`);
          if (spare === null && JSON.stringify(steps).includes('$spare')) return context.skip('no disk to spare');
          assert.deepEqual(await transcriptOf(emulated, steps, WORDS), await transcriptOf(kernel, steps, WORDS));
        });
      }

      test('a group that was removed answers through no descriptor', () => {
        assert.deepEqual(removedUnderneath(emulated), removedUnderneath(kernel));
      });
    });
  }
}

/** What open descriptors of a removed group say, and what one made anew under its name has to do with them. */
function removedUnderneath(target: Target): string[] {
  const { files } = target;
  const path = join(target.base, 'gone');
  target.make(path);
  const directory = files.openDirectory(path);
  const inode = files.inodeOf(directory);
  const list = files.openFile(directory, 'cgroup.procs', constants.O_RDONLY);
  const listed = files.list(directory).length > 0;
  target.remove(path);
  target.make(path);
  const again = files.openDirectory(path);
  const answers = [
    String(listed),
    errnoOf(() => files.read(list)),
    errnoOf(() => files.close(files.openFile(directory, 'cgroup.procs', constants.O_RDONLY))),
    errnoOf(() => files.close(files.openDirectory('vcpu0', directory))),
    String(files.has(directory, 'cgroup.procs')),
    String(files.list(directory).length),
    String(files.inodeOf(directory) === inode),
    String(files.inodeOf(again) === inode),
    errnoOf(() => files.close(files.openFile(again, 'no.such.file', constants.O_WRONLY))),
    errnoOf(() => files.close(files.openDirectory('nothing', again))),
  ];
  for (const fd of [list, directory, again]) files.close(fd);
  return answers;
}
