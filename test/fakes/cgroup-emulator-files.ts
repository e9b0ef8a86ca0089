/** Which files a group of the emulated kernel has, and those that every group has: kernel/cgroup/cgroup.c. */
import type { Controller } from '../../src/domains/types.js';
import { CPU_V1, CPU_V2, TIME_OF_ALL } from './cgroup-emulator-cpu.js';
import { CPUSET_V1, CPUSET_V2 } from './cgroup-emulator-cpuset.js';
import { type EmulatedFile, type EmulatedGroup, type FileTable, isThreadable } from './cgroup-emulator-group.js';
import { IO_V1, IO_V2, lacksIoFile } from './cgroup-emulator-io.js';
import { lacksMemoryFile, MEMORY_V1, MEMORY_V2 } from './cgroup-emulator-memory.js';
import { kernelError } from './cgroup-emulator-text.js';

const TABLES = {
  1: { cpu: CPU_V1, memory: MEMORY_V1, io: IO_V1, cpuset: CPUSET_V1 },
  2: { cpu: CPU_V2, memory: MEMORY_V2, io: IO_V2, cpuset: CPUSET_V2 },
} as const;

const CALM = 'some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n';
const lines = (ids: Iterable<number>): string => [...ids].map((id) => `${id}\n`).join('');

const CORE_V1: FileTable = {
  'cgroup.procs': { read: ({ processes }) => lines(processes), onRoot: true },
  tasks: { read: ({ threads }) => lines(threads), onRoot: true },
};

const CORE_V2: FileTable = {
  'cgroup.procs': {
    read(group) {
      if (group.threaded) throw kernelError('ENOTSUP', 'read');
      return lines(group.processes);
    },
    onRoot: true,
  },
  'cgroup.threads': { read: ({ threads }) => lines(threads), onRoot: true },
  'cgroup.controllers': { read: ({ controllers }) => `${inOrder(controllers).join(' ')}\n`, onRoot: true },
  'cgroup.subtree_control': {
    read: ({ passedOn }) => `${inOrder(passedOn).join(' ')}\n`,
    write: passOn,
    onRoot: true,
  },
  'cgroup.type': {
    read: ({ threaded, children }) =>
      threaded
        ? 'threaded\n'
        : [...children.values()].some((child) => child.threaded)
          ? 'domain threaded\n'
          : 'domain\n',
    write(group, text) {
      if (text.trim() !== 'threaded') throw kernelError('EINVAL');
      group.threaded = true;
    },
  },
  'cpu.stat': TIME_OF_ALL,
  'cpu.pressure': { read: () => CALM, onRoot: true },
  'memory.pressure': { read: () => CALM, onRoot: true },
  'io.pressure': { read: () => CALM, onRoot: true },
};

/** As include/linux/cgroup_subsys.h lists them. */
const ORDER = ['cpuset', 'cpu', 'io', 'memory'] as const;

function inOrder(controllers: Iterable<Controller>): Controller[] {
  const given = new Set(controllers);
  return ORDER.filter((controller) => given.has(controller));
}

/** cgroup_subtree_control_write: all words or none. */
function passOn(group: EmulatedGroup, text: string): void {
  const [on, off] = [new Set<Controller>(), new Set<Controller>()];
  for (const word of text.trim().split(' ').filter(Boolean)) {
    const controller = ORDER.find((one) => one === word.slice(1));
    if (controller === undefined || !/^[+-]/.test(word)) throw kernelError('EINVAL');
    (word[0] === '+' ? on : off).add(controller);
    (word[0] === '+' ? off : on).delete(controller);
  }
  const below = [...group.children.values()];
  for (const controller of on) {
    if (group.passedOn.has(controller)) on.delete(controller);
    else if (!group.controllers.includes(controller)) throw kernelError('ENOENT');
  }
  for (const controller of off) {
    if (below.some(({ passedOn }) => passedOn.has(controller))) throw kernelError('EBUSY');
  }
  if (group.parent !== null && [...on].some((controller) => !isThreadable(controller))) {
    if (group.threaded || below.some(({ threaded }) => threaded)) throw kernelError('ENOTSUP');
    if (group.processes.size > 0) throw kernelError('EBUSY');
  }
  for (const controller of on) group.passedOn.add(controller);
  for (const controller of off) group.passedOn.delete(controller);
}

export function filesOf(group: EmulatedGroup): Map<string, EmulatedFile> {
  const { version } = group.mount;
  const found = new Map(Object.entries(version === 1 ? CORE_V1 : CORE_V2));
  for (const controller of group.controllers) {
    for (const [name, file] of Object.entries<EmulatedFile>(TABLES[version][controller])) found.set(name, file);
  }
  for (const [name, file] of found) {
    const lacking = lacksMemoryFile(group, name) || lacksIoFile(group, name);
    if (lacking || (group.parent === null ? file.onRoot !== true && file.onlyOnRoot !== true : file.onlyOnRoot))
      found.delete(name);
  }
  return found;
}
