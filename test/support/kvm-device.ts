/**
 * /dev/kvm for the demo. When the device exists and the user that libvirt runs QEMU as cannot open it, libvirt probes
 * QEMU anew at every start of a guest: half a minute instead of half a second. So it is opened for a while and put back.
 */
import { chmodSync, statSync } from 'node:fs';
import type { Cleanup } from './cleanup.js';
import { execute } from './command.js';

const DEVICE = '/dev/kvm';
/** As Debian builds libvirt. */
const QEMU_USER = 'libvirt-qemu';

/** True when the mode had to be changed; then `cleanup` puts it back. */
export async function openKvmDevice(cleanup: Cleanup): Promise<boolean> {
  const stats = statSync(DEVICE, { throwIfNoEntry: false });
  if (stats === undefined || (stats.mode & 0o006) === 0o006) return false;
  if ((stats.mode & 0o060) === 0o060 && (await groupsOfQemu()).includes(stats.gid)) return false;
  const mode = stats.mode & 0o7777;
  cleanup.defer(`put back the mode of ${DEVICE}`, () => chmodSync(DEVICE, mode));
  chmodSync(DEVICE, 0o666);
  return true;
}

async function groupsOfQemu(): Promise<number[]> {
  const { code, stdout } = await execute('id', ['-G', QEMU_USER]);
  return code === 0 ? stdout.trim().split(' ').map(Number) : [];
}
