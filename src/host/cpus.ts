/** Numbers of the CPUs that are online. Source: Documentation/admin-guide/cputopology.rst. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseCpuList } from '../units.js';

export function onlineCpus(sysRoot = '/sys'): readonly number[] {
  try {
    const list = parseCpuList(readFileSync(`${sysRoot}/devices/system/cpu/online`, 'latin1').trim());
    if (list.ok) return list.value;
  } catch {
    // A container may hide it.
  }
  return cpus().map((_, number) => number);
}
