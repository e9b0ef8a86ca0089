/** What the metrics tests share: two controls as the registry would have them, and figures that do not change. */
import type { Control } from '../../src/controls/control.js';
import type { ProcessFigures } from '../../src/metrics/own-families.js';

function control(id: string, metrics: Control['metrics'], built = true): Control {
  return { id, scope: 'domain', keys: [], built, summary: '', metrics, desired: () => ({ kind: 'unmanaged' }) };
}

export const FIXTURE_CONTROLS: readonly Control[] = [
  control('cpu.weight', [{ name: 'cpu_weight', help: 'CPU weight', labels: [] }]),
  control('cpu.limit', [{ name: 'cpu_limit_cores', help: 'CPU limit of all vCPUs together', labels: [] }]),
  control('disk.limit', [
    { name: 'disk_limit_bytes_per_second', help: 'Limit of a disk', labels: ['disk', 'direction'] },
    {
      name: 'disk_limit_operations_per_second',
      help: 'Limit of the requests of a disk',
      labels: ['disk', 'direction'],
    },
  ]),
  control('memory.guarantee', [], false),
];

export const FIXTURE_FIGURES: ProcessFigures = {
  cpuSeconds: 12.5,
  residentBytes: 70_000_000,
  heapBytes: 20_000_000,
  startTimeSeconds: 1_768_392_000,
  openFds: 42,
};
