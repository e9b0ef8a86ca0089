/**
 * From a libvirt domain's process to its groups. The kernel says where the process lives; what is not clearly the
 * guest's own is left alone, with the reason.
 */
import { Group } from '../host/cgroup/group.js';
import { type CpuHierarchy, cpuGroupPath, domainGroups } from '../host/cgroup/layout.js';
import { mayLive, readProcessCgroup, readProcessStat, readUuidArgument } from '../host/proc/process.js';
import type { CpuCgroup, ProcessIdentity } from './types.js';

export interface LocateOptions {
  readonly hierarchy: CpuHierarchy | null;
  readonly procRoot: string;
  /** libvirt's run directory, `/run/libvirt`; pid files are in `qemu/` below it. */
  readonly runLibvirt: string;
}

export type Located =
  | { readonly ok: true; readonly process: ProcessIdentity; readonly cgroup: CpuCgroup }
  | { readonly ok: false; readonly obstacle: string };

/** Where the process with this pid lives, if it is the domain's and has a group of its own. */
export function locateProcess(pid: number, uuid: string, options: LocateOptions): Located {
  try {
    return locate(pid, uuid, options);
  } catch (error) {
    return { ok: false, obstacle: `process ${pid} cannot be looked at: ${(error as Error).message}` };
  }
}

function locate(pid: number, uuid: string, options: LocateOptions): Located {
  const { hierarchy, procRoot } = options;
  if (hierarchy === null) return { ok: false, obstacle: 'this host has no CPU controller mounted' };
  const stat = readProcessStat(procRoot, pid);
  if (stat === null) return { ok: false, obstacle: `process ${pid} is gone` };
  const claimed = readUuidArgument(procRoot, pid);
  if (claimed !== null && claimed !== uuid) {
    return { ok: false, obstacle: `process ${pid} says it is guest ${claimed}: left alone` };
  }
  const path = cpuGroupPath(readProcessCgroup(procRoot, pid) ?? '', hierarchy.version);
  const groups = path === null ? null : domainGroups(hierarchy, path);
  if (groups === null) return { ok: false, obstacle: 'its QEMU process has no CPU cgroup of its own: observed only' };
  const group = Group.open(groups.domainDir);
  if (group === null) return { ok: false, obstacle: `its cgroup ${groups.domainDir} is gone` };
  try {
    const alone = isItsOwn(group, { pid, uuid }, procRoot, hierarchy.version);
    if (!alone)
      return { ok: false, obstacle: `its cgroup ${groups.domainDir} holds other processes too: observed only` };
    return {
      ok: true,
      process: { pid, startTicks: stat.startTicks },
      cgroup: { version: hierarchy.version, ...groups, inode: group.inode },
    };
  } finally {
    group.close();
  }
}

/** True when the process still is the one it was: same pid, same start time. */
export function isAlive(process: ProcessIdentity, procRoot: string): boolean {
  return mayLive(procRoot, process.pid, process.startTicks);
}

/**
 * True when no process but this one lives in the group, save those that libvirt puts into its `emulator` level beside it:
 * swtpm, virtiofsd, slirp (qemuSetupCgroupForExtDevices in libvirt's src/qemu/qemu_cgroup.c).
 */
function isItsOwn(
  group: Group,
  { pid, uuid }: { readonly pid: number; readonly uuid: string },
  procRoot: string,
  version: 1 | 2,
): boolean {
  const inEmulator = pidsIn(group, version === 1 ? 'emulator/cgroup.procs' : 'emulator/cgroup.threads');
  const companions = inEmulator.includes(pid) ? inEmulator : [];
  const strangers = pidsIn(group, 'cgroup.procs').filter((other) => other !== pid && !companions.includes(other));
  if (strangers.length > 0 || (inEmulator.length > 0 && companions.length === 0)) return false;
  // Another guest's QEMU is no companion, wherever it is.
  return companions.every((other) => [uuid, null].includes(readUuidArgument(procRoot, other)));
}

function pidsIn(group: Group, file: string): number[] {
  return (group.readOnce(file) ?? '').split('\n').filter(Boolean).map(Number);
}
