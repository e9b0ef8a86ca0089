/**
 * The families of objectives and error budgets: of each guest, and of each class over its guests. Seconds by result are the
 * counters that the generated recording rules are made from; all results are there from the start, at 0.
 */

import type { ClassObjectiveState } from '../slo/budget-states.js';
import { RESULTS } from '../slo/types.js';
import { BURN_WINDOWS } from '../slo/windows.js';
import type { DomainSnapshot, Snapshot } from '../snapshot/types.js';
import { bit, type DomainFamily, type Family, single } from './family.js';

/** One array for all families of a kind: the exposition writer remembers label bytes by it. */
const SLI_LABELS = ['sli'] as const;
const RESULT_LABELS = ['sli', 'result'] as const;
const CLASS_LABELS = ['class', 'sli'] as const;

export const OBJECTIVE_FAMILIES: readonly DomainFamily[] = [
  {
    name: 'virtsla_slo_seconds_total',
    help: 'Time judged for an objective of the guest, by result: good, bad, unknown, or excluded by planned maintenance',
    type: 'counter',
    labels: RESULT_LABELS,
    samples: ({ objectives }: DomainSnapshot) =>
      objectives.flatMap(({ sli, counters }) =>
        RESULTS.map((result) => ({ labels: [sli, result], value: counters[result] })),
      ),
  },
  {
    name: 'virtsla_slo_error_budget_remaining_ratio',
    help: "Share of the error budget that is left in the objective's window: 1 untouched, 0 spent, negative overspent",
    type: 'gauge',
    labels: SLI_LABELS,
    samples: ({ objectives }: DomainSnapshot) =>
      objectives.map(({ sli, remainingRatio }) => ({ labels: [sli], value: remainingRatio })),
  },
];

export const SERVICE_LEVEL_FAMILIES: readonly Family<Snapshot>[] = [
  ofClass('virtsla_slo_objective_ratio', 'Share of time that the class promises to be good', ({ of }) => of),
  ofClass(
    'virtsla_slo_window_seconds',
    "Length of the objective's window; of a calendar month, that of the running one",
    ({ windowSeconds }) => windowSeconds,
  ),
  ofClass(
    'virtsla_slo_class_error_budget_remaining_ratio',
    'Share of the error budget that is left, over all guests of the class: 1 untouched, 0 spent, negative overspent',
    ({ remainingRatio }) => remainingRatio,
  ),
  {
    name: 'virtsla_slo_burn_rate_ratio',
    help: 'How fast the guests of the class spend their error budget: 1 spends it in exactly the window; absent while nothing is known of that time',
    type: 'gauge',
    labels: ['class', 'sli', 'window'],
    samples: ({ serviceLevels }) =>
      serviceLevels.classes.flatMap(({ className, sli, burnRates }) =>
        BURN_WINDOWS.map((window) => ({ labels: [className, sli, window], value: burnRates[window] })),
      ),
  },
  {
    name: 'virtsla_maintenance_open',
    help: '1 while the window of planned maintenance is open, else 0',
    type: 'gauge',
    labels: ['name'],
    samples: ({ serviceLevels }) =>
      serviceLevels.maintenance.map(({ name, open }) => ({ labels: [name], value: bit(open) })),
  },
  {
    name: 'virtsla_slo_store_bytes',
    help: 'Size of the history of error budgets on disk',
    type: 'gauge',
    labels: [],
    samples: ({ serviceLevels: { store } }) => single(store?.bytes ?? null),
  },
  {
    name: 'virtsla_slo_store_healthy',
    help: '1 while the history of error budgets is whole and is being kept, else 0',
    type: 'gauge',
    labels: [],
    samples: ({ serviceLevels: { store } }) => single(store === null ? null : bit(store.error === null)),
  },
];

function ofClass(name: string, help: string, of: (state: ClassObjectiveState) => number): Family<Snapshot> {
  return {
    name,
    help,
    type: 'gauge',
    labels: CLASS_LABELS,
    samples: ({ serviceLevels }) =>
      serviceLevels.classes.map((state) => ({ labels: [state.className, state.sli], value: of(state) })),
  };
}
