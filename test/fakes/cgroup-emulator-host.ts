/**
 * The cgroup trees of a fixture host in an emulated kernel: the paths of its layout, with the kernel's behaviour. Given as
 * `cgroupFiles` beside the tree's own /proc and pid files.
 */
import { dirname, join } from 'node:path';
import type { GuestOnTree, HostTree } from '../fixtures/host-tree.js';
import { CgroupEmulator } from './cgroup-emulator.js';
import type { Machine } from './cgroup-emulator-group.js';

const CONTROLLERS = ['cpu', 'memory', 'io', 'cpuset'] as const;

export function emulateTrees(tree: HostTree, machine: Partial<Machine> = {}): CgroupEmulator {
  return new CgroupEmulator(tree.mounts, machine);
}

/** The guest's groups as libvirt leaves them after a start, its threads in them. */
export function emulateGuest(emulator: CgroupEmulator, tree: HostTree, guest: GuestOnTree): void {
  for (const controller of CONTROLLERS) {
    const domain = tree.domainDir(guest, controller);
    const { mount } = emulator.make(domain);
    const levels = tree.threadGroups(guest, controller);
    for (const name of levels) emulator.make(join(domain, name), { threaded: mount.version === 2 });
    // Every thread leads a life of its own in the trees that know threads, the process in the others.
    if (levels.length === 0) emulator.enter(domain, guest.pid);
    for (const name of levels) emulator.enter(join(domain, name), guest.pid, threadIn(name, guest.pid));
    if (controller === 'cpuset' && mount.version === 1) inheritCpus(emulator, mount.root, domain, levels);
  }
}

/** The main thread in `emulator`, one after it in each `vcpuN`. */
function threadIn(level: string, pid: number): number {
  const vcpu = /^vcpu(\d+)$/.exec(level)?.[1];
  return vcpu === undefined ? pid : pid + 1 + Number(vcpu);
}

/** v1 begins with no CPU; libvirt gives each level those of the one above (virCgroupCpuSetInherit). */
function inheritCpus(emulator: CgroupEmulator, root: string, domain: string, levels: readonly string[]): void {
  const above: string[] = [];
  for (let path = domain; path !== root; path = dirname(path)) above.unshift(path);
  for (const path of [...above, ...levels.map((name) => join(domain, name))]) {
    if (emulator.group(path).cpus.size === 0) emulator.poke(join(path, 'cpuset.cpus'), 'all');
  }
}
