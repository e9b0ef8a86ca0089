/** The levels of a guest on cgroup v2 with systemd and libvirt from 7.1 on, and what their files say; read without virtslad. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { output } from '../../support/command.js';
import type { Guest } from '../../support/guest.js';

export const MACHINE_SLICE = '/sys/fs/cgroup/machine.slice';

export interface Levels {
  /** systemd's: `machine-qemu\x2d3\x2dgold.scope` */
  readonly scope: string;
  /** libvirt's, below it; holds `emulator` and `vcpuN`. */
  readonly libvirt: string;
}

/** Throws when the guest lives elsewhere. */
export function levelsOf(guest: Guest): Levels {
  const line = readFileSync(`/proc/${guest.pid}/cgroup`, 'utf8').trim();
  const path = /^0::(\/machine\.slice\/machine-qemu[^/]*\.scope\/libvirt)\/emulator$/.exec(line)?.[1];
  if (path === undefined) throw new Error(`guest ${guest.name} is in ${line}`);
  const libvirt = join('/sys/fs/cgroup', path);
  return { scope: dirname(libvirt), libvirt };
}

/** Without the last newline; null when there is no such file. */
export function readGroup(directory: string, file: string): string | null {
  const path = join(directory, file);
  return existsSync(path) ? readFileSync(path, 'utf8').trimEnd() : null;
}

/** A unit's property as systemd knows it. */
export async function unitProperty(directory: string, name: string): Promise<string> {
  const args = ['show', '--value', '-p', name, basename(directory)];
  return (await output('systemctl', args)).trim();
}
