/**
 * What is written to cgroup files, one step after another, to compare an emulated kernel with a real one: each step's
 * errno and what the file reads afterwards must be the same. Data, so that it can be run wherever there is a kernel.
 *
 * Groups and files are named from the test's own group. In texts, `$disk` is a whole disk, `$spare` one that nobody uses,
 * `$nothing` no device, `$last` and `$beyond` the last CPU and one that is not there.
 */
import type { Controller } from '../../src/domains/types.js';
import { CONTRACT_V2 } from './cgroup-contract-v2.js';

export type Step =
  | { readonly make: string }
  | { readonly remove: string }
  /** A process comes to live in the group, and dies with the case. */
  | { readonly enter: string }
  /** … that holds this much memory, none of it page cache. */
  | { readonly fill: string; readonly bytes: number }
  | { readonly read: string }
  /** Its text with every number as `#`. */
  | { readonly shape: string }
  /** Which of these words begin a line that has one number after them. */
  | { readonly keys: string; readonly of: readonly string[] }
  /** … and those numbers. */
  | { readonly values: string; readonly of: readonly string[] }
  /** Which of these files a group has. */
  | { readonly files: string; readonly of: readonly string[] }
  | { readonly write: string; readonly text: string };

export interface ContractCase {
  readonly version: 1 | 2;
  readonly controller: Controller;
  readonly name: string;
  /** The case is left out on a kernel whose groups lack this file. */
  readonly needs?: string;
  readonly steps: readonly Step[];
}

const make = (group: string): Step => ({ make: group });
const write = (file: string, ...texts: string[]): Step[] => texts.map((text) => ({ write: file, text }));

const UNSIGNED = ['', '\n', 'abc', '-1', '+7', ' 7', '7 ', '7\n', '7\n\n', '0x20', '010', '08', '1e3', '7 8', '1.5'];
const OVERFLOW = ['9999999999', '18446744073709551615', '18446744073709551616', '99999999999999999999999'];
const MEMORY = [
  '0',
  '1',
  '4095',
  '4096',
  '4097',
  '1048577',
  '1M',
  '1m',
  '1K',
  '2G',
  '1T',
  '1e',
  '1KK',
  'M',
  'max',
  '-1',
  '-2',
  '+4096',
  'abc',
  '',
  ' 8192 ',
  '8192x',
  '1M junk',
  '0x3000',
  '0x',
  '010000',
  '9223372036854771711',
  '9223372036854771712',
  '18446744073709551615',
  '18446744073709551616',
  '\n',
];
const CPU_LISTS = [
  '0',
  '0-$last',
  '0,$last',
  '$last,0',
  '$beyond',
  '0-$beyond',
  '',
  '\n',
  'abc',
  '1-0',
  '0 $last',
  ' 0 ',
  '0x1',
  '-1',
  '0-$last:1/2',
  'all',
  'N',
  '0-N',
  'none',
  '99999999999',
  '0,,$last',
  ',',
  '0-',
  '0-$last:2/1',
];
const DEVICES = ['$nothing 100', 'abc', '', '\n', '$disk', '$disk ', '0x8:0 1', '8 1', '8: 1', ':0 1', '99999:0 5'];

