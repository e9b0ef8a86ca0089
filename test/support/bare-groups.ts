/**
 * Cgroups for guests without libvirt: on v1 one in each tree, on v2 one for all controllers, which the groups above have to
 * pass on (cgroup.subtree_control). They are below a group of this process right under the root, so that guests share CPU
 * with each other first. Its name holds the pid: what a killed run left behind can be told from what is in use.
 * Source: cgroups(7), Documentation/admin-guide/cgroup-v2.rst.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const CGROUP_ROOT = '/sys/fs/cgroup';
const PARENT_PREFIX = 'virtslad-bare-';

export type BareTree = 'cpu' | 'memory' | 'blkio' | 'cpuset';
export const TREES: readonly BareTree[] = ['cpu', 'memory', 'blkio', 'cpuset'];

const CONTROLLERS = ['cpu', 'memory', 'io', 'cpuset'] as const;
const NAMES_OF_ERRORS: Readonly<Record<string, string>> = {
  EBUSY: 'EBUSY: processes live in that group, as in a container',
  EROFS: 'EROFS: it is mounted read-only',
};

/** Controllers of v2 that this process has made the root pass on. */
const passedOn = new Set<string>();

/** Tree → directory of a group to be made; one entry `unified` on v2. */
export function groupPaths(trees: readonly BareTree[], name: string): Map<string, string> {
  const below = join(`${PARENT_PREFIX}${process.pid}`, name);
  if (trees.length > 0 && isVersion2()) return new Map([['unified', join(CGROUP_ROOT, below)]]);
  const mounted = trees.filter((tree) => existsSync(join(CGROUP_ROOT, tree, 'cgroup.procs')));
  return new Map(mounted.map((tree) => [tree, join(CGROUP_ROOT, tree, below)]));
}

/** Makes it and the one above it; on v2 with all controllers that can be had. */
export function makeGroup(path: string): void {
  const parent = dirname(path);
  if (!existsSync(parent)) {
    if (isVersion2()) for (const controller of passOn(CGROUP_ROOT)) passedOn.add(controller);
    make(parent);
  }
  if (isVersion2()) passOn(parent);
  make(path);
  if (readText(join(path, 'cgroup.type')).trim() === 'domain invalid') {
    throw new Error(`${path} takes no process: others live in ${CGROUP_ROOT} itself, as in a container`);
  }
}

/** A new cpuset of v1 has no CPUs and no memory nodes, and takes no process until it has. */
function make(path: string): void {
  mkdirSync(path);
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const inherited = readText(join(path, '..', file)).trim();
    if (inherited !== '' && readText(join(path, file)).trim() === '') writeFileSync(join(path, file), inherited);
  }
}

/** True when there is no such group any more. With the last goes the one above, and what the root passed on for it. */
export function removeGroup(path: string): boolean {
  if (!remove(path)) return false;
  const parent = dirname(path);
  if (!existsSync(parent) || childrenOf(parent).length > 0) return true;
  if (!remove(parent)) return false;
  takeBack();
  return true;
}

/** Removes groups whose maker is gone; one that still holds a process stays. */
export function removeBareLeftovers(): void {
  for (const tree of ['', 'unified', ...TREES]) {
    for (const name of childrenOf(join(CGROUP_ROOT, tree)).filter((one) => one.startsWith(PARENT_PREFIX))) {
      if (existsSync(`/proc/${name.slice(PARENT_PREFIX.length)}`)) continue;
      const parent = join(CGROUP_ROOT, tree, name);
      for (const child of childrenOf(parent)) remove(join(parent, child));
      remove(parent);
    }
  }
}

/** Controllers that a guest with these groups cannot have limits of, each with the reason. */
export function missingControllers(groups: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const unified = groups.get('unified');
  if (unified === undefined) {
    const missing = TREES.filter((tree) => !groups.has(tree));
    return new Map(missing.map((tree) => [tree, `there is no ${join(CGROUP_ROOT, tree)}`]));
  }
  const has = controllersOf(unified);
  return new Map(CONTROLLERS.filter((one) => !has.includes(one)).map((one) => [one, whyMissing(one)]));
}

function whyMissing(controller: string): string {
  if (!controllersOf(CGROUP_ROOT).includes(controller)) return `${CGROUP_ROOT}/cgroup.controllers does not list it`;
  const error = enable(CGROUP_ROOT, controller);
  return `${CGROUP_ROOT}/cgroup.subtree_control does not take +${controller} (${NAMES_OF_ERRORS[error] ?? error})`;
}

function isVersion2(): boolean {
  return existsSync(join(CGROUP_ROOT, 'cgroup.controllers'));
}

/** Has the group pass on what it can and does not yet; gives those that it does now. */
function passOn(group: string): string[] {
  const before = wordsOf(join(group, 'cgroup.subtree_control'));
  const available = controllersOf(group);
  return CONTROLLERS.filter((one) => available.includes(one) && !before.includes(one)).filter(
    (one) => enable(group, one) === '',
  );
}

/** One at a time: a write is done wholly or not at all. Gives the error's name; empty when it went well. */
function enable(group: string, controller: string): string {
  try {
    writeFileSync(join(group, 'cgroup.subtree_control'), `+${controller}`);
    return '';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** What groups of somebody else have come to use stays: taking it back would take their limits away. */
function takeBack(): void {
  const used = new Set(
    childrenOf(CGROUP_ROOT).flatMap((name) => wordsOf(join(CGROUP_ROOT, name, 'cgroup.subtree_control'))),
  );
  const others = childrenOf(CGROUP_ROOT).some((name) => name.startsWith(PARENT_PREFIX));
  for (const controller of passedOn) {
    if (!others && !used.has(controller)) writeFileSync(join(CGROUP_ROOT, 'cgroup.subtree_control'), `-${controller}`);
  }
  passedOn.clear();
}

function remove(path: string): boolean {
  try {
    if (existsSync(path)) rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}

function childrenOf(path: string): string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? entry.name : []));
}

function controllersOf(group: string): string[] {
  return wordsOf(join(group, 'cgroup.controllers'));
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
