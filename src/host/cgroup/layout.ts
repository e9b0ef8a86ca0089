/**
 * Which cgroup version governs each controller on this host, and where a QEMU process's groups are. Works from
 * /proc/PID/cgroup and from the fixed names that libvirt gives its levels (`emulator`, `libvirt`); a guest's name is
 * never parsed. Source: libvirt docs/cgroups.rst, src/util/vircgroup.c.
 */
import { basename, dirname, join } from 'node:path';
import type { Controller } from '../../domains/types.js';
import { Group } from './group.js';
import { type CgroupFiles, KERNEL_FILES } from './kernel-files.js';

/** The tree in which one controller's groups are. */
export interface Hierarchy {
  readonly version: 1 | 2;
  /** Mount point: `/sys/fs/cgroup`, `/sys/fs/cgroup/cpu`, `/sys/fs/cgroup/unified`. */
  readonly root: string;
}

/** A controller that is missing is not mounted. On v2 all have the same tree; on hybrid hosts each has its own. */
export type Hierarchies = Readonly<Partial<Record<Controller, Hierarchy>>>;

export type CpuHierarchy = Hierarchy;

const NAMES_V1: Readonly<Record<Controller, string>> = { cpu: 'cpu', memory: 'memory', io: 'blkio', cpuset: 'cpuset' };
export const CONTROLLERS = Object.keys(NAMES_V1) as readonly Controller[];

export function findHierarchies(cgroupRoot: string, system: CgroupFiles = KERNEL_FILES): Hierarchies {
  const found: Partial<Record<Controller, Hierarchy>> = {};
  for (const root of [cgroupRoot, join(cgroupRoot, 'unified')]) {
    const group = openGroup(root, system);
    for (const controller of controllersIn(group)) found[controller] ??= { version: 2, root };
    group?.close();
  }
  const mounts = openGroup(cgroupRoot, system);
  // Not the symbolic links (`cpu` → `cpu,cpuacct`): a group is never opened through one.
  const names = mounts?.children() ?? [];
  mounts?.close();
  for (const controller of CONTROLLERS) {
    const name = NAMES_V1[controller];
    for (const mount of names.includes(name) ? [name] : names.filter((one) => one.split(',').includes(name))) {
      const root = join(cgroupRoot, mount);
      if (found[controller] === undefined && isMounted(root, system)) found[controller] = { version: 1, root };
    }
  }
  return found;
}

/** Null when no CPU controller is mounted below `cgroupRoot`. */
export function findCpuHierarchy(cgroupRoot: string): Hierarchy | null {
  return findHierarchies(cgroupRoot).cpu ?? null;
}

/** Those of our controllers that v2 offers in a group. */
export function controllersIn(group: Group | null): readonly Controller[] {
  const offered = group?.readOnce('cgroup.controllers')?.split(' ') ?? [];
  return CONTROLLERS.filter((controller) => offered.includes(controller));
}

function isMounted(root: string, system: CgroupFiles): boolean {
  const group = openGroup(root, system);
  const mounted = group?.readOnce('cgroup.procs') ?? null;
  group?.close();
  return mounted !== null;
}

function openGroup(path: string, system: CgroupFiles): Group | null {
  try {
    return Group.open(path, system);
  } catch {
    return null;
  }
}

/** Path of a process's group in a controller's tree, from the text of /proc/PID/cgroup; null if it has none there. */
export function groupPath(procCgroupText: string, controller: Controller, version: 1 | 2): string | null {
  for (const line of procCgroupText.split('\n')) {
    const match = /^(\d+):([^:]*):(\/.*)$/.exec(line);
    if (match === null) continue;
    const [, id, controllers = '', path = ''] = match;
    const wanted =
      version === 2 ? id === '0' && controllers === '' : controllers.split(',').includes(NAMES_V1[controller]);
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

/** Levels that libvirt makes in a domain's group for its threads. */
export function isThreadGroup(name: string): boolean {
  return name === 'emulator' || /^(?:vcpu|iothread)\d+$/.test(name);
}

/**
 * The domain's groups from the path of its main thread's group: `…/emulator` once libvirt has sorted the threads, the
 * domain's own group while QEMU is being started and, on v1, for memory and blkio always. Null for the root group, where
 * nothing is the guest's own.
 */
export function domainGroups(hierarchy: Hierarchy, groupPath: string): DomainGroups | null {
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
  return { domainDir, weightDir, systemdOwned: /\.(?:scope|service|slice)$/.test(weightDir), ancestors };
}
