/**
 * What a guest is held to in this moment, from the picture that the last look left of it: the terms of its accounts. Pure.
 */
import type { CpuTerms } from '../signals/cpu.js';
import type { DomainSnapshot } from '../snapshot/types.js';

/** Someone promises it something: it has a class, and nobody has taken it out of virtslad's hands. */
export function isHeldTo(domain: DomainSnapshot | null): boolean {
  return domain !== null && domain.className !== null && domain.handsOff?.kind !== 'released';
}

/** `onVcpus`: each vCPU has a group of its own, and the limit is on those. */
export function cpuTerms(domain: DomainSnapshot | null, onVcpus: boolean): CpuTerms {
  if (domain === null || !isHeldTo(domain)) return { guaranteedCores: null, limit: null };
  const control = domain.controls.find(({ id }) => id === 'cpu.limit');
  // A quota that does not hold is not ours: what it takes is charged.
  const cores = control?.status === 'holds' ? amountOf(control.amounts, 'cpu_limit_cores') : null;
  return {
    guaranteedCores: domain.guaranteedCores,
    limit: cores === null ? null : { cores, on: onVcpus ? 'vcpus' : 'whole' },
  };
}

/** As the class desires it; null without a guarantee. */
export function guaranteedBytes(domain: DomainSnapshot): number | null {
  const control = domain.controls.find(({ id }) => id === 'memory.guarantee');
  const desired = control?.amounts.find(({ metric }) => metric === 'memory_guarantee_bytes')?.desired;
  return typeof desired === 'number' ? desired : null;
}

function amountOf(amounts: DomainSnapshot['controls'][number]['amounts'], metric: string): number | null {
  const actual = amounts.find((one) => one.metric === metric)?.actual;
  return typeof actual === 'number' ? actual : null;
}
