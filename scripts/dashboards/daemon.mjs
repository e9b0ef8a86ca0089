// The daemon on each host: whether it works, how long a cycle takes it, what it writes and repairs, and what it costs.

import { cycles, EACH, OF, writes } from './daemon-work.mjs';
import { dashboard, datasourceVariable, hostVariable, UIDS } from './dashboard.mjs';
import { figure, graph, list, STEPS, words } from './panels.mjs';

export function daemonDashboard() {
  return dashboard({
    uid: UIDS.daemon,
    title: 'virtslad: daemon',
    description: 'The health and the cost of virtslad itself. Made by `npm run generate`; changes here are lost.',
    variables: [datasourceVariable(), hostVariable()],
    sections: [
      { title: 'Health', panels: health() },
      { title: 'Reconcile cycles', panels: cycles() },
      { title: 'Writes, repairs, failures', panels: writes() },
      { title: 'Policy and libvirt', panels: policy() },
      { title: 'Service levels and labels', panels: records() },
      { title: 'Cost', panels: cost() },
    ],
  });
}

function health() {
  const column = (name, metric, mappings) => ({ name, mappings, expr: `min by (instance) (${metric}{${OF}})` });
  return [
    list({
      title: 'Daemons',
      description: 'One row a host. A daemon that Prometheus cannot reach is down and has no other figures.',
      labels: { instance: 'Host', version: 'Version', mode: 'Mode' },
      height: 8,
      columns: [
        { name: 'Up', mappings: words('up', 'down'), expr: `min by (instance) (up{${OF}})` },
        column('Ready', 'virtsla_ready', words('yes', 'no')),
        column('libvirt', 'virtsla_libvirt_connected', words('connected', 'lost')),
        column('Last policy', 'virtsla_policy_last_reload_successful', words('taken', 'refused')),
        column('Policy waits', 'virtsla_policy_pending', words('yes', 'no', 0)),
        column('Kill switch', 'virtsla_kill_switch', words('on', 'off', 0)),
        column('All released', 'virtsla_hands_off_all', words('yes', 'no', 0)),
        column('History', 'virtsla_slo_store_healthy', words('whole', 'not kept')),
        { name: 'Lacks', steps: STEPS.some, expr: `max by (instance) (virtsla_lacks{${OF}})` },
        { expr: `max by (instance, version) (virtsla_build_info{${OF}})` },
        { expr: `max by (instance, mode) (virtsla_mode_info{${OF}})` },
      ],
      sort: { by: 'Host' },
    }),
  ];
}

function policy() {
  return [
    graph({
      title: 'Attempts to load the policy',
      description: 'In each step. A policy that is refused changes nothing: the last good one stays in force.',
      unit: 'short',
      bars: true,
      queries: [
        { expr: `increase(virtsla_policy_reloads_total{${OF}}[$__rate_interval])`, legend: `${EACH} attempts` },
        { expr: `increase(virtsla_policy_reload_failures_total{${OF}}[$__rate_interval])`, legend: `${EACH} refused` },
      ],
    }),
    graph({
      title: 'Problems of the policy, guests that wait for a word',
      description:
        'Problems found by the last attempt; guests that a generation would change which waits to be acknowledged.',
      unit: 'short',
      steps: STEPS.some,
      queries: [
        { expr: `virtsla_policy_problems{${OF}}`, legend: `${EACH} problems` },
        { expr: `virtsla_policy_pending_domains{${OF}}`, legend: `${EACH} guests wait` },
      ],
    }),
    list({
      title: 'Policies in force',
      description:
        'Generation of the policy by host: hosts of one fleet that differ have not all loaded the same files.',
      labels: { instance: 'Host', generation: 'Generation' },
      columns: [
        {
          name: 'In force',
          mappings: words('yes', 'no'),
          expr: `max by (instance, generation) (virtsla_policy_generation_info{${OF}})`,
        },
      ],
      width: 12,
      height: 8,
    }),
    graph({
      title: 'Connection to libvirt',
      description: '1 while connected; reconnects are those of each step.',
      unit: 'short',
      queries: [
        { expr: `virtsla_libvirt_connected{${OF}}`, legend: `${EACH} connected` },
        { expr: `increase(virtsla_libvirt_reconnects_total{${OF}}[$__rate_interval])`, legend: `${EACH} reconnects` },
      ],
    }),
    graph({
      title: 'Open windows',
      description: 'Windows of schedules and of planned maintenance that are open.',
      unit: 'short',
      queries: [
        { expr: `max by (schedule) (virtsla_schedule_open{${OF}})`, legend: 'schedule {{schedule}}' },
        { expr: `max by (name) (virtsla_maintenance_open{${OF}})`, legend: 'maintenance {{name}}' },
      ],
    }),
    graph({
      title: 'Time to the next change of windows',
      description: 'Until a schedule opens or closes a window. No line without schedules.',
      unit: 's',
      queries: [{ expr: `virtsla_schedule_next_boundary_timestamp_seconds{${OF}} - time()`, legend: EACH }],
    }),
  ];
}

