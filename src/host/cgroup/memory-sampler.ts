/**
 * Reads one guest's memory group, cgroup v1 or v2: use, peak, swap, what memory.stat says, and how often its limits
 * were met. memory.stat is the costly one (the kernel sums over all CPUs): once a cycle and guest.
 * Sources: cgroup-v2.rst (memory), Documentation/admin-guide/cgroup-v1/memory.rst.
 */
import type { MemoryCounts, MemoryLevels, MemoryReading } from '../../signals/memory.js';
import type { Group } from './group.js';

/** Null when the group is gone, or cannot be read now. `pageBytes`: the host's page size. */
export function readMemory(
  group: Group,
  version: 1 | 2,
  pageBytes: number,
  atMonotonicMs: number,
): MemoryReading | null {
  const used = numberOf(group.read(version === 2 ? 'memory.current' : 'memory.usage_in_bytes'));
  if (used === null) return null;
  const read = (file: string): string | null => group.read(file);
  const parts = version === 2 ? readV2(read, used, pageBytes) : readV1(read, used, pageBytes);
  return { atMonotonicMs, ...parts };
}

type Read = (file: string) => string | null;
type Parts = { readonly levels: MemoryLevels; readonly counts: MemoryCounts };

function readV2(read: Read, usedBytes: number, pageBytes: number): Parts {
  const stat = new FlatFile(read('memory.stat'));
  const events = new FlatFile(read('memory.events'));
  const shared = stat.get('shmem');
  return {
    levels: {
      usedBytes,
      // From kernel 5.19.
      peakBytes: numberOf(read('memory.peak')),
      anonBytes: stat.get('anon'),
      fileBytes: minus(stat.get('file'), shared),
      sharedBytes: shared,
      // Absent without swap accounting.
      swapBytes: numberOf(read('memory.swap.current')),
    },
    counts: {
      reclaimedBytes: times(stat.get('pgsteal') ?? stat.sum('pgsteal_kswapd', 'pgsteal_direct'), pageBytes),
      refaultedBytes: refaulted(stat, '', pageBytes),
      majorFaults: stat.get('pgmajfault'),
      highEvents: events.get('high'),
      limitEvents: events.get('max'),
      oomKills: events.get('oom_kill'),
    },
  };
}

/** `total_`: with the groups below, as all figures of v2 are. */
function readV1(read: Read, usedBytes: number, pageBytes: number): Parts {
  const stat = new FlatFile(read('memory.stat'));
  const shared = stat.get('total_shmem');
  return {
    levels: {
      usedBytes,
      peakBytes: numberOf(read('memory.max_usage_in_bytes')),
      anonBytes: stat.get('total_rss'),
      fileBytes: minus(stat.get('total_cache'), shared),
      sharedBytes: shared,
      swapBytes: stat.get('total_swap'),
    },
    counts: {
      reclaimedBytes: null,
      refaultedBytes: refaulted(stat, 'total_', pageBytes),
      majorFaults: stat.get('total_pgmajfault'),
      highEvents: null,
      limitEvents: numberOf(read('memory.failcnt')),
      oomKills: new FlatFile(read('memory.oom_control')).get('oom_kill'),
    },
  };
}

/** One figure before kernel 5.9, when only page cache was watched. */
function refaulted(stat: FlatFile, prefix: string, pageBytes: number): number | null {
  const pages =
    stat.sum(`${prefix}workingset_refault_anon`, `${prefix}workingset_refault_file`) ??
    stat.get(`${prefix}workingset_refault`);
  return times(pages, pageBytes);
}

/** A file of lines `key value`. A few keys out of many: searching is cheaper than splitting. */
class FlatFile {
  readonly #text: string;

  constructor(text: string | null) {
    this.#text = text === null ? '' : `\n${text}\n`;
  }

  get(key: string): number | null {
    const at = this.#text.indexOf(`\n${key} `);
    if (at < 0) return null;
    const from = at + key.length + 2;
    return numberOf(this.#text.slice(from, this.#text.indexOf('\n', from)));
  }

  /** Null when one of them is missing. */
  sum(...keys: readonly string[]): number | null {
    let total = 0;
    for (const key of keys) {
      const value = this.get(key);
      if (value === null) return null;
      total += value;
    }
    return total;
  }
}

function numberOf(text: string | null): number | null {
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}

function times(count: number | null, factor: number): number | null {
  return count === null ? null : count * factor;
}

/** The kernel does not sum the two at one moment. */
function minus(all: number | null, part: number | null): number | null {
  return all === null ? null : Math.max(0, all - (part ?? 0));
}
