/**
 * Which cgroup version governs CPU on this host, and where a QEMU process's groups are. Works from /proc/PID/cgroup
 * and from the fixed names that libvirt gives its levels (`emulator`, `libvirt`); a guest's name is never parsed.
 * Source: libvirt docs/cgroups.rst, src/util/vircgroup.c.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

export interface CpuHierarchy {
  readonly version: 1 | 2;
  /** Mount point: `/sys/fs/cgroup`, `/sys/fs/cgroup/cpu`, `/sys/fs/cgroup/unified`. */
  readonly root: string;
}

/** Null when no CPU controller is mounted below `cgroupRoot`. */
export function findCpuHierarchy(cgroupRoot: string): CpuHierarchy | null {
  for (const root of [cgroupRoot, join(cgroupRoot, 'unified')]) {
    if (hasCpuController(root)) return { version: 2, root };
  }
  for (const name of ['cpu', 'cpu,cpuacct', 'cpuacct,cpu']) {
    const root = join(cgroupRoot, name);
    if (existsSync(join(root, 'cgroup.procs'))) return { version: 1, root };
  }
  return null;
}

function hasCpuController(root: string): boolean {
  try {
    return readFileSync(join(root, 'cgroup.controllers'), 'utf8').trim().split(' ').includes('cpu');
  } catch {
    return false;
  }
}

/** Path of a process's group in the CPU hierarchy, from the text of /proc/PID/cgroup; null if it has none there. */
export function cpuGroupPath(procCgroupText: string, version: 1 | 2): string | null {
  for (const line of procCgroupText.split('\n')) {
    const match = /^(\d+):([^:]*):(\/.*)$/.exec(line);
    if (match === null) continue;
    const [, id, controllers = '', path = ''] = match;
    const wanted = version === 2 ? id === '0' && controllers === '' : controllers.split(',').includes('cpu');
    if (wanted) return isCleanPath(path) ? path : null;
  }
  return null;
}

/** No empty, `.` or `..` component and no control character: a path from the kernel that stays below its root. */
export function isCleanPath(path: string): boolean {
  if (path === '/') return true;
  return (
    path
      .slice(1)
      .split('/')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
      .every((part) => part !== '' && part !== '.' && part !== '..' && !/[\u0000-\u001f\u007f]/.test(part))
  );
}

export interface DomainGroups {
  readonly domainDir: string;
  readonly weightDir: string;
  readonly systemdOwned: boolean;
  readonly ancestors: readonly string[];
}

/**
 * The domain's groups from the path of its main thread's group: `…/emulator` once libvirt has sorted the threads, the
 * domain's own group while QEMU is being started. Null for the root group, where nothing is the guest's own.
 */
export function domainGroups(hierarchy: CpuHierarchy, groupPath: string): DomainGroups | null {
  if (groupPath === '/') return null;
  const at = join(hierarchy.root, groupPath);
  const domainDir = basename(at) === 'emulator' ? dirname(at) : at;
  if (domainDir === hierarchy.root) return null;
  const parent = dirname(domainDir);
  // libvirt >= 7.1 under systemd puts its own level inside the scope; the scope's weight is what counts among siblings.
  const nested = basename(domainDir) === 'libvirt' && parent.endsWith('.scope');
  const weightDir = nested ? parent : domainDir;
  const ancestors: string[] = [];
  for (let up = dirname(weightDir); up.length > hierarchy.root.length; up = dirname(up)) ancestors.push(up);
  return { domainDir, weightDir, systemdOwned: weightDir.endsWith('.scope'), ancestors };
}
