/**
 * Recording rules about a class over all its guests and hosts, under the names and labels of Sloth
 * (https://sloth.dev), so that its dashboards show them. Pure.
 *
 * Sloth averages ratios of five minutes over a window, so that a minute in which one guest ran counts as much as one in
 * which a hundred did. Here bad and judged seconds are added up apart, which is what an error budget is of.
 */
import type { Objective } from '../policy/types.js';
import { formatDuration, formatPercent } from '../units.js';
import {
  BAD,
  classRatioName,
  JUDGED,
  type ObjectiveName,
  type RecordingRule,
  type RuleGroup,
  secondsOf,
  slothLabels,
  slugOf,
} from './rule.js';
import { budgetOf, SLOTH_WINDOWS, windowSeconds } from './windows.js';

const DAY = 86_400;
const BAD_RATE = 'virtsla:slo_class_bad_seconds:rate';
const JUDGED_RATE = 'virtsla:slo_class_judged_seconds:rate';
const BASE = 300;

export function classGroup(name: ObjectiveName, objective: Objective): RuleGroup {
  const window = windowSeconds(objective);
  const windows = [...new Set([...SLOTH_WINDOWS, window])].sort((a, b) => a - b);
  return {
    name: `virtslad-slo-class-${slugOf(name)}`,
    interval: '1m',
    rules: [
      ...rateRules(name, baseOf(window)),
      ...windows.map((seconds) => ratioRule(name, seconds, window)),
      ...metaRules(name, objective),
    ],
  };
}

/** What all windows are added up from: five minutes, less where that is no small part of the objective's window. */
function baseOf(window: number): number {
  return Math.min(BASE, Math.max(60, Math.round(window / 20)));
}

/** Guests' seconds in a second, summed. */
function rateRules(name: ObjectiveName, base: number): readonly RecordingRule[] {
  const labels = slothLabels(name);
  const sum = (result: string): string => `sum(rate(${secondsOf(name, result)}[${formatDuration(base)}]))`;
  return [
    { record: BAD_RATE + formatDuration(base), expr: sum(BAD), labels },
    { record: JUDGED_RATE + formatDuration(base), expr: sum(JUDGED), labels },
  ];
}

function ratioRule(name: ObjectiveName, seconds: number, window: number): RecordingRule {
  const base = formatDuration(baseOf(window));
  const selector = selectorOf(name);
  // The rates are already of that long: adding up five minutes of them would look back ten.
  const range = seconds === baseOf(window) ? '' : `[${formatDuration(seconds)}]`;
  const added = (series: string): string => (range === '' ? series : `sum_over_time(${series}${range})`);
  return {
    record: classRatioName(seconds),
    expr: [added(BAD_RATE + base + selector), '/', `(${added(JUDGED_RATE + base + selector)} > 0)`].join('\n'),
    labels: { ...slothLabels(name), sloth_window: formatDuration(seconds) },
  };
}

function metaRules(name: ObjectiveName, objective: Objective): readonly RecordingRule[] {
  const labels = slothLabels(name);
  const selector = selectorOf(name);
  const window = windowSeconds(objective);
  const overBudget = (ratio: string): string =>
    `${ratio}${selector}\n/ on (sloth_id, sloth_service, sloth_slo) group_left\nslo:error_budget:ratio${selector}`;
  return [
    { record: 'slo:objective:ratio', expr: `vector(${objective.of})`, labels },
    { record: 'slo:error_budget:ratio', expr: `vector(${budgetOf(objective)})`, labels },
    { record: 'slo:time_period:days', expr: `vector(${Number((window / DAY).toPrecision(9))})`, labels },
    { record: 'slo:current_burn_rate:ratio', expr: overBudget(classRatioName(BASE)), labels },
    { record: 'slo:period_burn_rate:ratio', expr: overBudget(classRatioName(window)), labels },
    {
      record: 'slo:period_error_budget_remaining:ratio',
      expr: `1 - slo:period_burn_rate:ratio${selector}`,
      labels,
    },
    {
      record: 'sloth_slo_info',
      expr: 'vector(1)',
      labels: {
        ...labels,
        sloth_mode: 'virtslad-rules',
        sloth_objective: formatPercent(objective.of).replace('%', ''),
        sloth_spec: 'virtslad/1',
        sloth_version: 'virtslad',
      },
    },
  ];
}

function selectorOf(name: ObjectiveName): string {
  return `{sloth_id="${slothLabels(name).sloth_id}"}`;
}
