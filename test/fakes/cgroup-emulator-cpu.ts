/** CPU files of the emulated kernel: kernel/sched/core.c, kernel/sched/fair.c. */
import type { EmulatedFile, EmulatedGroup, FileTable } from './cgroup-emulator-group.js';
import { kernelError, scanUnsigned, scanWord, strictSigned, strictUnsigned } from './cgroup-emulator-text.js';

const [LEAST_USEC, MOST_PERIOD_USEC, MOST_RUNTIME_USEC] = [1_000n, 1_000_000n, 2n ** 44n - 1n];
const [LEAST_SHARES, MOST_SHARES] = [2n, 2n ** 18n];
const [LEAST_WEIGHT, MOST_WEIGHT] = [1n, 10_000n];
const RATIO_BITS = 20n;

interface Bandwidth {
  readonly quotaUsec: bigint | null;
  readonly periodUsec: bigint;
  readonly burstUsec: bigint;
}

/** tg_set_cfs_bandwidth */
function setBandwidth(group: EmulatedGroup, change: Partial<Bandwidth>): void {
  const { quotaUsec, periodUsec, burstUsec } = { ...bandwidthOf(group), ...change };
  if (periodUsec < LEAST_USEC || periodUsec > MOST_PERIOD_USEC) throw kernelError('EINVAL');
  if (quotaUsec !== null) {
    if (quotaUsec < LEAST_USEC || quotaUsec > MOST_RUNTIME_USEC) throw kernelError('EINVAL');
    if (burstUsec > quotaUsec || burstUsec + quotaUsec > MOST_RUNTIME_USEC) throw kernelError('EINVAL');
  }
  const before = bandwidthOf(group);
  Object.assign(group, { quotaUsec, periodUsec, burstUsec });
  if (group.mount.version === 1 && !isSchedulable(rootOf(group), null)) {
    Object.assign(group, before);
    throw kernelError('EINVAL');
  }
}

function bandwidthOf({ quotaUsec, periodUsec, burstUsec }: EmulatedGroup): Bandwidth {
  return { quotaUsec, periodUsec, burstUsec };
}

/** tg_cfs_schedulable_down: on v1 no group may have more than the one above it. */
function isSchedulable(group: EmulatedGroup, above: bigint | null): boolean {
  const own = group.quotaUsec === null ? null : (group.quotaUsec << RATIO_BITS) / group.periodUsec;
  if (own !== null && above !== null && own > above) return false;
  return [...group.children.values()].every((child) => isSchedulable(child, own ?? above));
}

function rootOf(group: EmulatedGroup): EmulatedGroup {
  return group.parent === null ? group : rootOf(group.parent);
}

function setShares(group: EmulatedGroup, shares: bigint): void {
  group.shares = shares < LEAST_SHARES ? LEAST_SHARES : shares > MOST_SHARES ? MOST_SHARES : shares;
}

const rounded = (amount: bigint, by: bigint): bigint => (amount + by / 2n) / by;

const burst = {
  read: ({ burstUsec }: EmulatedGroup) => `${burstUsec}\n`,
  write: (group: EmulatedGroup, text: string) => setBandwidth(group, { burstUsec: strictUnsigned(text) }),
};

export const CPU_V1: FileTable = {
  'cpu.shares': {
    read: ({ shares }) => `${shares}\n`,
    write: (group, text) => setShares(group, strictUnsigned(text)),
  },
  'cpu.cfs_quota_us': {
    read: ({ quotaUsec }) => `${quotaUsec ?? -1}\n`,
    write(group, text) {
      const quotaUsec = strictSigned(text);
      setBandwidth(group, { quotaUsec: quotaUsec < 0n ? null : quotaUsec });
    },
  },
  'cpu.cfs_period_us': {
    read: ({ periodUsec }) => `${periodUsec}\n`,
    write: (group, text) => setBandwidth(group, { periodUsec: strictUnsigned(text) }),
  },
  'cpu.cfs_burst_us': burst,
  'cpu.stat': {
    read: ({ cpuStat }) => stat(['nr_periods', 'nr_throttled', 'throttled_time', 'nr_bursts', 'burst_time'], cpuStat),
    onRoot: true,
  },
};

export const CPU_V2: FileTable = {
  'cpu.weight': {
    read: ({ shares }) => `${rounded(shares * 100n, 1024n)}\n`,
    write(group, text) {
      const weight = strictUnsigned(text);
      if (weight < LEAST_WEIGHT || weight > MOST_WEIGHT) throw kernelError('ERANGE');
      setShares(group, rounded(weight * 1024n, 100n));
    },
  },
  'cpu.max': {
    read: ({ quotaUsec, periodUsec }) => `${quotaUsec ?? 'max'} ${periodUsec}\n`,
    write(group, text) {
      const quota = scanWord(text, 20);
      if (quota === null) throw kernelError('EINVAL');
      const periodUsec = scanUnsigned(quota.rest)?.value ?? group.periodUsec;
      const number = scanUnsigned(quota.word);
      if (number === null && quota.word !== 'max') throw kernelError('EINVAL');
      setBandwidth(group, { quotaUsec: number?.value ?? null, periodUsec });
    },
  },
  'cpu.max.burst': burst,
  'cpu.stat': {
    read: ({ cpuStat }) =>
      stat(
        [
          'usage_usec',
          'user_usec',
          'system_usec',
          'nr_periods',
          'nr_throttled',
          'throttled_usec',
          'nr_bursts',
          'burst_usec',
        ],
        cpuStat,
      ),
    onRoot: true,
  },
};

/** Of every group of v2, also without the controller. */
export const TIME_OF_ALL: EmulatedFile = {
  read: ({ cpuStat }) => stat(['usage_usec', 'user_usec', 'system_usec'], cpuStat),
  onRoot: true,
};

export function stat(keys: readonly string[], amounts: Readonly<Record<string, number>>): string {
  return keys.map((key) => `${key} ${amounts[key] ?? 0}\n`).join('');
}
