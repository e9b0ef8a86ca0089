/**
 * cpu.limit: the hard ceiling of a guest's CPU time, divided evenly over its vCPUs as a quota on each `vcpuN` group with
 * a period of 100 ms. Never on emulator or I/O threads: a throttled main loop delays QMP, timers and I/O completion.
 * Sources: cgroup-v2.rst (cpu.max), sched-bwc.rst, virDomainSetSchedulerParametersFlags (vcpu_period, vcpu_quota).
 */
import { basename, join } from 'node:path';
import type { CpuTune, Domain } from '../domains/types.js';
import type { CpuAmount } from '../policy/types.js';
import { cpuAmount } from '../policy/value-types.js';
import { coresAllowed, DEFAULT_PERIOD_USEC, formatCpuMax, parseCpuMax } from '../text/cpu-max.js';
import {
  type Amount,
  type Control,
  type Desired,
  type Original,
  type Override,
  type Setting,
  type Tell,
  told,
  UNIT_INFINITY,
} from './control.js';
import { coresOf, onlineVcpus } from './guaranteed-cores.js';
import { hasQuotaGroup, quotaGroups, quotaPlace } from './quota-groups.js';

/** The kernel refuses a quota under 1 ms (kernel/sched/core.c, min_cfs_quota_period): 1 % of a vCPU at 100 ms. */
const LEAST_QUOTA_USEC = 1_000;

const FILE = 'cpu.max';
const DEPTH = 1;

export const cpuLimit: Control = {
  id: 'cpu.limit',
  scope: 'domain',
  built: true,
  summary: 'Hard ceiling of CPU time, divided evenly over the vCPUs as quota; 100 % sets no quota',
  keys: [
    {
      key: 'cpu.limit',
      schema: cpuAmount,
      summary: 'Hard ceiling of CPU time; 100% is all vCPUs all the time',
      unit: '% of the online vCPUs, or host cores',
      range: '1%–100%, or an amount in cores of at least 1 % of each vCPU',
      example: '50%',
    },
  ],
  metrics: [{ name: 'cpu_limit_cores', help: 'CPU limit in host cores, +Inf without a quota', labels: [] }],
  early: true,

  desired(wanted, domain, _host, { read }): Desired {
    const asked = wanted.values.get('cpu.limit');
    if (asked === undefined) return { kind: 'unmanaged' };
    if (domain.facts?.tuning.cpu.realtimeVcpus === true) {
      return { kind: 'unsupported', reason: 'its vCPUs have real-time scheduling, which quotas do not bind', asked };
    }
    const vcpus = onlineVcpus(domain);
    const groups = quotaGroups(domain);
    if (vcpus === 0 || (domain.cgroup !== null && groups.length === 0))
      return { kind: 'unsupported', reason: 'it has no vCPU groups', asked };
    const cores = coresOf(asked.value as CpuAmount, vcpus);
    const perVcpu = cores / vcpus;
    const quotaUsec = quotaOf(asked.value as CpuAmount, vcpus);
    if (quotaUsec !== null && quotaUsec < LEAST_QUOTA_USEC) {
      const reason = `${asked.text} over ${vcpus} vCPUs is under 1 % of each, the least that the kernel takes`;
      return { kind: 'refused', reason, asked };
    }
    const settings = groups.flatMap(({ prefix, vcpus }): Setting[] => {
      const key = `${prefix}${FILE}`;
      const place = quotaPlace(key, FILE, DEPTH, domain);
      if (place === null) return [];
      const sumUsec = quotaUsec === null ? null : quotaUsec * vcpus;
      const text =
        place.writer === 'systemd'
          ? systemdText(sumUsec, read(place))
          : formatCpuMax({ quotaUsec: sumUsec, periodUsec: DEFAULT_PERIOD_USEC });
      return [{ ...place, key, text }];
    });
    const whole = groups.some(({ prefix }) => prefix === '');
    return {
      kind: 'set',
      asked,
      amounts: [amount(quotaUsec === null ? null : cores)],
      display: describe(perVcpu, vcpus),
      settings,
      notes: whole ? ['it has no vCPU groups: the quota binds the whole QEMU process, its I/O threads too'] : [],
    };
  },

  place: (key, domain) => (hasQuotaGroup(key, domain) ? quotaPlace(key, FILE, DEPTH, domain) : null),

  amountsOf(texts) {
    let sum = 0;
    for (const text of texts.values()) {
      const cores = coresAllowed(text);
      if (cores === null) return [];
      if (cores === Number.POSITIVE_INFINITY) return [amount(null)];
      sum += cores;
    }
    return texts.size === 0 ? [] : [amount(sum)];
  },

  displayOf(texts, domain) {
    const whole = texts.get(FILE);
    if (whole !== undefined) {
      const [cores, vcpus] = [coresAllowed(whole), Math.max(1, onlineVcpus(domain))];
      return cores === null ? 'unreadable' : describe(cores / vcpus, vcpus);
    }
    const each = [...texts.values()].map(coresAllowed);
    const first = each[0];
    if (first === undefined || each.includes(null)) return 'unreadable';
    if (each.every((cores) => cores === first)) return describe(first ?? 0, each.length);
    const least = Math.min(...each.map((cores) => cores ?? 0));
    return `uneven, least ${percent(least)} of a vCPU`;
  },

  fromXml(_key, { cpu }): Original {
    const { vcpuQuotaUsec, vcpuPeriodUsec } = cpu;
    const quotaUsec = vcpuQuotaUsec === undefined || vcpuQuotaUsec <= 0 ? null : vcpuQuotaUsec;
    const text = formatCpuMax({ quotaUsec, periodUsec: vcpuPeriodUsec ?? DEFAULT_PERIOD_USEC });
    return { text, from: vcpuQuotaUsec === undefined && vcpuPeriodUsec === undefined ? 'default' : 'xml' };
  },

  tellFor(texts, domain) {
    const whole = texts.get(FILE);
    if (whole !== undefined) {
      return quotaPlace(FILE, FILE, DEPTH, domain)?.writer === 'systemd' ? unitQuota(whole, domain) : null;
    }
    const [first, ...others] = texts.values();
    if (domain.source !== 'libvirt' || first === undefined || others.some((text) => text !== first)) return null;
    return tellText(first, domain.facts?.tuning.cpu ?? null);
  },

  allows: coresAllowed,

  overriddenBy(desired, domain, { read }): Override | null {
    if (desired.kind !== 'set' || domain.cgroup === null) return null;
    const wantedCores = desired.amounts[0]?.value ?? onlineVcpus(domain);
    const { domainDir, weightDir, ancestors } = domain.cgroup;
    const ours = new Set(desired.settings.map(({ path }) => path));
    for (const directory of new Set([domainDir, weightDir, ...ancestors])) {
      const path = join(directory, FILE);
      const cores = ours.has(path) ? null : coresAllowed(read({ path }));
      if (cores === null || cores >= wantedCores) continue;
      const on = ancestors.includes(directory) ? 'a group above it' : 'the whole guest';
      return { reason: `a foreign quota of ${cores.toFixed(2)} cores on ${on} is lower`, path };
    }
    return null;
  },
};

