/**
 * From a guest's process to its groups. The kernel says where the process lives; what is not clearly the guest's own is
 * left alone, with the reason. The CPU group decides whether the guest can be acted on; a group of another controller
 * that it shares, or that the host does not have, is left out.
 */
import { Group } from '../host/cgroup/group.js';
import type { CgroupFiles } from '../host/cgroup/kernel-files.js';
import {
  CONTROLLERS,
  controllersIn,
  type DomainGroups,
  domainGroups,
  groupPath,
  type Hierarchies,
  type Hierarchy,
  isThreadGroup,
} from '../host/cgroup/layout.js';
import { isKernelThread } from '../host/proc/kernel-thread.js';
import { mayLive, readProcessCgroup, readProcessStat, readUuidArgument } from '../host/proc/process.js';
import type { Controller, ControllerGroup, Domain, ProcessIdentity } from './types.js';

export interface LocateOptions {
  readonly hierarchies: Hierarchies;
  readonly procRoot: string;
  /** libvirt's run directory, `/run/libvirt`; pid files are in `qemu/` below it. */
  readonly runLibvirt: string;
  /** What stands in for the kernel's cgroup files. */
  readonly cgroupFiles?: CgroupFiles;
}

export type Located =
  | {
      readonly ok: true;
      readonly process: ProcessIdentity;
      readonly cgroup: ControllerGroup;
      readonly groups: Domain['groups'];
    }
  | { readonly ok: false; readonly obstacle: string };

interface Guest {
  readonly pid: number;
  readonly uuid: string;
}

/** Where the process with this pid lives, if it is the domain's and has a group of its own. */
export function locateProcess(pid: number, uuid: string, options: LocateOptions): Located {
  try {
    return locate({ pid, uuid }, options);
  } catch (error) {
    return { ok: false, obstacle: `process ${pid} cannot be looked at: ${(error as Error).message}` };
  }
}

function locate(guest: Guest, options: LocateOptions): Located {
  const { hierarchies, procRoot, cgroupFiles } = options;
  const { pid, uuid } = guest;
  if (hierarchies.cpu === undefined) return { ok: false, obstacle: 'this host has no CPU controller mounted' };
  const stat = readProcessStat(procRoot, pid);
  if (stat === null) return { ok: false, obstacle: `process ${pid} is gone` };
  const claimed = readUuidArgument(procRoot, pid);
  if (claimed !== null && claimed !== uuid) {
    return { ok: false, obstacle: `process ${pid} says it is guest ${claimed}: left alone` };
  }
  // The kernel gives bytes; names of partitions may be any UTF-8.
  const text = Buffer.from(readProcessCgroup(procRoot, pid) ?? '', 'latin1').toString('utf8');
  const directories = directoriesOf('cpu', hierarchies.cpu, text);
  if (directories === null) {
    return { ok: false, obstacle: 'its QEMU process has no CPU cgroup of its own: observed only' };
  }
  const group = Group.open(directories.domainDir, cgroupFiles);
  if (group === null) return { ok: false, obstacle: `its cgroup ${directories.domainDir} is gone` };
  try {
    const companions = companionsIn(group, hierarchies.cpu.version, guest, procRoot);
    const isTenant = (one: number): boolean =>
      one === pid || companions?.includes(one) === true || isKernelThread(procRoot, one);
    if (companions === null || !isAloneIn(group, isTenant)) {
      return { ok: false, obstacle: `its cgroup ${directories.domainDir} holds other processes too: observed only` };
    }
    const cgroup = { version: hierarchies.cpu.version, ...directories, inode: group.inode };
    const groups: Partial<Record<Controller, ControllerGroup>> = {};
    for (const controller of CONTROLLERS) {
      const hierarchy = hierarchies[controller];
      if (controller === 'cpu' || hierarchy === undefined) continue;
      const found =
        hierarchy.root === hierarchies.cpu.root
          ? controllerAt(controller, group, cgroup)
          : groupOf(controller, hierarchy, text, isTenant, cgroupFiles);
      if (found !== null) groups[controller] = found;
    }
    return { ok: true, process: { pid, startTicks: stat.startTicks }, cgroup, groups };
  } finally {
    group.close();
  }
}

/** True when the process still is the one it was: same pid, same start time. */
export function isAlive(process: ProcessIdentity, procRoot: string): boolean {
  return mayLive(procRoot, process.pid, process.startTicks);
}

function directoriesOf(controller: Controller, hierarchy: Hierarchy, procCgroupText: string): DomainGroups | null {
  const path = groupPath(procCgroupText, controller, hierarchy.version);
  return path === null ? null : domainGroups(hierarchy, path);
}

/** The group again for another controller of the same tree. v2 offers only what the groups above pass on. */
function controllerAt(controller: Controller, group: Group, at: ControllerGroup): ControllerGroup | null {
  return at.version === 1 || controllersIn(group).includes(controller) ? at : null;
}

/** The guest's group in a tree of its own; null when it has none there, or not for itself. */
function groupOf(
  controller: Controller,
  hierarchy: Hierarchy,
  procCgroupText: string,
  isTenant: (pid: number) => boolean,
  cgroupFiles: CgroupFiles | undefined,
): ControllerGroup | null {
  const directories = directoriesOf(controller, hierarchy, procCgroupText);
  const group = directories === null ? null : Group.open(directories.domainDir, cgroupFiles);
  if (directories === null || group === null) return null;
  try {
    if (!isAloneIn(group, isTenant)) return null;
    return controllerAt(controller, group, { version: hierarchy.version, ...directories, inode: group.inode });
  } finally {
    group.close();
  }
}

/**
 * Processes that libvirt puts into the guest's `emulator` level beside it: swtpm, virtiofsd, slirp
 * (qemuSetupCgroupForExtDevices in libvirt's src/qemu/qemu_cgroup.c). Null when that level is another guest's.
 */
function companionsIn(group: Group, version: 1 | 2, { pid, uuid }: Guest, procRoot: string): readonly number[] | null {
  const inEmulator = pidsIn(group, version === 1 ? 'emulator/cgroup.procs' : 'emulator/cgroup.threads');
  if (inEmulator.length === 0) return [];
  if (!inEmulator.includes(pid)) return null;
  // Another guest's QEMU is no companion, wherever it is.
  return inEmulator.every((other) => [uuid, null].includes(readUuidArgument(procRoot, other))) ? inEmulator : null;
}

/**
 * True when only the guest's own processes live in the group and below it, and kernel threads that work for it (`vhost-PID`,
 * `kvm-nx-lpage-recovery-PID`), which the kernel puts where the process is.
 */
function isAloneIn(group: Group, isTenant: (pid: number) => boolean): boolean {
  if (!pidsIn(group, 'cgroup.procs').every(isTenant)) return false;
  return group.children().every((name) => {
    if (isThreadGroup(name)) return true;
    const child = group.openChild(name);
    try {
      return child === null || isAloneIn(child, isTenant);
    } finally {
      child?.close();
    }
  });
}

function pidsIn(group: Group, file: string): number[] {
  return (group.readOnce(file) ?? '').split('\n').filter(Boolean).map(Number);
}