const CPU_V1: ContractCase[] = [
  {
    version: 1,
    controller: 'cpu',
    name: 'shares are clamped',
    steps: [
      make('g'),
      { read: 'g/cpu.shares' },
      ...write('g/cpu.shares', '0', '1', '2', '3', '1024', '262144', '262145', ...UNSIGNED, ...OVERFLOW),
    ],
  },
  {
    version: 1,
    controller: 'cpu',
    name: 'quota and period',
    steps: [
      make('g'),
      { read: 'g/cpu.cfs_quota_us' },
      { read: 'g/cpu.cfs_period_us' },
      ...write(
        'g/cpu.cfs_quota_us',
        '0',
        '500',
        '999',
        '1000',
        '1001',
        '-1',
        '-5',
        '1000000',
        ...UNSIGNED,
        ...OVERFLOW,
      ),
      ...write(
        'g/cpu.cfs_quota_us',
        '17592186044415',
        '17592186044416',
        '9223372036854775807',
        '-9223372036854775808',
        '-9223372036854775809',
      ),
      ...write('g/cpu.cfs_period_us', '999', '1000', '1000000', '1000001', '0', ...UNSIGNED, ...OVERFLOW),
    ],
  },
  {
    version: 1,
    controller: 'cpu',
    name: 'burst and quota, in either order',
    needs: 'cpu.cfs_burst_us',
    steps: [
      make('g'),
      ...write('g/cpu.cfs_burst_us', '0', '1000', '9999999999999', ...UNSIGNED, '0'),
      ...write('g/cpu.cfs_quota_us', '20000'),
      ...write('g/cpu.cfs_burst_us', '20001', '20000', '19999'),
      ...write('g/cpu.cfs_quota_us', '10000', '19998', '19999', '-1', '10000'),
      ...write('g/cpu.cfs_burst_us', '0'),
      ...write('g/cpu.cfs_quota_us', '17592186044415'),
      ...write('g/cpu.cfs_burst_us', '1'),
    ],
  },
  {
    version: 1,
    controller: 'cpu',
    name: 'no group may have more than the one above it',
    steps: [
      make('g'),
      make('g/vcpu0'),
      make('g/vcpu0/below'),
      ...write('g/cpu.cfs_quota_us', '50000'),
      ...write('g/vcpu0/cpu.cfs_quota_us', '50001', '50000', '-1', '40000'),
      ...write('g/cpu.cfs_quota_us', '39999', '40000', '-1'),
      ...write('g/vcpu0/cpu.cfs_period_us', '50000'),
      ...write('g/cpu.cfs_quota_us', '79999', '80000'),
      ...write('g/vcpu0/below/cpu.cfs_quota_us', '90000', '80000'),
      ...write('g/vcpu0/cpu.cfs_quota_us', '-1'),
      ...write('g/cpu.cfs_period_us', '200000'),
      ...write('g/vcpu0/below/cpu.cfs_quota_us', '-1'),
      ...write('g/cpu.cfs_period_us', '200000'),
    ],
  },
];

const MEMORY_V1: ContractCase[] = [
  {
    version: 1,
    controller: 'memory',
    name: 'the limit is whole pages',
    steps: [make('g'), { read: 'g/memory.limit_in_bytes' }, ...write('g/memory.limit_in_bytes', ...MEMORY)],
  },
  {
    version: 1,
    controller: 'memory',
    name: 'memory is never more than memory and swap together',
    needs: 'memory.memsw.limit_in_bytes',
    steps: [
      make('g'),
      ...write('g/memory.memsw.limit_in_bytes', '1M'),
      ...write('g/memory.limit_in_bytes', '1M'),
      ...write('g/memory.memsw.limit_in_bytes', '512K', '1M'),
      ...write('g/memory.limit_in_bytes', '2M', '-1', '512K'),
      ...write('g/memory.memsw.limit_in_bytes', '-1'),
      ...write('g/memory.limit_in_bytes', '-1'),
    ],
  },
  {
    version: 1,
    controller: 'memory',
    name: 'a limit below what is used and cannot be reclaimed',
    steps: [
      make('g'),
      { fill: 'g', bytes: 64 * 2 ** 20 },
      ...write('g/memory.limit_in_bytes', '16M', '1G', '4096', '-1'),
      ...write('g/memory.usage_in_bytes', '1'),
    ],
  },
  {
    version: 1,
    controller: 'memory',
    name: 'what is only read',
    steps: [
      make('g'),
      ...write('g/memory.usage_in_bytes', '0'),
      { read: 'g/memory.oom_control' },
      { read: 'g/memory.failcnt' },
    ],
  },
];

const THROTTLES = ['read_bps', 'write_bps', 'read_iops', 'write_iops'].map((what) => `blkio.throttle.${what}_device`);

const IO_V1: ContractCase[] = THROTTLES.map((file) => ({
  version: 1,
  controller: 'io',
  name: file,
  steps: [
    make('g'),
    { read: `g/${file}` },
    ...write(
      `g/${file}`,
      '$disk 1000',
      '$disk 0',
      '$disk 1',
      '$disk 5000000000',
      '$disk 4294967295',
      '$disk 4294967296',
      '$disk 0',
    ),
    ...write(
      `g/${file}`,
      '$disk 18446744073709551615',
      '$disk 18446744073709551616',
      '$disk max',
      '$disk -1',
      '$disk abc',
      '$disk 10x',
    ),
    ...write(
      `g/${file}`,
      '$disk 10 20',
      ' $disk 77',
      '$disk  78',
      '$disk\t79\n',
      '$disk 5\n$disk 6',
      '$disk 0',
      ...DEVICES,
    ),
  ],
}));

