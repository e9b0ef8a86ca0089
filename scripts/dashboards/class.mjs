// One class: what it promises, how fast its guests spend their error budgets, and which guests those are.
import {
  classVariable,
  dashboard,
  datasourceVariable,
  hostVariable,
  sliVariable,
  toGuestOfClass,
  UIDS,
} from './dashboard.mjs';
import { CORES, figure, graph, list, STEPS, words } from './panels.mjs';

const OF = 'instance=~"$host",class=~"$class"';
const OF_SLI = `${OF},sli=~"$sli"`;
const BY_GUEST = 'by (instance, domain, uuid)';
/** As the daemon gives them, and as the recording rules do. */
const WINDOWS = ['5m', '30m', '1h', '2h', '6h', '1d', '3d'];

export function classDashboard() {
  return dashboard({
    uid: UIDS.class,
    title: 'virtslad: class',
    description: 'The objectives of one class of service. Made by `npm run generate`; changes here are lost.',
    variables: [datasourceVariable(), hostVariable(), classVariable({ single: true }), sliVariable()],
    range: 'now-24h',
    sections: [
      { title: 'At a glance', panels: glance() },
      { title: 'Objectives', panels: objectives() },
      { title: 'Burn rates', panels: [burnRates()] },
      { title: 'Bad time', panels: badTime() },
      { title: 'Over all hosts, by the recording rules', panels: recorded() },
      { title: 'Guests of the class', panels: guests() },
    ],
  });
}

function glance() {
  return [
    figure({
      title: 'Guests that run',
      description: 'Guests of the class that libvirt has running.',
      expr: `count(virtsla_domain_info{${OF},state="running"}) or vector(0)`,
    }),
    figure({
      title: 'Compliant',
      description: 'Share of its guests that run and hold every value that the policy asks for.',
      unit: 'percentunit',
      expr: `avg(virtsla_domain_compliant{${OF}})`,
      steps: STEPS.whole,
    }),
    figure({
      title: 'Least budget left',
      description: 'Of all objectives of the class on all hosts: 100 % is untouched, 0 % spent, less is overspent.',
      unit: 'percentunit',
      decimals: 1,
      expr: `min(virtsla_slo_class_error_budget_remaining_ratio{${OF}})`,
      steps: STEPS.budget,
    }),
    figure({
      title: 'Budgets of guests spent',
      description: 'Objectives of single guests whose error budget is used up.',
      expr: `count(virtsla_slo_error_budget_remaining_ratio{${OF}} <= 0) or vector(0)`,
      steps: STEPS.no,
    }),
    figure({
      title: 'Cores guaranteed',
      description: 'Added up over the guests of the class.',
      unit: CORES,
      expr: `sum(virtsla_cpu_guarantee_cores{${OF}}) or vector(0)`,
    }),
    figure({
      title: 'CPU shortfall',
      description: 'CPU that guests of the class wanted, were guaranteed and do not get now.',
      unit: CORES,
      decimals: 2,
      expr: `sum(rate(virtsla_cpu_shortfall_seconds_total{${OF}}[$__rate_interval]))`,
      steps: STEPS.some,
    }),
  ];
}

function objectives() {
  return [
    list({
      title: 'Objectives, budgets and burn rates',
      description:
        'What the class promises, and the worst host of those chosen. A burn rate of 1 spends the budget in exactly the window. Columns 5m to 3d are the time looked back on.',
      labels: { sli: 'SLI' },
      height: 7,
      columns: [
        {
          name: 'Objective',
          unit: 'percentunit',
          decimals: 3,
          expr: `max by (sli) (virtsla_slo_objective_ratio{${OF_SLI}})`,
        },
        { name: 'Window', unit: 's', expr: `max by (sli) (virtsla_slo_window_seconds{${OF_SLI}})` },
        {
          name: 'Budget left',
          unit: 'percentunit',
          decimals: 1,
          steps: STEPS.budget,
          expr: `min by (sli) (virtsla_slo_class_error_budget_remaining_ratio{${OF_SLI}})`,
        },
        ...WINDOWS.map((window) => ({
          name: window,
          unit: 'suffix: x',
          decimals: 2,
          steps: STEPS.burn,
          expr: `max by (sli) (virtsla_slo_burn_rate_ratio{${OF_SLI},window="${window}"})`,
        })),
      ],
      sort: { by: 'Budget left' },
    }),
    graph({
      title: 'Budget left',
      description: 'Over all guests of the class, by host and objective. Under 0 it is overspent.',
      unit: 'percentunit',
      min: null,
      max: 1,
      steps: STEPS.budget,
      width: 24,
      queries: [
        {
          expr: `virtsla_slo_class_error_budget_remaining_ratio{${OF_SLI}}`,
          legend: '{{sli}} {{instance}}',
        },
      ],
    }),
  ];
}

