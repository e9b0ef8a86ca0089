/**
 * The families of a control's figures, desired and actual: for each metric that the control registry declares, two
 * families and not a label, so that sums over guests mean something.
 */
import type { Control, ControlMetric } from '../controls/control.js';
import type { AmountSnapshot } from '../snapshot/types.js';
import { type DomainFamily, type Sample, single } from './family.js';

export function desiredAndActual(control: Control): readonly DomainFamily[] {
  return control.metrics.flatMap((metric) => [
    family(control.id, metric, 'desired', 'as the policy asks'),
    family(control.id, metric, 'actual', 'as it stands'),
  ]);
}

function family(id: string, { name, help, labels }: ControlMetric, kind: Kind, words: string): DomainFamily {
  return {
    name: controlMetricName(name, kind),
    help: `${help}, ${words}`,
    type: 'gauge',
    labels,
    samples(domain) {
      const amounts = domain.controls.find((control) => control.id === id)?.amounts ?? [];
      if (labels.length === 0) return single(shown(amounts.find(({ metric }) => metric === name)?.[kind]));
      const samples: Sample[] = [];
      for (const amount of amounts) {
        const value = amount.metric === name ? shown(amount[kind]) : null;
        if (value !== null) samples.push({ labels: labels.map((label) => amount.labels[label] ?? ''), value });
      }
      return samples;
    },
  };
}

type Kind = keyof Pick<AmountSnapshot, 'desired' | 'actual'>;

/** No limit is +Inf, and so can be compared. What is not asked for, or not known, has no series. */
function shown(amount: number | null | undefined): number | null {
  return amount === null ? Number.POSITIVE_INFINITY : (amount ?? null);
}

const UNITS = ['bytes_per_second', 'operations_per_second', 'bytes', 'seconds', 'ratio', 'cores', 'cpus'];

/** `cpu_limit_cores`, desired → `virtsla_cpu_limit_desired_cores`: the unit stays last. */
export function controlMetricName(name: string, kind: Kind): string {
  const unit = UNITS.find((candidate) => name.endsWith(`_${candidate}`));
  return unit === undefined ? `virtsla_${name}_${kind}` : `virtsla_${name.slice(0, -unit.length - 1)}_${kind}_${unit}`;
}
