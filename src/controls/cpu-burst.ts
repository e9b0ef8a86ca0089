/**
 * cpu.burst: CPU time that a vCPU did not use and may spend later, on top of its quota, so that short peaks are not
 * throttled. At most the quota; nothing without one.
 * Sources: sched-bwc.rst ("Burst feature"), cgroup-v2.rst (cpu.max.burst); v1: cpu.cfs_burst_us. Linux 5.14.
 */

import type { Domain } from '../domains/types.js';
import { duration } from '../policy/value-types.js';
import { parseCpuMax } from '../text/cpu-max.js';
import { formatDuration } from '../units.js';
import type { Amount, Control, Desired, Setting } from './control.js';
import { cpuLimit } from './cpu-limit.js';
import { onlineVcpus } from './guaranteed-cores.js';
import { hasQuotaGroup, quotaGroups, quotaPlace } from './quota-groups.js';

const FILE = 'cpu.max.burst';
const NO_QUOTA = 'its vCPUs have no quota to save up from';
/** Below the quota that bounds it: a quota widens before its burst and narrows after it. */
const DEPTH = 2;

export const cpuBurst: Control = {
  id: 'cpu.burst',
  scope: 'domain',
  built: true,
  summary: 'Unused CPU quota that a vCPU may save up and spend in a short excess over its limit',
  keys: [
    {
      key: 'cpu.burst',
      // The kernel takes at most the quota, and the quota is at most a period.
      schema: duration('1us', '100ms'),
      summary: 'CPU time that each vCPU may save up for a burst over cpu.limit',
      unit: 'duration in each period of 100ms',
      range: '1us–100ms, at most the quota that cpu.limit gives a vCPU',
      example: '20ms',
    },
  ],
  metrics: [{ name: 'cpu_burst_seconds', help: 'CPU time that each vCPU may save up for a burst', labels: [] }],

  desired(wanted, domain, host, sight): Desired {
    const asked = wanted.values.get('cpu.burst');
    if (asked === undefined) return { kind: 'unmanaged' };
    // The kernel takes no quota under the burst that stands: it must not outlive ours.
    const unsupported = (reason: string): Desired => ({ kind: 'unsupported', reason, asked, giveBack: true });
    const limit = cpuLimit.desired(wanted, domain, host, sight);
    if (limit.kind !== 'set') {
      return unsupported(limit.kind === 'unmanaged' ? NO_QUOTA : `${NO_QUOTA}: ${limit.reason}`);
    }
    const wantedUsec = Math.round((asked.value as number) * 1e6);
    let leastUsec = wantedUsec;
    const settings: Setting[] = [];
    for (const { prefix, vcpus } of quotaGroups(domain)) {
      const key = `${prefix}${FILE}`;
      const place = quotaPlace(key, FILE, DEPTH, domain);
      const quota = limit.settings.find((one) => `${one.key}.burst` === key);
      const quotaUsec = parseCpuMax(quota?.text ?? '')?.quotaUsec ?? null;
      if (place === null || quotaUsec === null) return unsupported(NO_QUOTA);
      leastUsec = Math.min(leastUsec, quotaUsec / vcpus);
      settings.push({ ...place, key, text: String(Math.min(wantedUsec * vcpus, quotaUsec)) });
    }
    const [first] = settings;
    if (first === undefined) return unsupported('it has no groups with a quota');
    if (first.writer === 'systemd') return unsupported('systemd owns its group and has no property for a burst');
    if (!sight.exists(first)) return unsupported('this kernel has no CPU burst (Linux 5.14)');
    const cut = leastUsec < wantedUsec;
    return {
      kind: 'set',
      asked,
      amounts: [amount(leastUsec)],
      display: describe(leastUsec),
      settings,
      notes: cut ? [`cut to the quota of a vCPU, ${formatDuration(leastUsec / 1e6)}`] : [],
    };
  },

  place: (key, domain) => (hasQuotaGroup(key, domain) ? quotaPlace(key, FILE, DEPTH, domain) : null),

  amountsOf(texts, domain) {
    const each = eachUsec(texts, domain);
    return each === null ? [] : [amount(Math.min(...each))];
  },

  displayOf(texts, domain) {
    const each = eachUsec(texts, domain);
    if (each === null) return 'unreadable';
    const least = Math.min(...each);
    return each.every((usec) => usec === least) ? describe(least) : `uneven, least ${describe(least)}`;
  },

  allows: burstUsec,
};

function burstUsec(text: string): number | null {
  return /^\d+$/.test(text) ? Number(text) : null;
}

/** Of a vCPU in each group; null when one is unreadable. */
function eachUsec(texts: ReadonlyMap<string, string | null>, domain: Domain): readonly number[] | null {
  const each: number[] = [];
  for (const [key, text] of texts) {
    const usec = text === null ? null : burstUsec(text);
    if (usec === null) return null;
    each.push(key === FILE ? usec / Math.max(1, onlineVcpus(domain)) : usec);
  }
  return each.length === 0 ? null : each;
}

function amount(burstUsec: number): Amount {
  return { metric: 'cpu_burst_seconds', labels: {}, value: burstUsec / 1e6 };
}

function describe(burstUsec: number): string {
  return burstUsec === 0 ? 'none' : `${formatDuration(burstUsec / 1e6)} a vCPU`;
}
