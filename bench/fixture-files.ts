/**
 * What the kernel's files of a guest say on a host with cgroup v2, as long as the real ones are: memory.stat and its
 * kin, cpu.stat, pressure, schedstat. Figures are made up; lengths and keys are those of Linux 6.1.
 */

const MEMORY_STAT_KEYS =
  'anon file kernel kernel_stack pagetables sec_pagetables percpu sock vmalloc shmem zswap zswapped file_mapped file_dirty file_writeback swapcached anon_thp file_thp shmem_thp inactive_anon active_anon inactive_file active_file unevictable slab_reclaimable slab_unreclaimable slab workingset_refault_anon workingset_refault_file workingset_activate_anon workingset_activate_file workingset_restore_anon workingset_restore_file workingset_nodereclaim pgscan pgsteal pgscan_kswapd pgscan_direct pgsteal_kswapd pgsteal_direct pgfault pgmajfault pgrefill pgactivate pgdeactivate pglazyfree pglazyfreed zswpin zswpout thp_fault_alloc thp_collapse_alloc';

export function memoryFiles(seed: number): Readonly<Record<string, string>> {
  const stat = MEMORY_STAT_KEYS.split(' ').map((key, at) => `${key} ${(seed + 1) * 4096 * (at % 7)}`);
  return {
    'memory.current': String(1_073_741_824 + seed * 4096),
    'memory.peak': String(1_173_741_824 + seed * 4096),
    'memory.swap.current': '0',
    'memory.stat': stat.join('\n'),
    'memory.events': 'low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0',
  };
}

/** `usec`: what it has used so far. */
export function cpuStat(usec: number): string {
  const half = Math.floor(usec / 2);
  return [
    `usage_usec ${usec}`,
    `user_usec ${usec - half}`,
    `system_usec ${half}`,
    'core_sched.force_idle_usec 0',
    'nr_periods 0',
    'nr_throttled 0',
    'throttled_usec 0',
    'nr_bursts 0',
    'burst_usec 0',
  ].join('\n');
}

export function schedstat(ranNs: number): string {
  return `${ranNs} ${Math.floor(ranNs / 100)} ${Math.floor(ranNs / 1e6)}`;
}

export const PRESSURE = [
  'some avg10=0.00 avg60=0.00 avg300=0.00 total=12345678',
  'full avg10=0.00 avg60=0.00 avg300=0.00 total=2345678',
].join('\n');

export function processStat(pid: number, threads: number): string {
  const fields = Array.from({ length: 50 }, () => '0');
  Object.assign(fields, { 0: 'S', 1: '1', 11: '5213', 12: '877', 17: String(threads), 19: String(pid) });
  Object.assign(fields, { 20: '5368709120', 21: '274312', 22: '18446744073709551615' });
  Object.assign(fields, { 23: '94000000000000', 25: '140700000000000' });
  return `${pid} (qemu-system-x86) ${fields.join(' ')}`;
}
