/**
 * Block devices and file systems of a lab's own: loop devices over files in its directory, with a partition where asked
 * for. All are gone with the lab; what a killed run left behind is removed by the next that makes one.
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { execute, output } from './command.js';
import type { Lab } from './lab.js';
import { LAB_PARENT } from './lab-kind.js';
import { exposeDevice, runInNamespace } from './lab-namespace.js';

const MEBIBYTE = 1024 * 1024;
const PARTITION_START_SECTOR = 2048;
const LAB_PREFIX = 'virtslad-lab-';
const MOUNT_PREFIX = 'virtslad-mount-';

export interface LoopDevice {
  /** The whole device, `/dev/loop3`. */
  readonly path: string;
  /** `7:3`, as the blkio files want it. */
  readonly number: string;
  /** Its one partition, when it was asked for. */
  readonly partition: { readonly path: string; readonly number: string } | null;
}

/** Every byte of it is written. Make it before the guests that use it: what was made last goes first. */
export async function makeLoopDevice(
  lab: Lab,
  { mebibytes = 16, partitioned = false }: { mebibytes?: number; partitioned?: boolean } = {},
): Promise<LoopDevice> {
  await removeLeftovers();
  const file = join(lab.directory, `loop-${readdirSync(lab.directory).length}.img`);
  writeFileSync(file, Buffer.alloc(mebibytes * MEBIBYTE));
  const path = (await output('losetup', ['--partscan', '--find', '--show', file])).trim();
  lab.cleanup.defer(`detach ${path}`, async () => {
    await output('losetup', ['--detach', path]);
    rmSync(file);
  });
  // Else what bypasses the guest's page cache ends in that of the file. Not every file system can.
  await execute('losetup', ['--direct-io=on', path]);
  let partition: LoopDevice['partition'] = null;
  if (partitioned) {
    const sectors = mebibytes * 2048 - PARTITION_START_SECTOR;
    await output('addpart', [path, '1', String(PARTITION_START_SECTOR), String(sectors)]);
    partition = { path: `${path}p1`, number: deviceNumber(`${path}p1`) };
  }
  for (const each of [path, ...(partition === null ? [] : [partition.path])]) await exposeDevice(lab.directory, each);
  return { path, number: deviceNumber(path), partition };
}

/**
 * A mounted ext4 of its own, on the device or else its partition; seen by this process and the lab's libvirtd. Its directory
 * is not in the lab's: a mount that a killed run left there could not be removed with it.
 */
export async function makeFileSystem(lab: Lab, device: LoopDevice): Promise<string> {
  const source = device.partition?.path ?? device.path;
  await output('mkfs.ext4', ['-q', '-F', '-O', '^has_journal', source]);
  const directory = join(LAB_PARENT, `${MOUNT_PREFIX}${lab.suffix}-${basename(source)}`);
  mkdirSync(directory, { mode: 0o755 });
  await output('mount', [source, directory]);
  lab.cleanup.defer(`unmount ${directory}`, async () => {
    // The libvirtd of the lab may be gone already, and its namespace with it.
    await runInNamespace(lab.directory, 'umount --lazy "$1"', [directory]).catch(() => undefined);
    await output('umount', [directory]);
    rmdirSync(directory);
  });
  await runInNamespace(lab.directory, 'mount "$1" "$2"', [source, directory]);
  return directory;
}

function deviceNumber(path: string): string {
  return readFileSync(join('/sys/class/block', basename(path), 'dev'), 'utf8').trim();
}

/** Mounts, and loop devices over files, of labs whose directory is gone. */
async function removeLeftovers(): Promise<void> {
  const labs = readdirSync(LAB_PARENT).filter((name) => name.startsWith(LAB_PREFIX));
  for (const name of readdirSync(LAB_PARENT).filter((each) => each.startsWith(MOUNT_PREFIX))) {
    const suffix = name.slice(MOUNT_PREFIX.length).split('-')[0] ?? '';
    if (labs.some((lab) => lab.startsWith(`${LAB_PREFIX}${suffix}-`))) continue;
    await execute('umount', [join(LAB_PARENT, name)]);
    rmdirSync(join(LAB_PARENT, name));
  }
  const listed = await output('losetup', ['--list', '--noheadings', '--raw', '--output', 'NAME,BACK-FILE']);
  for (const line of listed.split('\n')) {
    const [, device, parent, lab = ''] = /^(\/dev\/loop\d+) (.*)\/([^/]+)\/loop-\d+\.img/.exec(line) ?? [];
    if (device === undefined || parent !== LAB_PARENT || !lab.startsWith(LAB_PREFIX) || labs.includes(lab)) continue;
    await execute('losetup', ['--detach', device]);
  }
}