const CPUSET: ContractCase[] = ([1, 2] as const).flatMap((version): ContractCase[] => [
  {
    version,
    controller: 'cpuset',
    name: 'lists of CPUs',
    steps: [make('g'), { read: 'g/cpuset.cpus' }, ...write('g/cpuset.cpus', ...CPU_LISTS)],
  },
  {
    version,
    controller: 'cpuset',
    name: 'a group and one below it',
    steps: [
      make('g'),
      ...write('g/cpuset.cpus', '0'),
      make('g/vcpu0'),
      ...(version === 2 ? write('g/cgroup.subtree_control', '+cpuset') : []),
      ...write('g/vcpu0/cpuset.cpus', '0', '$last', '0-$last', '\n', '0'),
      ...write('g/cpuset.cpus', '0-$last', '$last', '\n', '0'),
      { read: version === 1 ? 'g/vcpu0/cpuset.effective_cpus' : 'g/vcpu0/cpuset.cpus.effective' },
    ],
  },
  {
    version,
    controller: 'cpuset',
    name: 'none, with a process in the group',
    steps: [make('g'), ...write('g/cpuset.cpus', '0'), { enter: 'g' }, ...write('g/cpuset.cpus', '\n', '0-$last', '0')],
  },
]);

const CPU_V2: ContractCase[] = [
  {
    version: 2,
    controller: 'cpu',
    name: 'cpu.max',
    steps: [
      make('g'),
      { read: 'g/cpu.max' },
      ...write(
        'g/cpu.max',
        'max',
        '20000 100000',
        '10000',
        'max 50000',
        '5000 999',
        '5000 1000',
        '5000 1000001',
        '5000 1000000',
      ),
      ...write(
        'g/cpu.max',
        '999 100000',
        '0 100000',
        '-1 100000',
        '-1',
        'abc',
        '',
        '\n',
        ' 7000  80000 ',
        '5000abc 100000',
        '5000 100000abc',
      ),
      ...write(
        'g/cpu.max',
        '5000 abc',
        '5000 -1',
        '99999999999999999999 100000',
        '18446744073709551615 100000',
        '17592186044415 100000',
      ),
      ...write(
        'g/cpu.max',
        '17592186044416 100000',
        'max 0',
        'maxx 100000',
        'max max',
        '8000\n',
        '0x2000 100000',
        '6000 100000 7',
        '+5000',
      ),
    ],
  },
  {
    version: 2,
    controller: 'cpu',
    name: 'burst and quota, in either order',
    needs: 'cpu.max.burst',
    steps: [
      make('g'),
      ...write('g/cpu.max', '20000 100000'),
      ...write('g/cpu.max.burst', '20001', '20000', '19999', 'max', ...UNSIGNED, ...OVERFLOW, '19000'),
      ...write('g/cpu.max', '10000 100000'),
      { read: 'g/cpu.max.burst' },
      ...write('g/cpu.max', '30000 100000'),
      { read: 'g/cpu.max.burst' },
      ...write('g/cpu.max', 'max'),
      { read: 'g/cpu.max.burst' },
      ...write('g/cpu.max.burst', '999999'),
      ...write('g/cpu.max', '10000 100000'),
    ],
  },
  {
    version: 2,
    controller: 'cpu',
    name: 'a group may have more than the one above it',
    steps: [
      make('g'),
      ...write('g/cgroup.subtree_control', '+cpu'),
      make('g/vcpu0'),
      ...write('g/cpu.max', '20000 100000'),
      ...write('g/vcpu0/cpu.max', '50000 100000', 'max 100000'),
      ...write('g/cpu.max', '10000 100000'),
    ],
  },
  {
    version: 2,
    controller: 'cpu',
    name: 'cpu.weight',
    steps: [
      make('g'),
      { read: 'g/cpu.weight' },
      ...write(
        'g/cpu.weight',
        '0',
        '1',
        '2',
        '3',
        '33',
        '99',
        '101',
        '4999',
        '10000',
        '10001',
        '100',
        ...UNSIGNED,
        ...OVERFLOW,
      ),
    ],
  },
  {
    version: 2,
    controller: 'cpu',
    name: 'threaded groups',
    steps: [
      make('g'),
      make('g/vcpu0'),
      ...write('g/vcpu0/cgroup.type', 'domain', 'threaded'),
      { read: 'g/cgroup.type' },
      { read: 'g/vcpu0/cgroup.procs' },
      { read: 'g/vcpu0/cgroup.threads' },
      ...write('g/cgroup.subtree_control', '+cpu', '+memory', '+nothing'),
      { read: 'g/vcpu0/cpu.max' },
      { read: 'g/vcpu0/memory.max' },
      ...write('g/vcpu0/cpu.max', '5000 100000'),
      { read: 'g/vcpu0/cgroup.controllers' },
    ],
  },
];

