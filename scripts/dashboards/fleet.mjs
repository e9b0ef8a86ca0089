// All guests of all hosts: whose budget is in danger, who does not hold what it should, and which host promises too much.
import {
  classVariable,
  dashboard,
  datasourceVariable,
  hostVariable,
  searchVariable,
  toClass,
  toDaemon,
  toGuest,
  UIDS,
} from './dashboard.mjs';
import { figure, graph, list, STEPS, words } from './panels.mjs';

const HOST = 'instance=~"$host"';
const CLASS = `${HOST},class=~"$class"`;
const GUEST = `${CLASS},domain=~".*(?i:$search).*"`;
const BY_GUEST = 'by (instance, domain, uuid, class)';
const TITLES = { domain: 'Guest', class: 'Class', instance: 'Host' };

export function fleetDashboard() {
  return dashboard({
    uid: UIDS.fleet,
    title: 'virtslad: fleet',
    description: 'Service levels of all guests on all hosts. Made by `npm run generate`; changes here are lost.',
    variables: [datasourceVariable(), hostVariable(), classVariable(), searchVariable()],
    sections: [
      { title: 'At a glance', panels: glance() },
      { title: 'Error budgets', panels: budgets() },
      { title: 'Guests', panels: [guests()] },
      { title: 'Promises against capacity', panels: promises() },
      { title: 'Pressure of the hosts', panels: pressure() },
    ],
  });
}

function glance() {
  const remaining = `virtsla_slo_error_budget_remaining_ratio{${GUEST}}`;
  return [
    figure({
      title: 'Guests that run',
      description: 'Guests that libvirt has running, with or without a class.',
      expr: `count(virtsla_domain_info{${GUEST},state="running"}) or vector(0)`,
    }),
    figure({
      title: 'Guests with a class',
      description: 'Guests to which the policy promises something.',
      expr: `sum(virtsla_domain_managed{${GUEST}}) or vector(0)`,
    }),
    figure({
      title: 'Compliant',
      description: 'Share of managed guests that run and hold every value that the policy asks for.',
      unit: 'percentunit',
      expr: `avg(virtsla_domain_compliant{${GUEST}})`,
      steps: STEPS.whole,
    }),
    figure({
      title: 'Budgets spent',
      description: 'Objectives of guests whose error budget is used up in their window.',
      expr: `count(${remaining} <= 0) or vector(0)`,
      steps: STEPS.no,
    }),
    figure({
      title: 'Labels that do not isolate',
      description: 'Running guests whose SELinux label, or that of an image, does not keep them apart from others.',
      expr: `count(virtsla_svirt_compliant{${GUEST}} == 0) or vector(0)`,
      steps: STEPS.no,
    }),
    figure({
      title: 'Hosts not reconciling',
      description: 'Daemons that answer, and whose last good cycle is more than a minute ago.',
      expr: `count(time() - virtsla_last_reconcile_success_timestamp_seconds{${HOST}} > 60) or vector(0)`,
      steps: STEPS.no,
    }),
  ];
}

function budgets() {
  return [
    list({
      title: 'Worst error budgets',
      description:
        'The hundred objectives of guests with the least error budget left. 100 % is untouched, 0 % spent, less is overspent. Bad time is that of the range shown.',
      labels: { ...TITLES, sli: 'SLI' },
      hidden: ['uuid'],
      columns: [
        {
          name: 'Budget left',
          unit: 'percentunit',
          decimals: 1,
          steps: STEPS.budget,
          expr: `bottomk(100, min ${withSli()} (virtsla_slo_error_budget_remaining_ratio{${GUEST}}))`,
        },
        {
          name: 'Bad time',
          unit: 's',
          expr: `sum ${withSli()} (increase(virtsla_slo_seconds_total{${GUEST},result="bad"}[$__range])) and ${onSli()} bottomk(100, min ${withSli()} (virtsla_slo_error_budget_remaining_ratio{${GUEST}}))`,
        },
      ],
      sort: { by: 'Budget left' },
      links: { Guest: toGuest(), Class: toClass(), Host: toDaemon() },
    }),
    graph({
      title: 'Budget left of each class',
      description:
        'Least error budget left of a class on any host, over all its guests there. Under 0 it is overspent.',
      unit: 'percentunit',
      min: null,
      max: 1,
      steps: STEPS.budget,
      queries: [
        {
          expr: `min by (class, sli) (virtsla_slo_class_error_budget_remaining_ratio{${CLASS}})`,
          legend: '{{class}} {{sli}}',
        },
      ],
    }),
    graph({
      title: 'Burn rate of each class over one hour',
      description:
        'How fast the guests of a class spend their error budget on the host where it is fastest: 1 spends it in exactly the window, 14.4 pages somebody.',
      unit: 'suffix: x',
      steps: STEPS.burn,
      queries: [
        {
          expr: `max by (class, sli) (virtsla_slo_burn_rate_ratio{${CLASS},window="1h"})`,
          legend: '{{class}} {{sli}}',
        },
      ],
    }),
  ];
}

function withSli() {
  return 'by (instance, domain, uuid, class, sli)';
}

function onSli() {
  return 'on (instance, domain, uuid, class, sli)';
}

