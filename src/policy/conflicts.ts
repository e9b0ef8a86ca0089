/**
 * Rules between two values of one class: what contradicts, and what does nothing alone. Takes a lookup of the values in
 * force together, gives findings with both places. Compares only where the comparison holds for every guest: amounts
 * in the same unit. The rest is judged per guest, by the controls. Pure.
 */
import type { SourcePosition } from '../errors.js';
import { formatPosition } from '../errors.js';
import type { MemoryAmount } from './memory-values.js';
import type { CpuAmount, KeyPath, Sourced } from './types.js';

export type Lookup = (key: KeyPath) => Sourced | undefined;

export interface Conflict {
  readonly where: SourcePosition;
  /** The other value's place; the pair names the conflict. */
  readonly other: SourcePosition | null;
  readonly message: string;
  readonly fix: string;
}

interface Named extends Sourced {
  readonly key: KeyPath;
}

/** Contradictions between the values that the lookup gives. */
export function conflicts(get: Lookup): readonly Conflict[] {
  const found: Conflict[] = [];
  const at = (key: KeyPath): Named | undefined => {
    const value = get(key);
    return value && { ...value, key };
  };
  const report = (one: Named, other: Named, relation: string, fix: string): void => {
    const message = `${one.key} ${one.text} ${relation} ${other.key} ${other.text} (${formatPosition(other.source)})`;
    found.push({ where: one.source, other: other.source, message, fix });
  };
  const needs = (one: Named, key: KeyPath, fix: string): void => {
    found.push({
      where: one.source,
      other: null,
      message: `${one.key} ${one.text} needs ${key}, which is not set`,
      fix,
    });
  };

  const [guarantee, limit, burst] = [at('cpu.guarantee'), at('cpu.limit'), at('cpu.burst')];
  if (guarantee && limit && cpuOver(guarantee.value as CpuAmount, limit.value as CpuAmount)) {
    report(guarantee, limit, 'is over', `write ${limit.text} or less as the guarantee, or raise the limit`);
  }
  if (burst && limit && (burst.value as number) > quotaSeconds(limit.value as CpuAmount)) {
    report(burst, limit, 'is over the quota in 100 ms of', 'write a shorter burst, or raise the limit');
  }

  const memory = ['memory.guarantee', 'memory.high', 'memory.limit'].map(at);
  for (const [index, low] of memory.entries()) {
    for (const high of memory.slice(index + 1)) {
      if (low && high && memoryOver(low.value as MemoryAmount, high.value as MemoryAmount)) {
        report(low, high, 'is over', `write ${high.text} or less as ${low.key}, or raise ${high.key}`);
      }
    }
  }

  for (const prefix of ['disk.limit.', 'disk.limit.burst.']) {
    for (const [sum, parts] of [
      ['total', ['read', 'write']],
      ['iops', ['read-iops', 'write-iops']],
    ] as const) {
      for (const part of parts) {
        const [one, other] = [at(prefix + sum), at(prefix + part)];
        // QEMU: "bps/iops/max total values and read/write values cannot be used at the same time".
        if (one && other) report(one, other, 'cannot stand beside', `keep ${one.key}, or its read and write parts`);
      }
    }
  }

  const bursts = ['read', 'write', 'total', 'iops', 'read-iops', 'write-iops'].flatMap(
    (name) => at(`disk.limit.burst.${name}`) ?? [],
  );
  for (const one of bursts) {
    const base = at(one.key.replace('.burst', ''));
    // QEMU: "bps_max/iops_max require corresponding bps/iops values" and must not be lower.
    if (!base) needs(one, one.key.replace('.burst', ''), `add ${one.key.replace('.burst', '')} to the class`);
    else if ((one.value as number) < (base.value as number))
      report(one, base, 'is under', 'write a burst of at least the limit');
  }
  const burstFor = at('disk.limit.burst.for');
  if (burstFor && bursts.length === 0) needs(burstFor, 'a burst', 'add what may burst, such as disk.limit.burst.iops');

  const via = at('disk.via');
  if (via?.value === 'cgroup') {
    for (const one of [at('disk.limit.total'), at('disk.limit.iops'), ...bursts, burstFor]) {
      if (one)
        report(
          one,
          via,
          'cannot be done by',
          'write disk.via: auto or qemu, or read-iops and write-iops without burst',
        );
    }
  }

  const [categories, mode] = [at('svirt.categories'), at('svirt.mode')];
  if (categories && mode?.value === 'dynamic') {
    report(categories, mode, 'cannot be chosen with', 'write svirt.mode: static, or remove the categories');
  }
  return found;
}

/** Values that do nothing for want of another one. */
export function idleValues(get: Lookup): readonly Conflict[] {
  const found: Conflict[] = [];
  const idle = (key: KeyPath, without: KeyPath): void => {
    const value = get(key);
    if (value === undefined || value.value === false || get(without) !== undefined) return;
    const message = `${key} ${value.text} does nothing without ${without}`;
    found.push({ where: value.source, other: null, message, fix: `add ${without} to the class, or remove ${key}` });
  };
  idle('cpu.burst', 'cpu.limit');
  idle('disk.iocost', 'disk.weight');
  idle('memory.hard', 'memory.guarantee');
  if (get('svirt.apply')?.value !== 'save-restore') idle('svirt.max-downtime', 'svirt.apply');
  return found;
}

function cpuOver(one: CpuAmount, other: CpuAmount): boolean {
  if (one.unit === 'percent' && other.unit === 'percent') return one.fraction > other.fraction;
  return one.unit === 'cores' && other.unit === 'cores' && one.cores > other.cores;
}

/** The largest quota that a vCPU can get from a limit, in seconds of a period of 100 ms: with one vCPU, for cores. */
function quotaSeconds(limit: CpuAmount): number {
  return 0.1 * Math.min(1, limit.unit === 'percent' ? limit.fraction : limit.cores);
}

function memoryOver(one: MemoryAmount | 'none', other: MemoryAmount | 'none'): boolean {
  if (one === 'none' || other === 'none') return false;
  if (one.unit === 'bytes' && other.unit === 'bytes') return one.bytes > other.bytes;
  return one.unit === 'percent' && other.unit === 'percent' && one.fraction > other.fraction;
}