/** Quota of each vCPU; null where it would be all of it. */
function quotaOf(limit: CpuAmount, vcpus: number): number | null {
  const perVcpu = coresOf(limit, vcpus) / vcpus;
  return perVcpu >= 1 ? null : Math.round(perVcpu * DEFAULT_PERIOD_USEC);
}

/**
 * systemd keeps a period of its own and a quota in whole percent (CPUQuota=): what it makes of ours is what is asked for.
 */
function systemdText(quotaUsec: number | null, standing: string | null): string {
  const periodUsec = parseCpuMax(standing ?? '')?.periodUsec ?? DEFAULT_PERIOD_USEC;
  if (quotaUsec === null) return formatCpuMax({ quotaUsec: null, periodUsec });
  const percent = Math.ceil((quotaUsec * 100) / DEFAULT_PERIOD_USEC);
  return formatCpuMax({ quotaUsec: Math.floor((percent * periodUsec) / 100), periodUsec });
}

function unitQuota(text: string, { cgroup }: Domain): Tell | null {
  const cores = coresAllowed(text);
  if (cgroup === null || cores === null) return null;
  // The microseconds of the text are cut to whole ones: of 33.33 % of a core, 34 % are meant.
  const percents = (): bigint => BigInt(Math.ceil(Number((cores * 100).toFixed(3))));
  const value = cores === Number.POSITIVE_INFINITY ? UNIT_INFINITY : percents() * 10_000n;
  const unit = basename(cgroup.domainDir);
  return { calls: [], units: [{ unit, properties: [{ name: 'CPUQuotaPerSecUSec', value }] }] };
}

/** The period is sent only where libvirt's own view has another one: each set call writes the kernel again. */
function tellText(text: string, cputune: CpuTune | null): Tell | null {
  const value = parseCpuMax(text);
  if (value === null) return null;
  const quota = { vcpu_quota: BigInt(value.quotaUsec ?? -1) };
  const samePeriod = (cputune?.vcpuPeriodUsec ?? DEFAULT_PERIOD_USEC) === value.periodUsec;
  const parameters = samePeriod ? quota : { ...quota, vcpu_period: BigInt(value.periodUsec) };
  return told([{ call: 'scheduler', parameters }]);
}

function amount(value: number | null): Amount {
  return { metric: 'cpu_limit_cores', labels: {}, value };
}

function describe(perVcpu: number, vcpus: number): string {
  if (perVcpu === Number.POSITIVE_INFINITY || perVcpu >= 1) return 'no quota';
  return `${(perVcpu * vcpus).toFixed(2)} cores (${percent(perVcpu)} of ${vcpus} vCPU${vcpus === 1 ? '' : 's'})`;
}

function percent(fraction: number): string {
  return `${Number((fraction * 100).toFixed(1))}%`;
}
