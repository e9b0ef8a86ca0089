/** Memory files of the emulated kernel: mm/memcontrol.c, mm/memcontrol-v1.c, mm/page_counter.c. */
import type { EmulatedFile, EmulatedGroup, FileTable } from './cgroup-emulator-group.js';
import { kernelError, memorySize, strip } from './cgroup-emulator-text.js';

const pageOf = ({ machine }: EmulatedGroup): bigint => BigInt(machine.pageBytes);
const mostPages = (group: EmulatedGroup): bigint => (2n ** 63n - 1n) / pageOf(group);

/** page_counter_memparse: pages, null for no limit. */
function pagesIn(group: EmulatedGroup, text: string, unlimited: string): bigint | null {
  if (text === unlimited) return null;
  const bytes = memorySize(text);
  if (bytes === null) throw kernelError('EINVAL');
  const pages = bytes / pageOf(group);
  return pages >= mostPages(group) ? null : pages;
}

const bytesOf = (group: EmulatedGroup, pages: bigint): bigint => pages * pageOf(group);

/** Drops page cache until usage is within; false when there is not enough of it. */
function reclaim(group: EmulatedGroup, toBytes: bigint): boolean {
  for (const one of group.subtree) {
    const over = group.usedBytes - toBytes;
    if (over <= 0n) break;
    const kept = one.reclaimableBytes - over;
    one.reclaimableBytes = kept > 0n ? kept : 0n;
  }
  return group.usedBytes <= toBytes;
}

/** The largest process goes: here, all of the group. */
function killIn(group: EmulatedGroup): void {
  group.events.oom++;
  group.events.oomKill++;
  for (const one of group.subtree) {
    one.processes.clear();
    one.threads.clear();
    one.pinnedBytes = 0n;
    one.reclaimableBytes = 0n;
  }
}

function limitV2(key: 'max' | 'high' | 'swapMax'): EmulatedFile {
  return {
    read: (group) => `${group.memory[key] === null ? 'max' : bytesOf(group, group.memory[key])}\n`,
    write(group, text, nonBlocking) {
      const pages = pagesIn(group, strip(text), 'max');
      group.memory[key] = pages;
      if (key === 'swapMax' || pages === null || (nonBlocking && group.machine.nonBlocking)) return;
      if (!reclaim(group, bytesOf(group, pages)) && key === 'max') killIn(group);
    },
  };
}

function protection(key: 'low' | 'min'): EmulatedFile {
  return {
    read: (group) => `${group.protectedPages[key] === null ? 'max' : bytesOf(group, group.protectedPages[key])}\n`,
    write(group, text) {
      group.protectedPages[key] = pagesIn(group, strip(text), 'max');
    },
  };
}

/** mem_cgroup_resize_max: memory may never have more than memory and swap together. */
function limitV1(key: 'max' | 'memswMax'): EmulatedFile {
  return {
    read: (group) => `${bytesOf(group, group.memory[key] ?? mostPages(group))}\n`,
    write(group, text) {
      const pages = pagesIn(group, strip(text), '-1');
      const [memory, both] = key === 'max' ? [pages, group.memory.memswMax] : [group.memory.max, pages];
      if (both !== null && (memory === null || memory > both)) throw kernelError('EINVAL');
      if (pages !== null && !reclaim(group, bytesOf(group, pages))) throw kernelError('EBUSY');
      group.memory[key] = pages;
    },
  };
}

const used: EmulatedFile = { read: (group) => `${group.usedBytes}\n` };
const peak: EmulatedFile = {
  read(group) {
    if (group.peakBytes < group.usedBytes) group.peakBytes = group.usedBytes;
    return `${group.peakBytes}\n`;
  },
};
const pinned = (group: EmulatedGroup): bigint => group.subtree.reduce((sum, one) => sum + one.pinnedBytes, 0n);

export const MEMORY_V1: FileTable = {
  'memory.limit_in_bytes': limitV1('max'),
  'memory.memsw.limit_in_bytes': limitV1('memswMax'),
  'memory.usage_in_bytes': used,
  'memory.memsw.usage_in_bytes': used,
  'memory.max_usage_in_bytes': peak,
  'memory.failcnt': { read: ({ events }) => `${events.max}\n` },
  'memory.oom_control': { read: ({ events }) => `oom_kill_disable 0\nunder_oom 0\noom_kill ${events.oomKill}\n` },
  'memory.stat': {
    read(group) {
      const cache = group.usedBytes - pinned(group);
      const own = `cache ${group.reclaimableBytes}\nrss ${group.pinnedBytes}\nswap 0\npgmajfault 0\n`;
      return `${own}total_cache ${cache}\ntotal_rss ${pinned(group)}\ntotal_swap 0\ntotal_pgmajfault 0\n`;
    },
  },
};

export const MEMORY_V2: FileTable = {
  'memory.max': limitV2('max'),
  'memory.high': limitV2('high'),
  'memory.low': protection('low'),
  'memory.min': protection('min'),
  'memory.swap.max': limitV2('swapMax'),
  'memory.swap.current': { read: () => '0\n' },
  'memory.current': used,
  'memory.peak': peak,
  'memory.events': {
    read: ({ events: { low, high, max, oom, oomKill } }) =>
      `low ${low}\nhigh ${high}\nmax ${max}\noom ${oom}\noom_kill ${oomKill}\noom_group_kill 0\n`,
  },
  'memory.stat': {
    read: (group) => `anon ${pinned(group)}\nfile ${group.usedBytes - pinned(group)}\npgmajfault 0\nswapcached 0\n`,
    onRoot: true,
  },
};

/** Files that a kernel may lack. */
export function lacksMemoryFile({ machine }: EmulatedGroup, name: string): boolean {
  if (name.includes('.swap.') || name.includes('.memsw.')) return !machine.swapAccounting;
  return name === 'memory.peak' && !machine.peak;
}