const MEMORY_V2: ContractCase[] = [
  ...['memory.max', 'memory.high', 'memory.low', 'memory.min', 'memory.swap.max'].map(
    (file): ContractCase => ({
      version: 2,
      controller: 'memory',
      name: file,
      needs: file,
      steps: [make('g'), { read: `g/${file}` }, ...write(`g/${file}`, ...MEMORY)],
    }),
  ),
  {
    version: 2,
    controller: 'memory',
    name: 'a limit below what is used and cannot be reclaimed is taken, and a protection',
    steps: [
      make('g'),
      { fill: 'g', bytes: 64 * 2 ** 20 },
      ...write('g/memory.high', '32M', 'max'),
      ...write('g/memory.low', '1G'),
      ...write('g/memory.min', '16M'),
    ],
  },
  {
    version: 2,
    controller: 'memory',
    name: 'what is only read',
    steps: [
      make('g'),
      ...write('g/memory.current', '0'),
      ...write('g/memory.events', '0'),
      { read: 'g/memory.current' },
    ],
  },
];

const IO_V2: ContractCase[] = [
  {
    version: 2,
    controller: 'io',
    name: 'io.max',
    needs: 'io.max',
    steps: [
      make('g'),
      { read: 'g/io.max' },
      ...write(
        'g/io.max',
        '$disk riops=100',
        '$disk rbps=1000 wbps=max',
        '$disk riops=max rbps=max',
        '$disk riops=1',
        '$disk rbps=1',
      ),
      ...write(
        'g/io.max',
        '$disk wbps=2',
        '$disk riops=0',
        '$disk riops=abc',
        '$disk riops=',
        '$disk =5',
        '$disk foo=3',
        '$disk riops',
      ),
      ...write(
        'g/io.max',
        '$disk riops=4294967295',
        '$disk wiops=5000000000',
        '$disk wiops=4294967294',
        '$disk rbps=18446744073709551615',
      ),
      ...write(
        'g/io.max',
        '$disk rbps=18446744073709551616',
        '$disk rbps=99999999999999999999999999',
        '$disk riops=100 riops=200',
      ),
      ...write(
        'g/io.max',
        '$disk  riops=300   wiops=5',
        ' $disk riops=9',
        '$disk riops=10x',
        '$disk riops=77 foo=1',
        '$disk riops=5=6',
      ),
      ...write('g/io.max', '$disk rbps=max wbps=max riops=max wiops=max', ...DEVICES),
    ],
  },
  {
    version: 2,
    controller: 'io',
    name: 'io.weight',
    needs: 'io.weight',
    steps: [
      make('g'),
      { read: 'g/io.weight' },
      ...write(
        'g/io.weight',
        '100',
        'default 200',
        '0',
        '1',
        '10000',
        '10001',
        'abc',
        '',
        '\n',
        '-1',
        'default',
        ' 150',
        '160x',
      ),
      ...write('g/io.weight', 'default 170x', 'default  180', '$disk 300', '$nothing 5'),
    ],
  },
];

export const CONTRACT: readonly ContractCase[] = [
  ...CPU_V1,
  ...MEMORY_V1,
  ...IO_V1,
  ...CPU_V2,
  ...MEMORY_V2,
  ...IO_V2,
  ...CPUSET,
  ...CONTRACT_V2,
];
