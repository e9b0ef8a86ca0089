/**
 * Every setting of a guest that a policy can change, as the kernel has it, path → text: for a comparison byte for byte
 * before and after. Found through /proc/PID/cgroup and without virtslad. Source: cgroups(7), the controllers' documents.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const FILES = {
  1: [
    ...['cpu.cfs_quota_us', 'cpu.cfs_period_us', 'cpu.cfs_burst_us', 'cpu.shares', 'cpuset.cpus'],
    ...['memory.limit_in_bytes', 'memory.soft_limit_in_bytes', 'memory.memsw.limit_in_bytes', 'memory.swappiness'],
    ...['blkio.throttle.read_bps_device', 'blkio.throttle.write_bps_device', 'blkio.throttle.read_iops_device'],
    ...['blkio.throttle.write_iops_device', 'blkio.weight', 'blkio.bfq.weight'],
  ],
  2: [
    ...['cpu.max', 'cpu.max.burst', 'cpu.weight', 'cpu.idle', 'cpuset.cpus'],
    ...['memory.min', 'memory.low', 'memory.high', 'memory.max', 'memory.swap.max', 'memory.swap.high'],
    ...['io.max', 'io.weight', 'io.bfq.weight'],
  ],
} as const;
/** Of the groups above a guest, what is raised for its guarantee. */
const FILES_ABOVE = ['memory.min', 'memory.low'];

export function readSettings(pid: number): Readonly<Record<string, string>> {
  const mounts = readFileSync('/proc/mounts', 'latin1').split('\n');
  const settings: Record<string, string> = {};
  const take = (directory: string, names: readonly string[]): void => {
    for (const path of names.map((name) => join(directory, name))) {
      if (existsSync(path)) settings[path] = readFileSync(path, 'latin1');
    }
  };
  for (const line of readFileSync(`/proc/${pid}/cgroup`, 'latin1').split('\n')) {
    const [, controllers, path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined) continue;
    const version = controllers === '' ? 2 : 1;
    const root = mountOf(mounts, version, controllers);
    if (root === null) continue;
    for (const directory of groupsOf(join(root, path))) take(directory, FILES[version]);
    if (version === 1) continue;
    for (let above = dirname(join(root, path)); above.length > root.length; above = dirname(above)) {
      take(above, FILES_ABOVE);
    }
  }
  return settings;
}

/** libvirt keeps threads in groups below the guest's, `emulator` and `vcpu0`, and with systemd all below `libvirt`. */
function groupsOf(directory: string): string[] {
  const own = basename(directory) === 'emulator' ? dirname(directory) : directory;
  const below = readdirSync(own, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const scope = basename(own) === 'libvirt' ? [dirname(own)] : [];
  return [...scope, own, ...below.map(({ name }) => join(own, name))];
}

function mountOf(mounts: readonly string[], version: 1 | 2, controllers: string): string | null {
  for (const line of mounts) {
    const [, mountPoint = '', type, options = ''] = line.split(' ');
    if (version === 2 ? type === 'cgroup2' : type === 'cgroup' && sharesOne(options, controllers)) return mountPoint;
  }
  return null;
}

function sharesOne(options: string, controllers: string): boolean {
  return options.split(',').some((option) => controllers.split(',').includes(option));
}
