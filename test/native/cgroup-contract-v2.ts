/**
 * The contract of cgroup v2's files beyond limits and weights: which files a group has at which place, what is only read,
 * the switches of controllers, a limit under what is in use, BFQ's weights and the io cost controller.
 */
import type { ContractCase, Step } from './cgroup-contract.js';

const make = (group: string): Step => ({ make: group });
const write = (file: string, ...texts: string[]): Step[] => texts.map((text) => ({ write: file, text }));

/** Every file of v2 that the emulated kernel knows. */
const FILES = [
  ...['cgroup.procs', 'cgroup.threads', 'cgroup.controllers', 'cgroup.subtree_control', 'cgroup.type'],
  ...['cpu.weight', 'cpu.max', 'cpu.max.burst', 'cpu.stat', 'cpu.pressure', 'memory.pressure', 'io.pressure'],
  ...['memory.max', 'memory.high', 'memory.low', 'memory.min', 'memory.swap.max', 'memory.swap.current'],
  ...['memory.current', 'memory.peak', 'memory.events', 'memory.stat', 'cpuset.cpus', 'cpuset.cpus.effective'],
  ...['io.max', 'io.weight', 'io.bfq.weight', 'io.cost.qos', 'io.stat'],
];

const CORE: ContractCase[] = [
  {
    version: 2,
    controller: 'cpu',
    name: 'which files there are: in a group, in a threaded one, in one that gets nothing, at the mount point',
    steps: [
      make('g'),
      make('g/vcpu0'),
      { files: 'g', of: FILES },
      { files: 'g/vcpu0', of: FILES },
      ...write('g/vcpu0/cgroup.type', 'threaded'),
      ...write('g/cgroup.subtree_control', '+cpu'),
      { files: 'g/vcpu0', of: FILES },
      { files: '..', of: FILES },
    ],
  },
  {
    version: 2,
    controller: 'cpu',
    name: 'controllers are passed on by name, in the kernel’s order',
    steps: [
      make('g'),
      { read: 'g/cgroup.controllers' },
      { read: 'g/cgroup.subtree_control' },
      ...write('g/cgroup.subtree_control', '+memory', '+cpu', '+memory +cpu', '-memory', '+memory -cpu', '-cpu +cpu'),
      ...write('g/cgroup.subtree_control', 'cpu', '+', '-nothing', '', '\n', ' +cpu ', '+cpu,+memory', '-cpu -memory'),
      make('g/below'),
      ...write('g/below/cgroup.subtree_control', '+cpu'),
      ...write('g/cgroup.subtree_control', '+cpu'),
      ...write('g/below/cgroup.subtree_control', '+cpu'),
      ...write('g/cgroup.subtree_control', '-cpu'),
    ],
  },
  {
    version: 2,
    controller: 'cpu',
    name: 'a group with a process in it',
    steps: [
      make('g'),
      { enter: 'g' },
      { shape: 'g/cgroup.procs' },
      { shape: 'g/cgroup.threads' },
      ...write('g/cgroup.subtree_control', '+memory'),
      { read: 'g/cgroup.type' },
    ],
  },
  {
    version: 2,
    controller: 'cpu',
    name: 'what is counted of CPU time and of waiting',
    needs: 'cpu.pressure',
    steps: [
      make('g'),
      { keys: 'g/cpu.stat', of: ['usage_usec', 'user_usec', 'system_usec', 'nr_periods', 'nr_throttled'] },
      { keys: 'g/cpu.stat', of: ['throttled_usec', 'nr_bursts', 'burst_usec'] },
      { keys: '../cpu.stat', of: ['usage_usec', 'user_usec', 'system_usec', 'nr_periods', 'burst_usec'] },
      ...write('g/cpu.stat', '0'),
      { shape: 'g/cpu.pressure' },
      { shape: 'g/memory.pressure' },
      { shape: 'g/io.pressure' },
    ],
  },
];

const MEMORY: ContractCase[] = [
  {
    version: 2,
    controller: 'memory',
    name: 'a ceiling below what is used and cannot be reclaimed kills, and stands',
    steps: [
      make('g'),
      { fill: 'g', bytes: 64 * 2 ** 20 },
      ...write('g/memory.max', '1G'),
      { values: 'g/memory.events', of: ['low', 'max', 'oom_kill', 'oom_group_kill'] },
      ...write('g/memory.max', '16M'),
      { values: 'g/memory.events', of: ['low', 'oom_kill', 'oom_group_kill'] },
    ],
  },
  {
    version: 2,
    controller: 'memory',
    name: 'what is counted of memory',
    steps: [
      make('g'),
      { read: 'g/memory.events' },
      { read: 'g/memory.current' },
      { read: 'g/memory.swap.current' },
      { read: 'g/memory.peak' },
      { keys: 'g/memory.stat', of: ['anon', 'file', 'pgmajfault', 'swapcached'] },
      { keys: '../memory.stat', of: ['anon', 'file'] },
      ...write('g/memory.stat', '0'),
      ...write('g/memory.swap.current', '0'),
    ],
  },
];

