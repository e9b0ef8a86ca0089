/**
 * Memory values in bytes, rounded down to whole pages by the kernel, or `max`. v1 knows neither memory.high, low nor
 * min, and limits swap only together with memory: that sum goes by `memory.memsw.max`, a name of ours.
 * Sources: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, mm/memcontrol.c, mm/memcontrol-v1.c.
 */
import { type Codec, isCountOrMax, type Names, setting, statistic } from './codec.js';
import { pageBytes } from './page-bytes.js';

/** What v1 prints for no limit: PAGE_COUNTER_MAX pages (include/linux/page_counter.h). */
export function unlimitedOnV1(page = pageBytes()): string {
  return String(((2n ** 63n - 1n) / BigInt(page)) * BigInt(page));
}

let unlimited: string | null = null;

const limitOnV1 = {
  read(text: string): string {
    unlimited ??= unlimitedOnV1();
    return text === unlimited ? 'max' : text;
  },
  write: (text: string): string => (text === 'max' ? '-1' : text),
};

/**
 * A write below what is used reclaims, and may kill, before it returns; with O_NONBLOCK (Linux 6.16, ignored before it)
 * the limit is set and what is over it is dealt with when the guest next asks for memory. v1 reclaims and gives EBUSY.
 */
const limit = (names: Names): Codec => setting({ names, isValue: isCountOrMax, nonBlocking: true, onV1: limitOnV1 });
const protection = (file: string): Codec => setting({ names: { v1: null, v2: file }, isValue: isCountOrMax });

/** v2's words for what v1 calls otherwise; all others are the same but for the `total_` of the subtree. */
const V2_WORDS: Readonly<Record<string, string>> = {
  rss: 'anon',
  rss_huge: 'anon_thp',
  cache: 'file',
  mapped_file: 'file_mapped',
  dirty: 'file_dirty',
  writeback: 'file_writeback',
};

/** memory.stat of v1, the subtree's figures alone, in v2's words. */
function statFromV1(text: string): string {
  return [...text.matchAll(/^total_(\w+) (\d+)$/gm)]
    .map(([, word = '', amount]) => `${V2_WORDS[word] ?? word} ${amount}`)
    .join('\n');
}

const STAT: Names = { v1: 'memory.stat', v2: 'memory.stat' };
const FAILURES_V1 = 'memory.failcnt';
const OOM_V1 = 'memory.oom_control';

/** How often the limit was met and a process killed; v1 counts no other events. */
const events: Codec = {
  kernelFiles: (version) => (version === 1 ? [FAILURES_V1, OOM_V1] : ['memory.events']),
  read({ group, version }) {
    if (version === 2) return group.readOnce('memory.events');
    const failures = group.readOnce(FAILURES_V1);
    const kills = /^oom_kill \d+$/m.exec(group.readOnce(OOM_V1) ?? '')?.[0];
    return failures === null ? null : [`max ${failures}`, ...(kills === undefined ? [] : [kills])].join('\n');
  },
};

export const MEMORY_FILES: Readonly<Record<string, Codec>> = {
  'memory.max': limit({ v1: 'memory.limit_in_bytes', v2: 'memory.max' }),
  'memory.high': limit({ v1: null, v2: 'memory.high' }),
  'memory.low': protection('memory.low'),
  'memory.min': protection('memory.min'),
  'memory.swap.max': protection('memory.swap.max'),
  'memory.memsw.max': limit({ v1: 'memory.memsw.limit_in_bytes', v2: null }),
  'memory.current': statistic({ v1: 'memory.usage_in_bytes', v2: 'memory.current' }),
  /** v2 before Linux 5.19 has none. */
  'memory.peak': statistic({ v1: 'memory.max_usage_in_bytes', v2: 'memory.peak' }),
  'memory.stat': statistic(STAT, statFromV1),
  'memory.swap.current': statistic(
    { v1: STAT.v1, v2: 'memory.swap.current' },
    (text) => /^total_swap (\d+)$/m.exec(text)?.[1] ?? null,
  ),
  'memory.events': events,
  'memory.pressure': statistic({ v1: null, v2: 'memory.pressure' }),
};
