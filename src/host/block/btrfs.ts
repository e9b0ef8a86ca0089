/**
 * The block devices of a btrfs from one of them, through /sys/fs/btrfs/UUID/devices/: its st_dev is anonymous, and the
 * mount table names one device only. Source: fs/btrfs/sysfs.c.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compareDeviceNumbers, isDeviceNumber } from './device-number.js';

/** All devices of the file system that `member` belongs to; null when sysfs does not tell, a missing device included. */
export function btrfsDevices(member: string, sysRoot: string): readonly string[] | null {
  try {
    const root = join(sysRoot, 'fs', 'btrfs');
    for (const name of readdirSync(root)) {
      if (!name.includes('-')) continue;
      const directory = join(root, name, 'devices');
      const devices = readdirSync(directory).map((entry) =>
        readFileSync(join(directory, entry, 'dev'), 'latin1').trim(),
      );
      if (devices.includes(member) && devices.every(isDeviceNumber)) return devices.sort(compareDeviceNumbers);
    }
  } catch {
    // No btrfs, or one that was unmounted meanwhile.
  }
  return null;
}