const IO: ContractCase[] = [
  {
    version: 2,
    controller: 'io',
    name: 'io.max keeps a line for each disk, and each word for itself',
    steps: [
      make('g'),
      ...write('g/io.max', '$disk riops=100', '$spare wbps=4096', '$disk wiops=7', '$spare rbps=5 wiops=6'),
      ...write('g/io.max', '$disk riops=max', '$spare rbps=max wbps=max riops=max wiops=max', '$disk wiops=max'),
      make('g/below'),
      ...write('g/cgroup.subtree_control', '+io'),
      ...write('g/io.max', '$disk riops=10'),
      ...write('g/below/io.max', '$disk riops=20', '$disk riops=5', '$disk riops=max'),
      { read: 'g/io.max' },
      { read: 'g/io.stat' },
    ],
  },
  {
    version: 2,
    controller: 'io',
    name: 'io.bfq.weight, which stands beside io.weight',
    needs: 'io.bfq.weight',
    steps: [
      make('g'),
      { read: 'g/io.bfq.weight' },
      ...write(
        'g/io.bfq.weight',
        '200',
        '0',
        '1',
        '1000',
        '1001',
        'default 300',
        'default 1001',
        'default',
        'default  301',
      ),
      ...write(
        'g/io.bfq.weight',
        'abc',
        '',
        '\n',
        '-1',
        '+7',
        ' 150 ',
        '160x',
        'default 170x',
        '0x20',
        '010',
        '$nothing 5',
      ),
      { read: 'g/io.weight' },
      ...write('g/io.weight', '400'),
      { read: 'g/io.bfq.weight' },
    ],
  },
  {
    version: 2,
    controller: 'io',
    name: 'the io cost controller is switched for each disk',
    steps: [
      ...write('../io.cost.qos', '$spare enable=0 ctrl=auto', '$spare enable=1', '$spare enable=0', '$spare ctrl=user'),
      ...write('../io.cost.qos', '$spare ctrl=auto', '$spare rpct=95', '$spare enable=1', '$spare wlat=1234 wpct=5.5'),
      ...write('../io.cost.qos', '$spare min=50 max=150', '$spare min=200', '$spare max=0.5', '$spare rpct=101'),
      ...write('../io.cost.qos', '$spare rpct=-1', '$spare foo=1', '$spare enable=2', '$spare enable=', '$spare'),
      ...write('../io.cost.qos', '$spare ctrl=other', '$spare enable=0 ctrl=auto', '$nothing enable=1', 'abc', '\n'),
      make('g'),
      ...write('g/io.weight', '$spare 300', '$spare 0', '$spare 10001', '$spare abc', '$spare 250', '$spare default'),
      ...write('../io.cost.qos', '$spare enable=0'),
    ],
  },
];

const CPUSET: ContractCase[] = [
  {
    version: 2,
    controller: 'cpuset',
    name: 'what is effective is what the groups above leave',
    steps: [
      make('g'),
      { read: 'g/cpuset.cpus.effective' },
      ...write('g/cgroup.subtree_control', '+cpuset'),
      make('g/vcpu0'),
      ...write('g/vcpu0/cgroup.type', 'threaded'),
      { read: 'g/vcpu0/cpuset.cpus.effective' },
      ...write('g/cpuset.cpus', '0'),
      { read: 'g/cpuset.cpus.effective' },
      { read: 'g/vcpu0/cpuset.cpus.effective' },
      ...write('g/vcpu0/cpuset.cpus', '$last'),
      { read: 'g/vcpu0/cpuset.cpus.effective' },
      ...write('g/cpuset.cpus', '\n'),
      { read: 'g/vcpu0/cpuset.cpus.effective' },
      ...write('g/vcpu0/cpuset.cpus.effective', '0'),
      { read: '../cpuset.cpus.effective' },
    ],
  },
];

export const CONTRACT_V2: readonly ContractCase[] = [...CORE, ...MEMORY, ...IO, ...CPUSET];
