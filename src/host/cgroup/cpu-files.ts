/**
 * CPU values. `cpu.max` is v2's own file; on v1 it stands for the pair cpu.cfs_quota_us and cpu.cfs_period_us, so that
 * a limit has one text on every host (`20000 100000`, `max 100000`). Weights differ in scale and keep their own names.
 * Sources: Documentation/admin-guide/cgroup-v2.rst, Documentation/scheduler/sched-bwc.rst.
 */
import { parseCpuMax } from '../../text/cpu-max.js';
import { type Codec, isCount, type Step, setting, statistic } from './codec.js';

const QUOTA_V1 = 'cpu.cfs_quota_us';
const PERIOD_V1 = 'cpu.cfs_period_us';

/**
 * v1 takes quota and period in two writes. The order is chosen so that the value in between is never under both the
 * old and the new limit: a longer period is written last, a shorter one first. Unchanged halves are not written.
 */
const cpuMax: Codec = {
  kernelFiles: (version) => (version === 1 ? [QUOTA_V1, PERIOD_V1] : ['cpu.max']),
  read({ group, version }) {
    if (version === 2) return group.read('cpu.max');
    const quota = group.read(QUOTA_V1);
    const period = group.read(PERIOD_V1);
    return quota === null || period === null ? null : `${quota === '-1' ? 'max' : quota} ${period}`;
  },
  steps(at, text) {
    const to = parseCpuMax(text);
    if (to === null) return null;
    if (at.version === 2) return [{ file: 'cpu.max', text }];
    const from = parseCpuMax(cpuMax.read(at) ?? '');
    const quota: Step = { file: QUOTA_V1, text: String(to.quotaUsec ?? -1) };
    const period: Step = { file: PERIOD_V1, text: String(to.periodUsec) };
    const steps = from !== null && to.periodUsec < from.periodUsec ? [period, quota] : [quota, period];
    return steps.filter((step) =>
      step === quota ? from?.quotaUsec !== to.quotaUsec : from?.periodUsec !== to.periodUsec,
    );
  },
};

export const CPU_FILES: Readonly<Record<string, Codec>> = {
  'cpu.max': cpuMax,
  'cpu.max.burst': setting({ names: { v1: 'cpu.cfs_burst_us', v2: 'cpu.max.burst' }, isValue: isCount }),
  'cpu.weight': setting({ names: { v1: null, v2: 'cpu.weight' }, isValue: isCount }),
  'cpu.shares': setting({ names: { v1: 'cpu.shares', v2: null }, isValue: isCount }),
  'cpu.pressure': statistic({ v1: null, v2: 'cpu.pressure' }),
};

/** cpu.stat: microseconds throttled in this group. v1 says throttled_time in ns, v2 throttled_usec. */
export function throttledUsec(statText: string | null): number | null {
  if (statText === null) return null;
  const v2 = /^throttled_usec (\d+)$/m.exec(statText);
  if (v2 !== null) return Number(v2[1]);
  const v1 = /^throttled_time (\d+)$/m.exec(statText);
  return v1 === null ? null : Number(v1[1]) / 1000;
}
