/**
 * Cgroups for guests without libvirt, right below the root: on v1 one in each tree, on v2 one for all controllers, which
 * the root then has to pass on (cgroup.subtree_control). Names hold the pid of their maker, so that what a killed run left
 * behind can be told from what is in use. Source: cgroups(7), Documentation/admin-guide/cgroup-v2.rst.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const CGROUP_ROOT = '/sys/fs/cgroup';
/** Part of the name of every group made here, with the pid of its maker. */
const GROUP_PREFIX = 'virtslad-bare-';

export type BareTree = 'cpu' | 'memory' | 'blkio' | 'cpuset';
export const TREES: readonly BareTree[] = ['cpu', 'memory', 'blkio', 'cpuset'];

const CONTROLLERS = ['cpu', 'memory', 'io', 'cpuset'] as const;
const NAMES_OF_ERRORS: Readonly<Record<string, string>> = {
  EBUSY: 'EBUSY: processes live in that group, as in a container',
  EROFS: 'EROFS: it is mounted read-only',
};

/** Controllers of v2 that this process has made the root pass on. */
const passedOn = new Set<string>();

/** Tree → directory of a new group; one entry `unified` on v2. Nothing is made yet. */
export function groupPaths(trees: readonly BareTree[], name: string): Map<string, string> {
  const full = `${GROUP_PREFIX}${process.pid}-${name}`;
  if (trees.length > 0 && isVersion2()) return new Map([['unified', join(CGROUP_ROOT, full)]]);
  const mounted = trees.filter((tree) => existsSync(join(CGROUP_ROOT, tree, 'cgroup.procs')));
  return new Map(mounted.map((tree) => [tree, join(CGROUP_ROOT, tree, full)]));
}

/** Makes it, and on v2 has the controllers passed on that this host has. A cpuset of v1 is empty, and takes no process. */
export function makeGroup(path: string): void {
  if (isVersion2()) passOnControllers();
  mkdirSync(path);
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const inherited = readText(join(path, '..', file)).trim();
    if (inherited !== '' && readText(join(path, file)).trim() === '') writeFileSync(join(path, file), inherited);
  }
}

/** True when there is no such group any more; with the last on v2, what the root was made to pass on is undone. */
export function removeGroup(path: string): boolean {
  try {
    if (existsSync(path)) rmdirSync(path);
  } catch {
    return false;
  }
  if (passedOn.size > 0 && groupsIn(CGROUP_ROOT).length === 0) takeControllersBack();
  return true;
}

/** Removes groups whose maker is gone; one that still holds a process stays. */
export function removeBareLeftovers(): void {
  for (const tree of ['', 'unified', ...TREES]) {
    const parent = join(CGROUP_ROOT, tree);
    for (const name of groupsIn(parent)) {
      const maker = name.slice(GROUP_PREFIX.length).split('-')[0];
      if (!existsSync(`/proc/${maker}`)) removeGroup(join(parent, name));
    }
  }
}

/** Controllers that a group made here does not have, each with the reason. */
export function missingControllers(groups: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const missing = new Map<string, string>();
  const unified = groups.get('unified');
  if (unified === undefined) {
    for (const tree of TREES) if (!groups.has(tree)) missing.set(tree, `there is no ${join(CGROUP_ROOT, tree)}`);
    return missing;
  }
  const has = wordsOf(join(unified, 'cgroup.controllers'));
  const known = wordsOf(join(CGROUP_ROOT, 'cgroup.controllers'));
  for (const controller of CONTROLLERS.filter((one) => !has.includes(one))) {
    const reason = known.includes(controller)
      ? passOn(controller)
      : `${CGROUP_ROOT}/cgroup.controllers does not list it`;
    if (reason !== null) missing.set(controller, reason);
  }
  return missing;
}

function isVersion2(): boolean {
  return existsSync(join(CGROUP_ROOT, 'cgroup.controllers'));
}

function passOnControllers(): void {
  const known = wordsOf(join(CGROUP_ROOT, 'cgroup.controllers'));
  const enabled = wordsOf(join(CGROUP_ROOT, 'cgroup.subtree_control'));
  for (const controller of CONTROLLERS) {
    if (!known.includes(controller) || enabled.includes(controller)) continue;
    if (passOn(controller) === null) passedOn.add(controller);
  }
}

/** One at a time: a write is done wholly or not at all. Null when it went well, else why not. */
function passOn(controller: string): string | null {
  const path = join(CGROUP_ROOT, 'cgroup.subtree_control');
  try {
    writeFileSync(path, `+${controller}`);
    return null;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    return `${path} does not take +${controller} (${NAMES_OF_ERRORS[code] ?? code})`;
  }
}

/** A controller that a group of somebody else has come to pass on cannot be taken back, and stays. */
function takeControllersBack(): void {
  for (const controller of passedOn) {
    try {
      writeFileSync(join(CGROUP_ROOT, 'cgroup.subtree_control'), `-${controller}`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
    }
  }
  passedOn.clear();
}

function groupsIn(parent: string): string[] {
  return existsSync(parent) ? readdirSync(parent).filter((name) => name.startsWith(GROUP_PREFIX)) : [];
}

function wordsOf(path: string): string[] {
  return readText(path).trim().split(/\s+/);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
