/**
 * cpu.guarantee: the CPU time that a guest is entitled to when it wants it. A promise, not a setting: it steers
 * `cpu.weight: auto`, is measured by the cpu.delivered SLI, and no kernel file holds it.
 */
import { cpuGuaranteeAmount } from '../policy/value-types.js';
import type { KeySpec } from './control.js';

export const cpuGuarantee: KeySpec = {
  key: 'cpu.guarantee',
  schema: cpuGuaranteeAmount,
  summary: 'CPU time that the guest gets whenever it wants it; sets the weight where none is given',
  unit: '% of the online vCPUs, or host cores',
  range: '0%–100%, or an amount in cores; at most cpu.limit where both have the same unit',
  example: '60%',
};
