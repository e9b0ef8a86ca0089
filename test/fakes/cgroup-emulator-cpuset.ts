/** cpuset files of the emulated kernel: kernel/cgroup/cpuset.c, cpuset-v1.c. */
import type { EmulatedFile, EmulatedGroup, FileTable } from './cgroup-emulator-group.js';
import { cpuList, kernelError, printCpuList, strip } from './cgroup-emulator-text.js';

const isWithin = (inner: ReadonlySet<number>, outer: ReadonlySet<number>): boolean =>
  [...inner].every((cpu) => outer.has(cpu));

/** What the group's threads may use: its own CPUs as far as the groups above have them, else theirs. */
function effectiveCpus(group: EmulatedGroup): ReadonlySet<number> {
  if (group.parent === null) return new Set(Array.from({ length: group.machine.cpus }, (_, cpu) => cpu));
  const above = effectiveCpus(group.parent);
  if (group.mount.version === 1) return new Set([...group.cpus].filter((cpu) => above.has(cpu)));
  const own = new Set([...group.cpus].filter((cpu) => above.has(cpu)));
  return own.size > 0 ? own : above;
}

/** update_cpumask, validate_change */
const cpus: EmulatedFile = {
  read: (group) => `${printCpuList(group.parent === null ? effectiveCpus(group) : group.cpus)}\n`,
  write(group, text) {
    const wanted = cpuList(strip(text), group.machine.cpus);
    if (wanted.size === group.cpus.size && isWithin(wanted, group.cpus)) return;
    if (group.mount.version === 1) {
      if ([...group.children.values()].some((child) => !isWithin(child.cpus, wanted))) throw kernelError('EBUSY');
      const above = group.parent?.parent == null ? effectiveCpus(group.parent ?? group) : group.parent.cpus;
      if (!isWithin(wanted, above)) throw kernelError('EACCES');
    }
    if (wanted.size === 0 && group.populated) throw kernelError('ENOSPC');
    group.cpus = wanted;
  },
};

export const CPUSET_V1: FileTable = {
  'cpuset.cpus': cpus,
  'cpuset.effective_cpus': { read: (group) => `${printCpuList(effectiveCpus(group))}\n`, onRoot: true },
};

export const CPUSET_V2: FileTable = {
  'cpuset.cpus': cpus,
  'cpuset.cpus.effective': { read: (group) => `${printCpuList(effectiveCpus(group))}\n`, onRoot: true },
};
