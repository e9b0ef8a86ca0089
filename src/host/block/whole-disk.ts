/**
 * From block devices to the whole disks behind it, by sysfs: partitions, LVM and other device-mapper targets, md, bcache
 * and loop devices are followed down. Limits go there: io.max and blkio.throttle refuse a partition with ENODEV
 * (block/blk-cgroup.c), and a limit on each layer would count the same request more than once. A multipath device is
 * the disk itself: what it sends down its paths passes no limit any more (drivers/md/dm-rq.c). An nvme namespace with
 * several paths is one disk too; sysfs gives its paths (`nvme0c0n1`, hidden) no number.
 * Source: Documentation/ABI/stable/sysfs-block, Documentation/ABI/testing/sysfs-block-dm, sysfs-block-loop.
 */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { compareDeviceNumbers, isDeviceNumber } from './device-number.js';
import type { ImageDevice } from './image-device.js';

export interface WholeDisk {
  /** `254:0`. */
  readonly device: string;
  /** `vda`, `cciss/c0d0`. */
  readonly name: string;
}

export type WholeDisks =
  | {
      readonly ok: true;
      /** Sorted by number; empty only when nothing was asked. */
      readonly disks: readonly WholeDisk[];
      /** The layers on the way, from the top, without partitions: `dm-3 (LVM)`, `md127 (raid1)`, `loop0`. */
      readonly through: readonly string[];
    }
  /** `passing`: ask again later. */
  | { readonly ok: false; readonly reason: string; readonly passing: boolean };

export interface WholeDisksOptions {
  readonly sysRoot?: string;
  /** Where the file behind a loop device stands. */
  readonly imageDevice: (path: string) => Promise<ImageDevice>;
}

/** Far above what anybody builds: layers, and devices in all. */
const DEPTH_MAX = 32;
const DEVICES_MAX = 1024;

type Below = { readonly ok: true; readonly devices: readonly string[] } | Extract<WholeDisks, { ok: false }>;

/** The disks behind all of these, or the reason why one cannot be found. Never throws. */
export async function wholeDisks(devices: readonly string[], options: WholeDisksOptions): Promise<WholeDisks> {
  const disks = new Map<string, WholeDisk>();
  const through = new Set<string>();
  const seen = new Set<string>();

  const descend = async (at: string, above: readonly string[]): Promise<Extract<WholeDisks, { ok: false }> | null> => {
    if (above.includes(at)) return unknown(`block device ${at} stands on itself`);
    if (above.length >= DEPTH_MAX) return unknown(`more than ${DEPTH_MAX} layers of block devices`);
    if (seen.has(at)) return null;
    if (seen.size >= DEVICES_MAX) return unknown(`more than ${DEVICES_MAX} block devices`);
    seen.add(at);
    const directory = deviceDirectory(at, options.sysRoot ?? '/sys');
    if (directory === null) return unknown(`no block device ${at}`, true);
    const below = await devicesBelow(directory, options);
    if (!below.ok) return below;
    if (below.devices.length === 0) {
      disks.set(at, { device: at, name: deviceName(directory) });
      return null;
    }
    if (!isPartition(directory)) through.add(describeLayer(directory));
    for (const next of below.devices) {
      const failure = await descend(next, [...above, at]);
      if (failure !== null) return failure;
    }
    return null;
  };

  for (const device of devices) {
    const failure = await descend(device, []);
    if (failure !== null) return failure;
  }
  const sorted = [...disks.values()].sort((a, b) => compareDeviceNumbers(a.device, b.device));
  return { ok: true, disks: sorted, through: [...through] };
}

/** Where sysfs has the device; null when there is none of that number, or what is there claims another. */
function deviceDirectory(device: string, sysRoot: string): string | null {
  if (!isDeviceNumber(device)) return null;
  try {
    const directory = realpathSync.native(join(sysRoot, 'dev', 'block', device));
    return readAttribute(directory, 'dev') === device ? directory : null;
  } catch {
    return null;
  }
}

/** Empty for a whole disk. */
async function devicesBelow(directory: string, { imageDevice }: WholeDisksOptions): Promise<Below> {
  if (isPartition(directory)) return numbersOf([dirname(directory)], directory);
  const uuid = readAttribute(directory, 'dm/uuid');
  if (uuid?.startsWith('mpath-')) return { ok: true, devices: [] };
  const slaves = join(directory, 'slaves');
  const below = listNames(slaves).map((name) => join(slaves, name));
  if (below.length > 0) return numbersOf(below, directory);
  if (uuid !== null || readAttribute(directory, 'md/level') !== null) {
    return unknown(`no disk behind ${deviceName(directory)}`, true);
  }
  if (!deviceName(directory).startsWith('loop')) return { ok: true, devices: [] };
  const backing = readAttribute(directory, 'loop/backing_file');
  if (backing === null) return unknown(`no file behind ${deviceName(directory)}`, true);
  const image = await imageDevice(backing);
  return image.ok ? image : unknown(`${deviceName(directory)}: ${image.reason}`, image.passing);
}

function numbersOf(directories: readonly string[], above: string): Below {
  const devices = directories.map((directory) => readAttribute(directory, 'dev') ?? '');
  if (!devices.every(isDeviceNumber)) return unknown(`what is behind ${deviceName(above)} has no number`, true);
  return { ok: true, devices: devices.sort(compareDeviceNumbers) };
}

function isPartition(directory: string): boolean {
  return readAttribute(directory, 'partition') !== null;
}

function describeLayer(directory: string): string {
  const name = deviceName(directory);
  // `LVM-…`, `CRYPT-LUKS2-…`, `part1-mpath-…`: who made it, by agreement; no prefix for what dmsetup made by hand.
  const kind = /^[A-Za-z]+(?=[\d-])/.exec(readAttribute(directory, 'dm/uuid') ?? '')?.[0];
  const known = kind ?? readAttribute(directory, 'md/level') ?? '';
  return known === '' ? name : `${name} (${known})`;
}

/** sysfs writes `!` for the `/` in the name of a device node. */
function deviceName(directory: string): string {
  return basename(directory).replaceAll('!', '/');
}

/** Without the newline at its end; null when there is no such attribute or no such device any more. */
function readAttribute(directory: string, name: string): string | null {
  const path = join(directory, name);
  // Most are not there, and a thrown error costs twenty times as much as this.
  if (!existsSync(path)) return null;
  try {
    return readFileSync(path, 'utf8').replace(/\n$/, '');
  } catch {
    return null;
  }
}

function listNames(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function unknown(reason: string, passing = false): Extract<WholeDisks, { ok: false }> {
  return { ok: false, reason, passing };
}