function guests() {
  return list({
    title: 'All guests',
    description:
      'One row a guest. Find one by the field above or by the filter in a heading. Guests without a class have no budget and no compliance.',
    labels: { ...TITLES, state: 'State' },
    hidden: ['uuid'],
    height: 14,
    columns: [
      { expr: `max by (instance, domain, uuid, class, state) (virtsla_domain_info{${GUEST}})` },
      {
        name: 'Least budget left',
        unit: 'percentunit',
        decimals: 1,
        steps: STEPS.budget,
        expr: `min ${BY_GUEST} (virtsla_slo_error_budget_remaining_ratio{${GUEST}})`,
      },
      {
        name: 'Compliant',
        mappings: words('yes', 'no'),
        expr: `min ${BY_GUEST} (virtsla_domain_compliant{${GUEST}})`,
      },
      {
        name: 'Label isolates',
        mappings: words('yes', 'no'),
        expr: `min ${BY_GUEST} (virtsla_svirt_compliant{${GUEST}})`,
      },
      {
        name: 'CPU shortfall',
        unit: 'suffix: cores',
        decimals: 2,
        steps: STEPS.some,
        expr: `sum ${BY_GUEST} (rate(virtsla_cpu_shortfall_seconds_total{${GUEST}}[$__rate_interval]))`,
      },
      {
        name: 'CPU delivered',
        unit: 'suffix: cores',
        decimals: 2,
        expr: `sum ${BY_GUEST} (rate(virtsla_cpu_delivered_seconds_total{${GUEST}}[$__rate_interval]))`,
      },
      {
        name: 'Memory',
        unit: 'bytes',
        expr: `sum ${BY_GUEST} (virtsla_memory_used_bytes{${GUEST}})`,
      },
    ],
    sort: { by: 'Least budget left' },
    links: { Guest: toGuest(), Class: toClass(), Host: toDaemon() },
  });
}

function promises() {
  const share = (title, description, part, whole) =>
    graph({
      title,
      description,
      unit: 'percentunit',
      steps: STEPS.capacity,
      width: 8,
      queries: [{ expr: `${part}{${HOST}} / ${whole}{${HOST}}`, legend: '{{instance}}' }],
    });
  return [
    list({
      title: 'Hosts',
      description:
        'What each host has promised, as a share of what it has. Infeasible: it cannot keep all promises at once.',
      labels: { instance: 'Host' },
      height: 7,
      columns: [
        {
          name: 'Feasible',
          mappings: words('yes', 'no'),
          expr: `min by (instance) (virtsla_guarantees_feasible{${HOST}})`,
        },
        { name: 'Cores', expr: `max by (instance) (virtsla_host_cpu_cores{${HOST}})` },
        capacityColumn('Cores promised', 'virtsla_host_guaranteed_cores', 'virtsla_host_cpu_cores'),
        capacityColumn('Weight in use', 'virtsla_host_cpu_weight', 'virtsla_host_cpu_weight_capacity'),
        { name: 'Memory', unit: 'bytes', expr: `max by (instance) (virtsla_host_memory_bytes{${HOST}})` },
        capacityColumn('Memory promised', 'virtsla_host_guaranteed_memory_bytes', 'virtsla_host_memory_bytes'),
        { name: 'Guests', expr: `count by (instance) (virtsla_domain_info{${HOST}})` },
      ],
      sort: { by: 'Cores promised', desc: true },
      links: { Host: toDaemon() },
    }),
    share(
      'Cores promised of those there',
      'Cores guaranteed to guests that run, as a share of the CPUs online.',
      'virtsla_host_guaranteed_cores',
      'virtsla_host_cpu_cores',
    ),
    share(
      'Weight of its capacity',
      'Weights of all guests that run. Over 100 %, weights no longer deliver the guarantees. No line: nothing is guaranteed.',
      'virtsla_host_cpu_weight',
      'virtsla_host_cpu_weight_capacity',
    ),
    share(
      'Memory promised of that there',
      'Memory guaranteed to guests that run, as a share of the memory of the host.',
      'virtsla_host_guaranteed_memory_bytes',
      'virtsla_host_memory_bytes',
    ),
  ];
}

function capacityColumn(name, part, whole) {
  return {
    name,
    unit: 'percentunit',
    decimals: 0,
    steps: STEPS.capacity,
    expr: `max by (instance) (${part}{${HOST}} / ${whole}{${HOST}})`,
  };
}

function pressure() {
  const of = (resource, title) =>
    graph({
      title,
      description:
        'Share of time in which something on the host waited (at least one task) or stood still (all tasks), for want of the resource: pressure stall information.',
      unit: 'percentunit',
      max: 1,
      width: 8,
      queries: [
        {
          expr: `rate(virtsla_host_pressure_waiting_seconds_total{${HOST},resource="${resource}"}[$__rate_interval])`,
          legend: '{{instance}} waiting',
        },
        {
          expr: `rate(virtsla_host_pressure_stalled_seconds_total{${HOST},resource="${resource}"}[$__rate_interval])`,
          legend: '{{instance}} stalled',
        },
      ],
    });
  return [of('cpu', 'CPU'), of('memory', 'Memory'), of('io', 'Disks')];
}
