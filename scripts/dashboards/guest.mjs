// One guest: its state and label, its error budgets, and what it gets of each resource.
import {
  classVariable,
  dashboard,
  datasourceVariable,
  guestVariable,
  hostVariable,
  toClass,
  UIDS,
} from './dashboard.mjs';
import { cpu, disks, memory, network, OF, pressure } from './guest-resources.mjs';
import { figure, graph, link, list, STEPS, words } from './panels.mjs';

export function guestDashboard() {
  return dashboard({
    uid: UIDS.guest,
    title: 'virtslad: guest',
    description: 'What one guest was promised and what it gets. Made by `npm run generate`; changes here are lost.',
    // The class narrows the list of guests alone: a guest whose class changes stays in the picture.
    variables: [datasourceVariable(), hostVariable({ single: true }), classVariable(), guestVariable()],
    sections: [
      { title: 'State', panels: state() },
      { title: 'Error budgets', panels: budgets() },
      { title: 'CPU', panels: cpu() },
      { title: 'Memory', panels: memory() },
      { title: 'Disks', panels: disks() },
      { title: 'Network', panels: network() },
      { title: 'Pressure', panels: pressure() },
      { title: 'Controls and label', panels: controls() },
    ],
  });
}

function state() {
  return [
    figure({
      title: 'State',
      description: 'As libvirt says.',
      expr: `virtsla_domain_info{${OF}}`,
      legend: '{{state}}',
      name: true,
      width: 3,
    }),
    figure({
      title: 'Class',
      description: 'That an assignment of the policy gives it; leads to the class.',
      expr: `max by (class) (virtsla_domain_managed{${OF}})`,
      legend: '{{class}}',
      name: true,
      links: [
        link(
          'Show the class',
          `/d/${UIDS.class}?var-class=\${__field.labels.class:percentencode}&var-datasource=\${datasource}&\${__url_time_range}`,
        ),
      ],
      width: 3,
    }),
    figure({
      title: 'Compliant',
      description: 'Holds every value that the policy asks for and that this host can set.',
      expr: `virtsla_domain_compliant{${OF}}`,
      mappings: words('yes', 'no'),
      width: 3,
    }),
    figure({
      title: 'Label isolates',
      description:
        'Its SELinux label and those of its images keep it apart from the others. Nothing on a host without SELinux.',
      expr: `virtsla_svirt_compliant{${OF}}`,
      mappings: words('yes', 'no'),
      width: 3,
    }),
    figure({
      title: 'Hands off',
      description: 'An operator has virtslad leave it alone.',
      expr: `virtsla_domain_held{${OF}}`,
      mappings: words('yes', 'no', 0),
      width: 3,
    }),
    figure({
      title: 'Can be acted on',
      description: 'It has a cgroup of its own and libvirt describes it.',
      expr: `virtsla_domain_obstructed{${OF}}`,
      mappings: words('no', 'yes', 0),
      width: 3,
    }),
    figure({
      title: 'Least budget left',
      description: 'Of all its objectives.',
      unit: 'percentunit',
      decimals: 1,
      expr: `min(virtsla_slo_error_budget_remaining_ratio{${OF}})`,
      steps: STEPS.budget,
      width: 3,
    }),
    figure({
      title: 'Values put back',
      description: 'In the range shown: somebody else had changed them.',
      decimals: 0,
      expr: `increase(virtsla_drift_repairs_total{${OF}}[$__range])`,
      steps: STEPS.some,
      width: 3,
    }),
  ];
}

