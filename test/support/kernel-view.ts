/**
 * What the kernel says about a guest's CPU groups, found and read without virtslad. On cgroup v1 a limit is the pair
 * cfs_quota_us, cfs_period_us and the weight is cpu.shares; both versions are given in v2's words.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const CPU_FILES = [
  'cpu.max',
  'cpu.max.burst',
  'cpu.weight',
  'cpu.idle',
  'cpu.cfs_quota_us',
  'cpu.cfs_period_us',
  'cpu.cfs_burst_us',
  'cpu.shares',
];

export interface CpuGroups {
  readonly version: 1 | 2;
  /** Holds `vcpuN` and `emulator`. */
  readonly domainDir: string;
  /** Where the weight among siblings stands. */
  readonly weightDir: string;
}

export interface Limit {
  /** null: no quota. */
  readonly quotaUsec: number | null;
  readonly periodUsec: number;
}

/** Throws when the process has no CPU group of its own. */
export function cpuGroups(pid: number): CpuGroups {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n');
  const parts = lines.map((line) => /^(\d+):([^:]*):(.*)$/.exec(line)?.slice(1) ?? []);
  const v1 = parts.find(([, controllers]) => controllers?.split(',').includes('cpu'));
  const v2 = parts.find(([hierarchy]) => hierarchy === '0');
  const path = (v1 ?? v2)?.[2] ?? '';
  // The main thread is in `emulator`, one below the domain's group.
  const root = v1 === undefined ? '/sys/fs/cgroup' : mountOfV1Cpu();
  const domainDir = dirname(join(root, path));
  if (basename(path) !== 'emulator') throw new Error(`process ${pid} is in ${path}, not in an emulator group`);
  const nested = basename(domainDir) === 'libvirt';
  return { version: v1 === undefined ? 2 : 1, domainDir, weightDir: nested ? dirname(domainDir) : domainDir };
}

function mountOfV1Cpu(): string {
  for (const line of readFileSync('/proc/mounts', 'utf8').split('\n')) {
    const [, mountPoint = '', type, options = ''] = line.split(' ');
    if (type === 'cgroup' && options.split(',').includes('cpu')) return mountPoint;
  }
  throw new Error('no cgroup v1 hierarchy with the cpu controller is mounted');
}

/** The limit of one group, `vcpu0` or `emulator`. */
export function readLimit(groups: CpuGroups, group: string): Limit {
  const directory = join(groups.domainDir, group);
  const [quota = '', period = ''] =
    groups.version === 2
      ? readText(join(directory, 'cpu.max')).split(' ')
      : [readText(join(directory, 'cpu.cfs_quota_us')), readText(join(directory, 'cpu.cfs_period_us'))];
  return { quotaUsec: quota === 'max' || quota === '-1' ? null : Number(quota), periodUsec: Number(period) };
}

/** Cores that a group may use; null: as many as there are. */
export function limitCores(groups: CpuGroups, group: string): number | null {
  const { quotaUsec, periodUsec } = readLimit(groups, group);
  return quotaUsec === null ? null : quotaUsec / periodUsec;
}

/** The weight on v2's scale, 100 normal; v1's 1024 shares are 100. */
export function readWeight(groups: CpuGroups): number {
  return groups.version === 2
    ? Number(readText(join(groups.weightDir, 'cpu.weight')))
    : Number(readText(join(groups.weightDir, 'cpu.shares'))) / 10.24;
}

/** Overwrites a group's quota as a stranger would; the period stays. A negative quota is none. */
export function writeForeignQuota(groups: CpuGroups, group: string, quotaUsec: number): void {
  const { periodUsec } = readLimit(groups, group);
  const directory = join(groups.domainDir, group);
  if (groups.version === 1) writeText(join(directory, 'cpu.cfs_quota_us'), String(quotaUsec));
  else writeText(join(directory, 'cpu.max'), `${quotaUsec < 0 ? 'max' : quotaUsec} ${periodUsec}`);
}

/** Overwrites the weight as a stranger would. */
export function writeForeignWeight(groups: CpuGroups, weight: number): void {
  if (groups.version === 1) writeText(join(groups.weightDir, 'cpu.shares'), String(Math.round(weight * 10.24)));
  else writeText(join(groups.weightDir, 'cpu.weight'), String(weight));
}

/** One write(2) and nothing else: O_TRUNC would show up as a second IN_MODIFY. */
function writeText(path: string, text: string): void {
  const file = openSync(path, 'r+');
  try {
    writeSync(file, text);
  } finally {
    closeSync(file);
  }
}

/** The directories of a guest's CPU groups: its own and one for each thread group. */
export function groupDirectories(groups: CpuGroups): readonly string[] {
  const below = readdirSync(groups.domainDir, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const directories = [groups.domainDir, ...below.map((entry) => join(groups.domainDir, entry.name))];
  return groups.weightDir === groups.domainDir ? directories : [groups.weightDir, ...directories];
}

/** Every CPU setting of a guest, path → text: for comparisons byte for byte. */
export function readCpuFiles(groups: CpuGroups): Readonly<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const directory of groupDirectories(groups)) {
    for (const name of CPU_FILES) {
      const path = join(directory, name);
      if (existsSync(path)) files[path] = readFileSync(path, 'latin1');
    }
  }
  return files;
}

function readText(path: string): string {
  return readFileSync(path, 'latin1').trim();
}
