// What the daemon does: its cycles, and what it writes, repairs and cannot do.
import { graph, STEPS } from './panels.mjs';

/** Of the daemons on the chosen hosts. */
export const OF = 'instance=~"$host"';
export const EACH = '{{instance}}';

export function cycles() {
  const buckets = `sum by (le, instance) (rate(virtsla_reconcile_duration_seconds_bucket{${OF}}[$__rate_interval]))`;
  const sum = `rate(virtsla_reconcile_duration_seconds_sum{${OF}}[$__rate_interval])`;
  const count = `rate(virtsla_reconcile_duration_seconds_count{${OF}}[$__rate_interval])`;
  return [
    graph({
      title: 'Duration of a cycle',
      description: 'Mean, and the time within which 99 % of cycles ended.',
      unit: 's',
      queries: [
        { expr: `${sum} / ${count}`, legend: `${EACH} mean` },
        { expr: `histogram_quantile(0.99, ${buckets})`, legend: `${EACH} 99 %` },
      ],
    }),
    graph({
      title: 'Cycles and failed cycles',
      description: 'Cycles a second; a failed one left something undone, and the next tries again.',
      unit: 'cps',
      queries: [
        { expr: `rate(virtsla_reconciles_total{${OF}}[$__rate_interval])`, legend: `${EACH} cycles` },
        { expr: `rate(virtsla_reconcile_failures_total{${OF}}[$__rate_interval])`, legend: `${EACH} failed` },
      ],
    }),
    graph({
      title: 'Time since the last good cycle',
      description: 'More than a minute means that guests are not looked after, although the daemon answers.',
      unit: 's',
      steps: [
        ['green', null],
        ['red', 60],
      ],
      queries: [{ expr: `time() - virtsla_last_reconcile_success_timestamp_seconds{${OF}}`, legend: EACH }],
    }),
    graph({
      title: 'Delay of the event loop',
      description: 'The longest in the last cycle: for so long, nothing else was answered.',
      unit: 's',
      queries: [{ expr: `virtsla_event_loop_lag_seconds{${OF}}`, legend: EACH }],
    }),
  ];
}

export function writes() {
  const amount = (title, description, metric, label) =>
    graph({
      title,
      description,
      unit: 'short',
      bars: true,
      stack: true,
      queries: [{ expr: `sum by (${label}) (increase(${metric}{${OF}}[$__rate_interval]))`, legend: `{{${label}}}` }],
    });
  return [
    amount(
      'Values written',
      'In each step, by control, repairs and releases included. At rest there are none.',
      'virtsla_writes_total',
      'control',
    ),
    amount(
      'Writes that failed',
      'In each step, by control: the write failed or did not read back.',
      'virtsla_apply_failures_total',
      'control',
    ),
    amount(
      'Values put back',
      'In each step, by who had changed them behind the back of the daemon.',
      'virtsla_drift_repairs_by_writer_total',
      'writer',
    ),
    graph({
      title: 'Values that somebody fights over',
      description: 'Controls of guests that are rewritten again and again, so that virtslad backs off.',
      unit: 'short',
      steps: STEPS.no,
      queries: [{ expr: `sum by (instance) (virtsla_control_contested{${OF}})`, legend: EACH }],
    }),
    graph({
      title: 'Starts of guests',
      description:
        'In each step; capped are those in which every CPU limit stood before the first instruction of the guest.',
      unit: 'short',
      bars: true,
      queries: [
        { expr: `increase(virtsla_domain_starts_total{${OF}}[$__rate_interval])`, legend: `${EACH} starts` },
        {
          expr: `increase(virtsla_domain_starts_capped_before_resume_total{${OF}}[$__rate_interval])`,
          legend: `${EACH} capped`,
        },
      ],
    }),
    graph({
      title: 'Guests that cannot be acted on',
      description:
        'Running guests without a cgroup of their own or unknown to libvirt, and guests whose libvirt call hangs.',
      unit: 'short',
      steps: STEPS.no,
      queries: [
        { expr: `sum by (instance) (virtsla_domain_obstructed{${OF}})`, legend: `${EACH} obstructed` },
        { expr: `virtsla_libvirt_quarantined_domains{${OF}}`, legend: `${EACH} call hangs` },
      ],
    }),
  ];
}
