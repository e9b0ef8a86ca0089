/**
 * From a bare QEMU process to its groups. Nobody made them for it as libvirt does, so a group counts as the guest's own
 * only when nothing but this process lives in it and below it: one that an operator made, a container's, a systemd
 * scope or service. Each controller is judged by itself: on v1 a process can have a group in one tree and none in another.
 */
import { basename } from 'node:path';
import { Group } from '../host/cgroup/group.js';
import {
  CONTROLLERS,
  controllersIn,
  type DomainGroups,
  domainGroups,
  groupPath,
  type Hierarchy,
} from '../host/cgroup/layout.js';
import { readCgroupText } from '../host/proc/cgroup-text.js';
import { isKernelThread } from '../host/proc/kernel-thread.js';
import { unitOfGroup } from '../host/systemd/unit-name.js';
import { type LocateOptions, locateProcess } from './locate.js';
import type { Controller, ControllerGroup, Domain } from './types.js';

export interface BareProcess {
  readonly pid: number;
  readonly uuid: string;
  /** Processes that QEMU has split off: they are part of it. */
  readonly offshoots: readonly number[];
  /** As far as they are known. */
  readonly vcpuThreadIds: readonly number[];
}

export interface BareLocated {
  /** Its CPU groups; null when it has none of its own. */
  readonly cgroup: ControllerGroup | null;
  readonly groups: Domain['groups'];
  /** Why a controller has no group here. */
  readonly reasons: Readonly<Partial<Record<Controller, string>>>;
}

type Found = { readonly ok: true; readonly group: ControllerGroup } | { readonly ok: false; readonly reason: string };

/** Of groups below the guest's, which nobody makes for a guest: more than that are not looked through. */
const DEPTH_MAX = 8;
const GROUPS_MAX = 256;
const CROWDED = 'holds other processes too';
const UNIT_NAME = /\.(?:scope|service|slice)$/;
/** Threads count where they are, memory where the process is. */
const BY_THREAD: readonly Controller[] = ['cpu', 'cpuset'];

/**
 * Where the process lives, controller by controller. `crowded` remembers, for one look at many processes, the groups in
 * which one of them was found not to be alone: nobody is alone there.
 */
export function locateBare(process: BareProcess, options: LocateOptions, crowded = new Set<string>()): BareLocated {
  try {
    return locate(process, options, crowded);
  } catch (error) {
    const reason = `process ${process.pid} cannot be looked at: ${(error as Error).message}`;
    return { cgroup: null, groups: {}, reasons: { cpu: reason } };
  }
}

function locate(process: BareProcess, options: LocateOptions, crowded: Set<string>): BareLocated {
  const { hierarchies, procRoot } = options;
  const text = readCgroupText(procRoot, process.pid);
  const cpuPath = hierarchies.cpu && groupPath(text, 'cpu', hierarchies.cpu.version);
  if (cpuPath && basename(cpuPath) === 'emulator') return asLibvirtLeftIt(process, options);
  const place: Place = { process, text, options, crowded, judged: new Map() };
  const groups: Partial<Record<Controller, ControllerGroup>> = {};
  const reasons: Partial<Record<Controller, string>> = {};
  for (const controller of CONTROLLERS) {
    const hierarchy = hierarchies[controller];
    const found =
      hierarchy === undefined
        ? no(`this host has no ${controller} controller mounted`)
        : find(controller, hierarchy, place);
    if (found.ok) groups[controller] = found.group;
    else reasons[controller] = found.reason;
  }
  const { cpu, ...rest } = groups;
  return { cgroup: cpu ?? null, groups: rest, reasons };
}

/** A guest that libvirt started, on a host where libvirt is not to be asked: its levels and their tenants are known. */
function asLibvirtLeftIt({ pid, uuid }: BareProcess, options: LocateOptions): BareLocated {
  const located = locateProcess(pid, uuid, options);
  if (!located.ok) return { cgroup: null, groups: {}, reasons: { cpu: located.obstacle } };
  const { cgroup, groups } = located;
  return { cgroup, groups, reasons: {} };
}

interface Place {
  readonly process: BareProcess;
  /** Of its /proc/PID/cgroup. */
  readonly text: string;
  readonly options: LocateOptions;
  readonly crowded: Set<string>;
  /** What is wrong with the tenants of a group; on v2 one group is that of all controllers. */
  readonly judged: Map<string, string | null>;
}

