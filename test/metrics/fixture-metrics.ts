/** What the metrics tests share: two controls as the registry would have them, and figures that do not change. */
import type { Control } from '../../src/controls/control.js';
import type { ProcessFigures } from '../../src/metrics/own-families.js';

function control(id: string, metric: Control['metric'], built = true): Control {
  const base = {
    id,
    scope: 'domain' as const,
    keys: [],
    built,
    summary: '',
    desired: () => ({ kind: 'unmanaged' as const }),
  };
  return metric === undefined ? base : { ...base, metric };
}

export const FIXTURE_CONTROLS: readonly Control[] = [
  control('cpu.weight', { name: 'cpu_weight', help: 'CPU weight' }),
  control('cpu.limit', { name: 'cpu_limit_cores', help: 'CPU limit of all vCPUs together' }),
  control('memory.guarantee', undefined, false),
];

export const FIXTURE_FIGURES: ProcessFigures = {
  cpuSeconds: 12.5,
  residentBytes: 70_000_000,
  heapBytes: 20_000_000,
  startTimeSeconds: 1_768_392_000,
  openFds: 42,
};
