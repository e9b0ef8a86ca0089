/**
 * All service level indicators, one file each in slis/. A new one is such a file and a line here: the policy language, its
 * schema and its reference, budgets and metrics all go by this list.
 */
import { available } from './slis/available.js';
import { cpuDelivered } from './slis/cpu-delivered.js';
import { cpuWait } from './slis/cpu-wait.js';
import { diskDelivered } from './slis/disk-delivered.js';
import { diskLatency } from './slis/disk-latency.js';
import { memoryDelivered } from './slis/memory-delivered.js';
import { memoryStall } from './slis/memory-stall.js';
import { networkDelivered } from './slis/network-delivered.js';
import { svirtCompliant } from './slis/svirt-compliant.js';
import type { Sli, SliBound, Slice, SliObjective, Verdict } from './types.js';

const REGISTRY = [
  cpuDelivered,
  memoryDelivered,
  diskDelivered,
  networkDelivered,
  cpuWait,
  memoryStall,
  diskLatency,
  svirtCompliant,
  available,
] as const;

export type SliName = (typeof REGISTRY)[number]['name'];

export const ALL_SLIS: readonly (Sli & { readonly name: SliName })[] = REGISTRY;

/** Name → the bound that its objectives take. */
export const SLI_BOUNDS = Object.fromEntries(ALL_SLIS.map(({ name, bound }) => [name, bound])) as Readonly<
  Record<SliName, SliBound>
>;

const BY_NAME: ReadonlyMap<string, Sli & { readonly name: SliName }> = new Map(ALL_SLIS.map((sli) => [sli.name, sli]));

export function sliNamed(name: string): (Sli & { readonly name: SliName }) | null {
  return BY_NAME.get(name) ?? null;
}

/** Unknown for an SLI that there is not. */
export function judge(slice: Slice, objective: SliObjective): Verdict {
  return sliNamed(objective.sli)?.judge(slice, objective) ?? 'unknown';
}