function find(controller: Controller, hierarchy: Hierarchy, place: Place): Found {
  const { version } = hierarchy;
  const path = groupPath(place.text, controller, version);
  const directories = path === null ? null : domainGroups(hierarchy, path);
  if (directories === null || directories.domainDir.endsWith('.slice')) {
    return no(`its QEMU process has no ${controller} cgroup of its own: observed only`);
  }
  const { domainDir } = directories;
  const owner = ownerOf(directories);
  if (owner === 'another systemd') return no(`its cgroup ${domainDir} is that of another systemd: observed only`);
  if (place.crowded.has(domainDir)) return no(`its cgroup ${domainDir} ${CROWDED}: observed only`);
  const group = Group.open(domainDir, place.options.cgroupFiles);
  if (group === null) return no(`its cgroup ${domainDir} is gone`);
  try {
    if (version === 2 && !controllersIn(group).includes(controller)) {
      return no(`its cgroup ${domainDir} has no ${controller} controller: those above do not pass it on`);
    }
    const known = place.judged.get(domainDir);
    const tenants = known === undefined ? tenantsOf(group, place, version) : known;
    place.judged.set(domainDir, tenants);
    if (tenants === CROWDED) place.crowded.add(domainDir);
    if (tenants !== null) return no(`its cgroup ${domainDir} ${tenants}: observed only`);
    const strayed = BY_THREAD.includes(controller) ? strayedThread(controller, hierarchy, place) : null;
    if (strayed !== null) return no(`its vCPU thread ${strayed} is in another cgroup than its process: observed only`);
    const inode = group.inode;
    return { ok: true, group: { version, ...directories, systemdOwned: owner === 'systemd', inode } };
  } finally {
    group.close();
  }
}

/** Whose the directory is where the guest's weight stands. */
function ownerOf({ weightDir }: DomainGroups): 'systemd' | 'another systemd' | 'nobody' {
  if (!UNIT_NAME.test(weightDir)) return 'nobody';
  return unitOfGroup(weightDir) === null ? 'another systemd' : 'systemd';
}

/**
 * What is wrong with who lives in the group and below it; null when it is this process alone. Kernel threads that work for
 * it (`vhost-PID`, `kvm-nx-lpage-recovery-PID`) are put there by the kernel. v2 lists the processes of threaded groups in
 * the group above them.
 */
function tenantsOf(group: Group, { process, options }: Place, version: 1 | 2): string | null {
  const { pid, offshoots } = process;
  const isStranger = (one: number): boolean =>
    one !== pid && !offshoots.includes(one) && !isKernelThread(options.procRoot, one);
  let here = false;
  let groups = 0;
  const walk = (at: Group, depth: number): string | null => {
    const threaded = version === 2 && depth > 0 && at.readOnce('cgroup.type') === 'threaded';
    const text = threaded ? '' : at.readOnce('cgroup.procs');
    groups += 1;
    if (text === null || depth > DEPTH_MAX || groups > GROUPS_MAX) return 'cannot be read wholly';
    const pids = text.split('\n').filter(Boolean).map(Number);
    if (pids.some(isStranger)) return CROWDED;
    here ||= pids.includes(pid);
    for (const name of at.children()) {
      const child = at.openChild(name);
      try {
        const below = child === null ? null : walk(child, depth + 1);
        if (below !== null) return below;
      } finally {
        child?.close();
      }
    }
    return null;
  };
  return walk(group, 0) ?? (here ? null : `does not hold process ${pid} any more`);
}

/** A vCPU thread that somebody has put into another group, where this one's limits do not bind it; null when there is none. */
function strayedThread(
  controller: Controller,
  { version }: Hierarchy,
  { process, text, options }: Place,
): number | null {
  const home = groupPath(text, controller, version);
  const strayed = process.vcpuThreadIds.find((id) => {
    const path = groupPath(readCgroupText(options.procRoot, process.pid, id), controller, version);
    return path !== null && path !== home && !path.startsWith(`${home}/`);
  });
  return strayed ?? null;
}

function no(reason: string): Found {
  return { ok: false, reason };
}