function burnRates() {
  return graph({
    title: 'Burn rates: $sli',
    description:
      'On the host where it is fastest. A page goes out when both 5m and 1h are over 14.4, or 30m and 6h over 6; a ticket when 2h and 1d are over 3, or 6h and 3d over 1 (for a window of 30 days).',
    unit: 'suffix: x',
    steps: STEPS.burn,
    repeat: 'sli',
    width: 12,
    queries: [{ expr: `max by (window) (virtsla_slo_burn_rate_ratio{${OF_SLI}})`, legend: '{{window}}' }],
  });
}

function badTime() {
  return [
    graph({
      title: 'Bad time by objective',
      description: 'Seconds of guests that were bad in each step, all guests added up.',
      unit: 's',
      bars: true,
      stack: true,
      queries: [
        {
          expr: `sum by (sli) (increase(virtsla_slo_seconds_total{${OF_SLI},result="bad"}[$__rate_interval]))`,
          legend: '{{sli}}',
        },
      ],
    }),
    graph({
      title: 'Judged time by result',
      description:
        'Guests for which time was good, bad, unknown (nobody can tell) or excluded by planned maintenance. Unknown and excluded time counts on neither side.',
      unit: 'suffix: guests',
      stack: true,
      queries: [
        {
          expr: `sum by (result) (rate(virtsla_slo_seconds_total{${OF_SLI}}[$__rate_interval]))`,
          legend: '{{result}}',
        },
      ],
    }),
  ];
}

function recorded() {
  const service = 'sloth_service="virtslad-$class"';
  return [
    graph({
      title: 'Share of bad time over all hosts',
      description: 'Over one hour, by the rules of `virtslad rules`. Empty while Prometheus has not loaded them.',
      unit: 'percentunit',
      queries: [{ expr: `slo:sli_error:ratio_rate1h{${service}}`, legend: '{{sloth_slo}}' }],
    }),
    graph({
      title: 'Budget left over all hosts',
      description:
        'In the window of each objective, by the rules of `virtslad rules`. Empty while Prometheus has not loaded them.',
      unit: 'percentunit',
      min: null,
      max: 1,
      steps: STEPS.budget,
      queries: [{ expr: `slo:period_error_budget_remaining:ratio{${service}}`, legend: '{{sloth_slo}}' }],
    }),
  ];
}

function guests() {
  return [
    list({
      title: 'Guests of the class',
      description: 'Least budget left of the chosen objectives; bad time and shortfall in the range shown.',
      labels: { domain: 'Guest', instance: 'Host' },
      hidden: ['uuid'],
      height: 12,
      columns: [
        {
          name: 'Least budget left',
          unit: 'percentunit',
          decimals: 1,
          steps: STEPS.budget,
          expr: `min ${BY_GUEST} (virtsla_slo_error_budget_remaining_ratio{${OF_SLI}})`,
        },
        {
          name: 'Bad time',
          unit: 's',
          expr: `sum ${BY_GUEST} (increase(virtsla_slo_seconds_total{${OF_SLI},result="bad"}[$__range]))`,
        },
        {
          name: 'CPU shortfall',
          unit: 's',
          expr: `sum ${BY_GUEST} (increase(virtsla_cpu_shortfall_seconds_total{${OF}}[$__range]))`,
        },
        {
          name: 'CPU delivered',
          unit: CORES,
          decimals: 2,
          expr: `sum ${BY_GUEST} (rate(virtsla_cpu_delivered_seconds_total{${OF}}[$__rate_interval]))`,
        },
        { name: 'Compliant', mappings: words('yes', 'no'), expr: `min ${BY_GUEST} (virtsla_domain_compliant{${OF}})` },
      ],
      sort: { by: 'Least budget left' },
      links: { Guest: toGuestOfClass() },
    }),
    graph({
      title: 'Controls that are not compliant',
      description:
        'Guests of the class by control and reason; the reference page of metrics says what each reason means.',
      unit: 'suffix: guests',
      width: 24,
      queries: [
        {
          expr: `count by (control, reason) (virtsla_control_noncompliant{${OF}})`,
          legend: '{{control}} {{reason}}',
        },
      ],
    }),
  ];
}