function records() {
  return [
    graph({
      title: 'History of error budgets on disk',
      description: 'Size of the store. Days older than it keeps are deleted.',
      unit: 'bytes',
      queries: [{ expr: `virtsla_slo_store_bytes{${OF}}`, legend: EACH }],
    }),
    graph({
      title: 'What was done about labels',
      description:
        'In each step: guests suspended for a violation, images put right, guests saved and restored for a new label.',
      unit: 'short',
      bars: true,
      queries: [
        { expr: `increase(virtsla_svirt_suspensions_total{${OF}}[$__rate_interval])`, legend: `${EACH} suspended` },
        { expr: `increase(virtsla_svirt_image_relabels_total{${OF}}[$__rate_interval])`, legend: `${EACH} images` },
        {
          expr: `sum by (instance, outcome) (increase(virtsla_svirt_save_restores_total{${OF}}[$__rate_interval]))`,
          legend: `${EACH} restored: {{outcome}}`,
        },
      ],
    }),
    figure({
      title: 'SELinux',
      description: 'Whether SELinux enforces; nothing on a host without it.',
      expr: `virtsla_svirt_enforcing{${OF}}`,
      legend: EACH,
      mappings: words('enforcing', 'permissive'),
      width: 12,
    }),
    figure({
      title: 'io cost controller',
      description: 'Disks for which the kernel has it on. Weights of disks need it with cgroup v2.',
      expr: `virtsla_host_io_cost_actual{${OF}}`,
      legend: '{{instance}} {{device}}',
      mappings: [{ type: 'value', options: { 1: { text: 'on', index: 0 }, 0: { text: 'off', index: 1 } } }],
      width: 12,
    }),
  ];
}

function cost() {
  return [
    graph({
      title: 'CPU of the daemon',
      description: 'Share of one core.',
      unit: 'percentunit',
      queries: [{ expr: `rate(process_cpu_seconds_total{${OF}}[$__rate_interval])`, legend: EACH }],
    }),
    graph({
      title: 'Memory of the daemon',
      description: 'Resident memory, and the JavaScript heap in use within it.',
      unit: 'bytes',
      queries: [
        { expr: `process_resident_memory_bytes{${OF}}`, legend: `${EACH} resident` },
        { expr: `process_heap_bytes{${OF}}`, legend: `${EACH} heap` },
      ],
    }),
    graph({
      title: 'Open files of the daemon',
      description:
        'Counters of guests are read through descriptors that stay open: it grows with the number of guests.',
      unit: 'short',
      queries: [{ expr: `process_open_fds{${OF}}`, legend: EACH }],
    }),
    graph({
      title: 'Series about guests',
      description: 'In one answer, and those left out because there were more than the cap allows.',
      unit: 'short',
      queries: [
        { expr: `virtsla_domain_series{${OF}}`, legend: `${EACH} given` },
        { expr: `increase(virtsla_domain_series_dropped_total{${OF}}[$__rate_interval])`, legend: `${EACH} left out` },
      ],
    }),
    graph({
      title: 'Time since the start',
      description: 'Of the daemon. Counters of CPU time begin anew with it, budgets do not.',
      unit: 's',
      queries: [{ expr: `time() - process_start_time_seconds{${OF}}`, legend: EACH }],
    }),
    graph({
      title: 'Age of the snapshot',
      description: 'What a scrape shows is as old as this.',
      unit: 's',
      queries: [{ expr: `time() - virtsla_snapshot_timestamp_seconds{${OF}}`, legend: EACH }],
    }),
  ];
}
