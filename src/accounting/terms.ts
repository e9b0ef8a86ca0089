/**
 * What a guest is held to in this moment, from the picture that the last look left of it: the terms of its accounts. Pure.
 */
import type { CpuTerms } from '../signals/cpu.js';
import type { DomainSnapshot } from '../snapshot/types.js';

/** Someone promises it something: it has a class, and nobody has taken it out of virtslad's hands. */
export function isHeldTo({ className, handsOff }: DomainSnapshot): boolean {
  return className !== null && handsOff?.kind !== 'released';
}

/** `onVcpus`: each vCPU has a group of its own, and the limit is on those. */
export function cpuTerms(domain: DomainSnapshot | null, onVcpus: boolean): CpuTerms {
  if (domain === null || !isHeldTo(domain)) return { guaranteedCores: null, limit: null };
  const limit = amountOf(domain, 'cpu.limit', 'cpu_limit_cores');
  // A quota that does not hold is not ours: what it takes is charged.
  const cores = limit?.status === 'holds' ? limit.actual : null;
  return {
    guaranteedCores: domain.guaranteedCores,
    limit: cores === null ? null : { cores, on: onVcpus ? 'vcpus' : 'whole' },
  };
}

/** As the class desires it; null without a guarantee. */
export function guaranteedBytes(domain: DomainSnapshot): number | null {
  return amountOf(domain, 'memory.guarantee', 'memory_guarantee_bytes')?.desired ?? null;
}

/** No limit and not known are both null. */
function amountOf({ controls }: DomainSnapshot, id: string, name: string) {
  const control = controls.find((one) => one.id === id);
  if (control === undefined) return null;
  const { desired = null, actual = null } = control.amounts.find(({ metric }) => metric === name) ?? {};
  return { status: control.status, desired, actual };
}
