/** The alerts about the daemon, its host and single values of guests, which no objective has to be written for. Pure. */
import { type AlertingRule, type RuleGroup, type RulesOptions, runbookOf, type Severity } from './rule.js';

interface DaemonAlert {
  readonly alert: string;
  readonly expr: (options: RulesOptions) => string;
  readonly for?: string;
  readonly severity: Severity;
  readonly summary: string;
  readonly description: string;
}

const GUEST = 'Guest {{ $labels.domain }} ({{ $labels.uuid }}, class {{ $labels.class }}) on {{ $labels.instance }}';

/** Reasons that a human has to do something about; the others pass, are an operator's will, or have an alert of their own. */
const NOT_HELD = 'failed|overridden|refused|obstructed|pending|unknown';

const ALERTS: readonly DaemonAlert[] = [
  {
    alert: 'VirtsladDown',
    // A string of PromQL takes the escapes of JSON.
    expr: ({ job }) => `up{job=${JSON.stringify(job)}} == 0 or absent(up{job=${JSON.stringify(job)}})`,
    for: '5m',
    severity: 'critical',
    summary: 'virtslad does not answer: limits stand as they are, and nobody keeps or measures them.',
    description:
      'Prometheus has not reached {{ with $labels.instance }}{{ . }}{{ else }}any virtslad{{ end }} ' +
      '(job {{ $labels.job }}) for 5 minutes.',
  },
  {
    alert: 'VirtsladNotReconciling',
    // Not time() minus the timestamp: the clocks of host and Prometheus need not agree.
    expr: () => 'changes(virtsla_last_reconcile_success_timestamp_seconds[2m]) == 0',
    for: '2m',
    severity: 'critical',
    summary: 'virtslad runs, and no reconcile cycle has ended well for minutes.',
    description: 'On {{ $labels.instance }} nothing is put right and no service level is measured.',
  },
  {
    alert: 'VirtsladPolicyRejected',
    expr: () => 'virtsla_policy_last_reload_successful == 0',
    for: '2m',
    severity: 'warning',
    summary: 'The policy files have errors; the last good ones stay in force.',
    description:
      'On {{ $labels.instance }} the last attempt to load the policy failed. What was edited is not in force.',
  },
  {
    alert: 'VirtsladErrorBudgetExhausted',
    expr: () => 'virtsla_slo_error_budget_remaining_ratio <= 0',
    for: '5m',
    severity: 'warning',
    summary: 'A guest got less than its class promises: the error budget of an objective is spent.',
    description: `${GUEST}: the budget of {{ $labels.sli }} is spent; {{ $value | humanizePercentage }} of it is left.`,
  },
  {
    alert: 'VirtsladDriftContested',
    expr: () => 'virtsla_control_contested == 1',
    severity: 'warning',
    summary: 'Someone rewrites a value of a guest again and again, and virtslad backs off.',
    description: `${GUEST}: {{ $labels.control }} is contested.`,
  },
  {
    alert: 'VirtsladLabelViolation',
    // The alert has a severity of its own, which would take the place of the violation's.
    expr: () => labelViolation('critical'),
    for: '1m',
    severity: 'critical',
    summary: 'SELinux does not keep a guest and the others, or the host, apart.',
    description: `${GUEST}: {{ $labels.reason }}.`,
  },
  {
    alert: 'VirtsladLabelViolation',
    expr: () => labelViolation('warning'),
    for: '10m',
    severity: 'warning',
    summary: 'The SELinux label of a guest or of one of its images is not what it has to be.',
    description: `${GUEST}: {{ $labels.reason }}.`,
  },
  {
    alert: 'VirtsladPromisesInfeasible',
    expr: () => 'virtsla_guarantees_feasible == 0',
    for: '10m',
    severity: 'warning',
    summary: 'The host cannot keep all guarantees of CPU or memory at once.',
    description:
      'On {{ $labels.instance }} more is guaranteed to the guests that run than there is. Nobody need be short yet: ' +
      'that begins when enough of them ask at once.',
  },
  {
    alert: 'VirtsladLimitNotHeld',
    expr: () => `virtsla_control_noncompliant{reason=~"${NOT_HELD}"} == 1`,
    for: '10m',
    severity: 'warning',
    summary: 'A guest has not had a value that its class asks for, for 10 minutes.',
    description: `${GUEST}: {{ with $labels.control }}{{ . }}{{ else }}the whole guest{{ end }} is {{ $labels.reason }}.`,
  },
];

function labelViolation(severity: Severity): string {
  return `max without (severity) (virtsla_svirt_violation{severity="${severity}"}) == 1`;
}

export function daemonGroup(options: RulesOptions): RuleGroup {
  return { name: 'virtslad', rules: ALERTS.map((alert) => ruleOf(alert, options)) };
}

function ruleOf(given: DaemonAlert, options: RulesOptions): AlertingRule {
  const { alert, expr, severity, summary, description } = given;
  return {
    alert,
    expr: expr(options),
    ...(given.for === undefined ? {} : { for: given.for }),
    labels: { severity },
    annotations: { summary, description, runbook_url: runbookOf(alert, options) },
  };
}

/** Every alert that there can be has a page of its name. */
export const ALERT_NAMES: readonly string[] = ['VirtsladErrorBudgetBurn', ...new Set(ALERTS.map(({ alert }) => alert))];
