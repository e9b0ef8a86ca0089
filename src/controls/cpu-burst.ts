/**
 * cpu.burst: CPU time that a vCPU did not use and may spend later, on top of its quota, so that short peaks are not
 * throttled. At most the quota; nothing without one.
 * Sources: sched-bwc.rst ("Burst feature"), cgroup-v2.rst (cpu.max.burst); v1: cpu.cfs_burst_us. Linux 5.14.
 */
import type { CpuAmount } from '../policy/types.js';
import { duration } from '../policy/value-types.js';
import { formatDuration } from '../units.js';
import type { Amount, Control, Desired, Setting } from './control.js';
import { quotaOf } from './cpu-limit.js';
import { onlineVcpus } from './guaranteed-cores.js';
import { hasQuotaGroup, quotaGroups, quotaPlace } from './quota-groups.js';

const FILE = 'cpu.max.burst';
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

  desired(wanted, domain, _host, { exists }): Desired {
    const asked = wanted.values.get('cpu.burst');
    if (asked === undefined) return { kind: 'unmanaged' };
    const vcpus = onlineVcpus(domain);
    const limit = wanted.values.get('cpu.limit')?.value as CpuAmount | undefined;
    const quotaUsec = limit === undefined || vcpus === 0 ? null : quotaOf(limit, vcpus);
    if (quotaUsec === null) return { kind: 'unsupported', reason: 'its vCPUs have no quota to save up from', asked };
    const wantedUsec = Math.round((asked.value as number) * 1e6);
    const burstUsec = Math.min(wantedUsec, quotaUsec);
    const settings = quotaGroups(domain).flatMap(({ prefix, vcpus }): Setting[] => {
      const key = `${prefix}${FILE}`;
      const place = quotaPlace(key, FILE, DEPTH, domain);
      return place === null ? [] : [{ ...place, key, text: String(burstUsec * vcpus) }];
    });
    const [first] = settings;
    if (first === undefined) return { kind: 'unsupported', reason: 'it has no groups with a quota', asked };
    if (first.writer === 'systemd') {
      return { kind: 'unsupported', reason: 'systemd owns its group and has no property for a burst', asked };
    }
    if (!exists(first)) return { kind: 'unsupported', reason: 'this kernel has no CPU burst (Linux 5.14)', asked };
    const cut = burstUsec < wantedUsec;
    return {
      kind: 'set',
      asked,
      amounts: [amount(burstUsec)],
      display: describe(burstUsec),
      settings,
      notes: cut ? [`cut to the quota of a vCPU, ${formatDuration(quotaUsec / 1e6)}`] : [],
    };
  },

  place: (key, domain) => (hasQuotaGroup(key, domain) ? quotaPlace(key, FILE, DEPTH, domain) : null),

  amountsOf(texts) {
    const least = leastOf(texts);
    return least === null ? [] : [amount(least)];
  },

  displayOf(texts) {
    const least = leastOf(texts);
    if (least === null) return 'unreadable';
    const even = [...texts.values()].every((text) => Number(text) === least);
    return even ? describe(least) : `uneven, least ${describe(least)}`;
  },

  allows: (text) => (/^\d+$/.test(text) ? Number(text) : null),
};

/** Of all vCPUs; null when one is unreadable. */
function leastOf(texts: ReadonlyMap<string, string | null>): number | null {
  const each = [...texts.values()].map((text) => (text !== null && /^\d+$/.test(text) ? Number(text) : null));
  return each.length === 0 || each.includes(null) ? null : Math.min(...each.map(Number));
}

function amount(burstUsec: number): Amount {
  return { metric: 'cpu_burst_seconds', labels: {}, value: burstUsec / 1e6 };
}

function describe(burstUsec: number): string {
  return burstUsec === 0 ? 'none' : `${formatDuration(burstUsec / 1e6)} a vCPU`;
}
