/**
 * cgroups of a guest's own on a host without systemd: made, entered by this very process before it is QEMU, removed.
 * Directories are named by us from a uuid and a pid, never from a guest's name; a name that is there already is
 * nobody's to take. Source: cgroup-v2.rst, cgroup-v1/cgroups.rst.
 */
import { closeSync, constants, lstatSync, mkdirSync, openSync, rmdirSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Group } from '../cgroup/group.js';
import { controllersIn, groupPath, type Hierarchies, type Hierarchy } from '../cgroup/layout.js';

/** cpuset has no group: on v1 an empty one has no CPU to run on, and pins of bare guests are never set. */
const OWN = ['cpu', 'memory', 'io'] as const;
/** Where libvirt without systemd puts its guests: beside them weights mean what they mean among guests. */
const GUESTS = 'machine';
const NAME = /^virtslad-[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}-\d{1,10}$/;

export type GroupsMade =
  | { readonly ok: true; readonly groups: readonly string[] }
  | { readonly ok: false; readonly path: string; readonly reason: string };

export function ownGroupName(uuid: string, pid: number): string {
  return `virtslad-${uuid}-${pid}`;
}

/** For each tree that has a controller of ours, where its group may be: the first place that will do is taken. */
export function ownGroupPlaces(hierarchies: Hierarchies, name: string): readonly (readonly string[])[] {
  return treesOf(hierarchies).map(({ root }) => {
    const guests = join(root, GUESTS);
    const there = lstatSync(guests, { throwIfNoEntry: false })?.isDirectory() === true;
    return [...(there ? [join(guests, name)] : []), join(root, name)];
  });
}

/** One in each tree, or none at all. */
export function makeOwnGroups(hierarchies: Hierarchies, places: readonly (readonly string[])[]): GroupsMade {
  const made: string[] = [];
  for (const candidates of places) {
    let refused: { readonly path: string; readonly reason: string } = { path: '', reason: 'there is no place for it' };
    const path = candidates.find((candidate) => {
      const reason = make(hierarchies, candidate);
      if (reason !== null) refused = { path: candidate, reason };
      return reason === null;
    });
    if (path === undefined) {
      removeOwnGroups(made);
      return { ok: false, ...refused };
    }
    made.push(path);
  }
  return { ok: true, groups: made };
}

/** Null when it was made, and on v2 is passed the CPU controller by those above it. */
function make(hierarchies: Hierarchies, path: string): string | null {
  try {
    if (!NAME.test(basename(path))) return 'this is no name of ours';
    mkdirSync(path, 0o755);
  } catch (error) {
    return (error as Error).message;
  }
  const { cpu } = hierarchies;
  if (cpu?.version !== 2 || !path.startsWith(`${cpu.root}/`)) return null;
  const group = Group.open(path);
  const has = controllersIn(group).includes('cpu');
  group?.close();
  if (has) return null;
  removeOwnGroup(path);
  return 'the groups above it do not pass the CPU controller on';
}

/** Puts this process, and so what it becomes, into the groups. @throws when one cannot be entered */
export function enterGroups(groups: readonly string[]): void {
  for (const path of groups) enter(path);
}

/** Where this process was, in the trees of the groups given, from its /proc/PID/cgroup of then. */
export function groupsOf(hierarchies: Hierarchies, procCgroupText: string): readonly string[] {
  return treesOf(hierarchies).flatMap((tree) => {
    const controller = OWN.find((one) => hierarchies[one]?.root === tree.root) ?? 'cpu';
    const path = groupPath(procCgroupText, controller, tree.version);
    return path === null ? [] : [join(tree.root, path)];
  });
}

/** Empty ones of ours; true when none is left. The kernel lets go of a group some moments after its last process. */
export function removeOwnGroups(paths: readonly string[]): boolean {
  return paths.map(removeOwnGroup).every(Boolean);
}

function removeOwnGroup(path: string): boolean {
  if (!NAME.test(basename(path))) return true;
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

function enter(path: string): void {
  const fd = openSync(join(path, 'cgroup.procs'), constants.O_WRONLY | constants.O_NOFOLLOW);
  try {
    // The kernel takes 0 for the process that writes: nobody else can be moved from here.
    writeSync(fd, '0');
  } finally {
    closeSync(fd);
  }
}

/** Each once: v1 may have two controllers in one tree, v2 has all in one. */
function treesOf(hierarchies: Hierarchies): readonly Hierarchy[] {
  const trees = OWN.flatMap((controller) => hierarchies[controller] ?? []);
  return trees.filter((tree, at) => trees.findIndex(({ root }) => root === tree.root) === at);
}
