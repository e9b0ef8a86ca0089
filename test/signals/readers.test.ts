/** The readers of memory groups and pressure files, over directories that look like the kernel's. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { Group } from '../../src/host/cgroup/group.js';
import { readMemory } from '../../src/host/cgroup/memory-sampler.js';
import { readGroupPressure, readHostPressure } from '../../src/host/proc/pressure.js';
import type { MemoryReading } from '../../src/signals/memory.js';

type Files = Readonly<Record<string, string>>;

/** What `read` gives over a directory with these files. */
function over<T>(files: Files, read: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'virtslad-readers-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, name)), { recursive: true });
      writeFileSync(join(directory, name), text);
    }
    return read(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function inGroup<T>(files: Files, read: (group: Group) => T): T {
  return over(files, (directory) => {
    const group = Group.open(directory) ?? assert.fail('no group');
    try {
      return read(group);
    } finally {
      group.close();
    }
  });
}

function memory(version: 1 | 2, files: Files): MemoryReading | null {
  return inGroup(files, (group) => readMemory(group, version, 4096, 1000));
}

/** Kernel 6.1, shortened. */
const V2: Files = {
  'memory.current': '173314048\n',
  'memory.peak': '180314112\n',
  'memory.swap.current': '8192\n',
  'memory.events': 'low 0\nhigh 12\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n',
  'memory.stat':
    'anon 24674304\nfile 106774528\nkernel 8204288\nshmem 524288\nfile_mapped 43044864\ninactive_anon 24879104\n' +
    'workingset_refault_anon 2\nworkingset_refault_file 5\npgscan 300\npgsteal 200\npgscan_kswapd 100\n' +
    'pgsteal_kswapd 80\npgsteal_direct 120\npgfault 81380\npgmajfault 625\nthp_collapse_alloc 7\n',
};

/** Kernel 6.18 with cgroup v1, shortened. */
const V1: Files = {
  'memory.usage_in_bytes': '11354112\n',
  'memory.max_usage_in_bytes': '20971520\n',
  'memory.failcnt': '9\n',
  'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
  'memory.stat':
    'cache 1\nrss 2\nshmem 3\nswap 4\npgmajfault 5\nworkingset_refault_anon 6\nworkingset_refault_file 7\n' +
    'total_cache 9543680\ntotal_rss 1380761\ntotal_shmem 8192\ntotal_swap 4096\ntotal_pgmajfault 1531\n' +
    'total_workingset_refault_anon 1\ntotal_workingset_refault_file 476\n',
};

test('cgroup v2: pages become bytes, page cache is told apart from shared memory', () => {
  assert.deepEqual(memory(2, V2), {
    atMonotonicMs: 1000,
    levels: {
      usedBytes: 173_314_048,
      peakBytes: 180_314_112,
      anonBytes: 24_674_304,
      fileBytes: 106_250_240,
      sharedBytes: 524_288,
      swapBytes: 8192,
    },
    counts: {
      reclaimedBytes: 200 * 4096,
      refaultedBytes: 7 * 4096,
      majorFaults: 625,
      highEvents: 12,
      limitEvents: 3,
      oomKills: 1,
    },
  });
});

test('cgroup v1: the figures with the groups below, none for what it does not count', () => {
  assert.deepEqual(memory(1, V1), {
    atMonotonicMs: 1000,
    levels: {
      usedBytes: 11_354_112,
      peakBytes: 20_971_520,
      anonBytes: 1_380_761,
      fileBytes: 9_543_680 - 8192,
      sharedBytes: 8192,
      swapBytes: 4096,
    },
    counts: {
      reclaimedBytes: null,
      refaultedBytes: 477 * 4096,
      majorFaults: 1531,
      highEvents: null,
      limitEvents: 9,
      oomKills: 2,
    },
  });
});

test('older kernels: no peak, no swap accounting, reclaim in two parts, one figure for refaults', () => {
  const old = {
    'memory.current': '100\n',
    'memory.stat': 'anon 5\nfile 6\nworkingset_refault 3\npgsteal_kswapd 1\npgsteal_direct 2\n',
    'memory.events': 'low 0\nhigh 0\nmax 0\noom 0\n',
  };
  const reading = memory(2, old) ?? assert.fail('no reading');
  const { peakBytes, swapBytes, fileBytes, sharedBytes } = reading.levels;
  assert.deepEqual([peakBytes, swapBytes, fileBytes, sharedBytes], [null, null, 6, null]);
  const { reclaimedBytes, refaultedBytes, majorFaults, oomKills } = reading.counts;
  assert.deepEqual([reclaimedBytes, refaultedBytes, majorFaults, oomKills], [3 * 4096, 3 * 4096, null, null]);
});

test('a group that is gone has no reading; one without memory.stat has what is there', () => {
  assert.equal(memory(2, {}), null);
  assert.equal(memory(2, V1), null);
  assert.equal(memory(2, { 'memory.current': 'rubbish\n' }), null);
  const { levels, counts } = memory(2, { 'memory.current': '7\n' }) ?? assert.fail('no reading');
  assert.equal(levels.usedBytes, 7);
  assert.deepEqual(new Set([...Object.values(levels).slice(1), ...Object.values(counts)]), new Set([null]));
});

const STALLED =
  'some avg10=0.00 avg60=0.01 avg300=0.55 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.30 total=500000\n';
const BOTH = { someSeconds: 1.5, fullSeconds: 0.5 };

test('pressure of a group: what is missing is left out, and nothing at all is null', () => {
  const read = (files: Files) => inGroup(files, (group) => readGroupPressure(group, 5));
  const all = { 'cpu.pressure': STALLED, 'memory.pressure': STALLED, 'io.pressure': STALLED };
  assert.deepEqual(read(all), { atMonotonicMs: 5, resources: { cpu: BOTH, memory: BOTH, io: BOTH } });
  assert.deepEqual(read({ 'io.pressure': STALLED, 'cpu.pressure': '' }), { atMonotonicMs: 5, resources: { io: BOTH } });
  assert.equal(read({}), null);
});

test('pressure of the host; null without PSI', () => {
  const files = { 'pressure/cpu': STALLED, 'pressure/memory': STALLED };
  const found = over(files, (proc) => readHostPressure(proc, 5));
  assert.deepEqual(found, { atMonotonicMs: 5, resources: { cpu: BOTH, memory: BOTH } });
  assert.equal(
    over({}, (proc) => readHostPressure(proc, 5)),
    null,
  );
});
