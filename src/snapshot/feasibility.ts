/**
 * Can the host keep all guarantees at once? Memory: what is guaranteed to running guests fits its memory. CPU: weights deliver them when the weights of all running guests, unmanaged
 * ones at 100 included, sum to at most 100 for each core that the host has. Pure.
 */
import type { DomainSnapshot } from './types.js';

const NORMAL_WEIGHT = 100;

export interface Feasibility {
  readonly weightSum: number;
  readonly weightCapacity: number;
  readonly guaranteedCores: number;
  readonly guaranteedMemoryBytes: number;
}

export function feasibilityOf(domains: readonly DomainSnapshot[], cores: number): Feasibility {
  let weightSum = 0;
  let guaranteed = 0;
  let guaranteedMemoryBytes = 0;
  for (const { pid, controls, guaranteedCores, handsOff } of domains) {
    if (pid === null) continue;
    const weight = controls.find(({ id }) => id === 'cpu.weight');
    // A change that is under way or planned counts as made: the question is whether the promises fit the host.
    const planned = weight?.status === 'pending' ? weight.amounts[0]?.desired : null;
    weightSum += planned ?? weight?.amounts[0]?.actual ?? NORMAL_WEIGHT;
    // What was released is promised nothing until it is resumed.
    if (handsOff?.kind === 'released') continue;
    guaranteed += guaranteedCores ?? 0;
    guaranteedMemoryBytes += controls.find(({ id }) => id === 'memory.guarantee')?.amounts[0]?.desired ?? 0;
  }
  return {
    weightSum: Math.round(weightSum),
    weightCapacity: NORMAL_WEIGHT * cores,
    guaranteedCores: guaranteed,
    guaranteedMemoryBytes,
  };
}

type Host = Feasibility & { readonly cores: number; readonly memoryBytes: number };

/** True when all of them can be kept at once. */
export function isFeasible(host: Host): boolean {
  return excessOf(host).length === 0;
}

/** What there is too much of. Weights of a host that guarantees no CPU to anybody break no promise. */
export function excessOf(host: Host): readonly ('cores' | 'weights' | 'memory')[] {
  const { weightSum, weightCapacity, guaranteedCores, cores, guaranteedMemoryBytes, memoryBytes } = host;
  return [
    ...(guaranteedCores > cores ? (['cores'] as const) : []),
    ...(guaranteedCores > 0 && weightSum > weightCapacity ? (['weights'] as const) : []),
    ...(guaranteedMemoryBytes > memoryBytes ? (['memory'] as const) : []),
  ];
}