function budgets() {
  const seconds = (name, result, steps) => ({
    name,
    unit: 's',
    steps,
    expr: `sum by (class, sli) (increase(virtsla_slo_seconds_total{${OF},result="${result}"}[$__range]))`,
  });
  return [
    list({
      title: 'Objectives',
      description:
        'Budget left in the window of each objective, and how the time of the range shown was judged. Unknown and excluded time counts on neither side.',
      labels: { class: 'Class', sli: 'SLI' },
      height: 7,
      columns: [
        {
          name: 'Objective',
          unit: 'percentunit',
          decimals: 3,
          expr: `max by (class, sli) (virtsla_slo_objective_ratio{instance=~"$host"}) and on (class, sli) virtsla_slo_error_budget_remaining_ratio{${OF}}`,
        },
        {
          name: 'Budget left',
          unit: 'percentunit',
          decimals: 1,
          steps: STEPS.budget,
          expr: `min by (class, sli) (virtsla_slo_error_budget_remaining_ratio{${OF}})`,
        },
        seconds('Good', 'good'),
        seconds('Bad', 'bad', STEPS.no),
        seconds('Unknown', 'unknown'),
        seconds('Excluded', 'excluded'),
      ],
      sort: { by: 'Budget left' },
      links: { Class: toClass() },
    }),
    graph({
      title: 'Budget left',
      description: 'Of each objective in its window: 100 % is untouched, 0 % spent, less is overspent.',
      unit: 'percentunit',
      min: null,
      max: 1,
      steps: STEPS.budget,
      queries: [{ expr: `virtsla_slo_error_budget_remaining_ratio{${OF}}`, legend: '{{sli}}' }],
    }),
    graph({
      title: 'Bad time',
      description: 'Seconds of each step in which an objective was bad.',
      unit: 's',
      bars: true,
      queries: [
        {
          expr: `sum by (sli) (increase(virtsla_slo_seconds_total{${OF},result="bad"}[$__rate_interval]))`,
          legend: '{{sli}}',
        },
      ],
    }),
    graph({
      title: 'Share of bad time over an hour and six hours',
      description:
        'What the alerts about this guest look at, by the rules of `virtslad rules`. Empty while Prometheus has not loaded them.',
      unit: 'percentunit',
      width: 24,
      height: 6,
      queries: ['1h', '6h'].map((window) => ({
        expr: `virtsla:slo_bad:ratio_rate${window}{${OF}}`,
        legend: `{{sli}} ${window}`,
      })),
    }),
  ];
}

function controls() {
  return [
    list({
      title: 'Controls that are not compliant',
      description: 'With the reason; a reason without a control is about the whole guest. Empty is well.',
      labels: { control: 'Control', reason: 'Reason' },
      columns: [{ expr: `max by (control, reason) (virtsla_control_noncompliant{${OF}})` }],
      width: 8,
      height: 7,
    }),
    list({
      title: 'Controls that cannot be had',
      description: 'What the policy asks for and this host, guest or version cannot do. Empty is well.',
      labels: { control: 'Control' },
      columns: [{ expr: `max by (control) (virtsla_control_unsupported{${OF}})` }],
      width: 8,
      height: 7,
    }),
    list({
      title: 'What is wrong with the label',
      description: 'Ways in which its label or those of its images break its isolation. Empty is well.',
      labels: { reason: 'Reason', severity: 'Severity' },
      columns: [{ expr: `max by (reason, severity) (virtsla_svirt_violation{${OF}})` }],
      width: 8,
      height: 7,
    }),
    graph({
      title: 'Controls that somebody fights over',
      description: 'Someone rewrites the value again and again, and virtslad backs off.',
      unit: 'short',
      max: 1,
      steps: STEPS.no,
      queries: [{ expr: `virtsla_control_contested{${OF}}`, legend: '{{control}}' }],
    }),
    graph({
      title: 'Label over time',
      description:
        'Whether it isolates, waits for the next start, or has the guest suspended; how long a save and restore for it took.',
      unit: 'short',
      queries: [
        { expr: `virtsla_svirt_compliant{${OF}}`, legend: 'isolates' },
        { expr: `virtsla_svirt_pending_restart{${OF}}`, legend: 'waits for the next start' },
        { expr: `virtsla_svirt_suspended{${OF}}`, legend: 'suspended' },
        { expr: `virtsla_svirt_save_restore_downtime_seconds{${OF}}`, legend: 'stood still to restore, s' },
      ],
    }),
  ];
}
