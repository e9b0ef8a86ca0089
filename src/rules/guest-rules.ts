/**
 * Recording rules and alerts about each guest of an objective: what share of the time was bad over the windows of the
 * alerts, and whether that spends its error budget too fast. Pure.
 *
 * The share is of the whole window, not of the seconds that were judged in it: a factor stands for a part of the budget
 * of the objective's whole window, and a guest that is a minute old, or was out of sight, has not spent that with its
 * first bad second. All labels of the scrape are kept (instance, job, and what the operator adds to a target): the same
 * guest on another host after a migration is another series.
 */
import type { Objective } from '../policy/types.js';
import { formatDuration, formatPercent } from '../units.js';
import {
  type AlertingRule,
  BAD,
  guestRatioName,
  type ObjectiveName,
  type RecordingRule,
  type RuleGroup,
  type RulesOptions,
  runbookOf,
  type Severity,
  secondsOf,
  slothLabels,
  slugOf,
} from './rule.js';
import { type AlertPair, alertPairs, budgetOf, type Urgency, windowSeconds, windowsOf } from './windows.js';

const ALERT = 'VirtsladErrorBudgetBurn';
/** Rates over more than this are dear and change slowly: they are evaluated less often. */
const LONG_WINDOW = 7200;
const INTERVAL = 30;
/** Within the five minutes for which Prometheus takes the last sample for the current one. */
const LONG_INTERVAL = 120;
const DAY = 86_400;

const SEVERITY: Readonly<Record<Urgency, Severity>> = { page: 'critical', ticket: 'warning' };
const SUMMARY: Readonly<Record<Urgency, string>> = {
  page: 'A guest spends the error budget of an objective so fast that it is soon gone.',
  ticket: 'A guest spends the error budget of an objective faster than it lasts.',
};

export function guestGroups(name: ObjectiveName, objective: Objective, options: RulesOptions): readonly RuleGroup[] {
  const pairs = alertPairs(objective);
  const windows = windowsOf(pairs);
  const interval = formatDuration(intervalOf(objective, windows));
  const slug = slugOf(name);
  const short = windows.filter((seconds) => seconds <= LONG_WINDOW);
  const long = windows.filter((seconds) => seconds > LONG_WINDOW);
  const groups: RuleGroup[] = [
    {
      name: `virtslad-slo-guests-long-${slug}`,
      interval: formatDuration(LONG_INTERVAL),
      rules: long.map((seconds) => ratioRule(name, seconds)),
    },
    {
      name: `virtslad-slo-guests-${slug}`,
      interval,
      // One after the other, in one group: an alert sees what has just been recorded.
      rules: [...short.map((seconds) => ratioRule(name, seconds)), ...burnAlerts(name, objective, pairs, options)],
    },
  ];
  return groups.filter(({ rules }) => rules.length > 0);
}

/** Three evaluations within the shortest window, at most one a second. */
function intervalOf(objective: Objective, windows: readonly number[]): number {
  if (windowSeconds(objective) >= DAY) return INTERVAL;
  return Math.min(INTERVAL, Math.max(1, Math.floor((windows[0] ?? INTERVAL) / 3)));
}

/** The counters rise by whole cycles, so that a rate over seconds may come out over 1: cut to it. */
function ratioRule(name: ObjectiveName, seconds: number): RecordingRule {
  return {
    record: guestRatioName(seconds),
    expr: `sum without (result) (clamp_max(rate(${secondsOf(name, BAD)}[${formatDuration(seconds)}]), 1))`,
    labels: slothLabels(name),
  };
}

function burnAlerts(
  name: ObjectiveName,
  objective: Objective,
  pairs: readonly AlertPair[],
  options: RulesOptions,
): readonly AlertingRule[] {
  const alerts = (['page', 'ticket'] as const).map((urgency): AlertingRule | null => {
    const mine = pairs.filter((pair) => pair.urgency === urgency);
    if (mine.length === 0) return null;
    return {
      alert: ALERT,
      expr: mine.map((pair) => pairExpression(name, objective, pair)).join('\nor\n'),
      labels: { ...slothLabels(name), severity: SEVERITY[urgency], sloth_severity: urgency },
      annotations: {
        summary: SUMMARY[urgency],
        description: descriptionOf(name, objective),
        runbook_url: runbookOf(ALERT, options),
      },
    };
  });
  return alerts.filter((alert) => alert !== null);
}

function pairExpression(name: ObjectiveName, objective: Objective, pair: AlertPair): string {
  const selector = `{sloth_id="${slothLabels(name).sloth_id}"}`;
  const side = (seconds: number): string =>
    `${guestRatioName(seconds)}${selector} > ${pair.factor} * ${budgetOf(objective)}`;
  return `(\n  ${side(pair.shortSeconds)}\n  and\n  ${side(pair.longSeconds)}\n)`;
}

function descriptionOf({ className, sli }: ObjectiveName, objective: Objective): string {
  const window = objective.window.kind === 'month' ? 'a calendar month' : formatDuration(objective.window.seconds);
  const promised = `${formatPercent(objective.of)} of the time over ${window}`;
  return (
    `Guest {{ $labels.domain }} ({{ $labels.uuid }}) on {{ $labels.instance }}: ${sli} was bad in ` +
    `{{ $value | humanizePercentage }} of the last minutes or hours. Class ${className} promises it for ${promised}.`
  );
}
