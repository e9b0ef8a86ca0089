/** What a guest is guaranteed and limited to in host cores, once its number of vCPUs is known. Pure. */
import type { CpuAmount, EffectiveClass } from '../policy/types.js';

/** Cores of an amount for a guest with this many online vCPUs; more cores than vCPUs counts as all of them. */
export function coresOf(amount: CpuAmount, vcpus: number): number {
  return amount.unit === 'percent' ? amount.fraction * vcpus : Math.min(amount.cores, vcpus);
}

export interface Guarantee {
  readonly cores: number;
  /** True when the class promises more than it allows this guest: cut to the limit, and reported. */
  readonly cut: boolean;
}

/** Null when the class guarantees no CPU. */
export function guaranteedCores(wanted: EffectiveClass, vcpus: number): Guarantee | null {
  const guarantee = wanted.values.get('cpu.guarantee')?.value as CpuAmount | undefined;
  if (guarantee === undefined) return null;
  const limit = wanted.values.get('cpu.limit')?.value as CpuAmount | undefined;
  const cores = coresOf(guarantee, vcpus);
  const ceiling = limit === undefined ? vcpus : coresOf(limit, vcpus);
  return { cores: Math.min(cores, ceiling), cut: cores > ceiling };
}

/** Online vCPUs: the groups that exist once the guest runs, what its XML says while it is being started. */
export function onlineVcpus(domain: {
  readonly state: string;
  readonly vcpuGroups: readonly number[];
  readonly facts: { readonly vcpusOnline: number } | null;
}): number {
  if (domain.state === 'starting' || domain.vcpuGroups.length === 0) return domain.facts?.vcpusOnline ?? 0;
  return domain.vcpuGroups.length;
}
