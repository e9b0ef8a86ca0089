/**
 * What libvirt does to an emulated kernel when a running guest is tuned through it, by layout: weights to the scope by
 * systemd where there is one (v2), all else into the files of the guest's own level.
 * Sources: libvirt's src/util/vircgroupv1.c, vircgroupv2.c, src/hypervisor/domain_cgroup.c, src/qemu/qemu_driver.c.
 */
import { basename, join } from 'node:path';
import type { Controller } from '../../src/domains/types.js';
import type {
  BlkioParameters,
  MemoryParameters,
  SchedulerParameters,
  TuneCall,
} from '../../src/host/libvirt/client.js';
import { formatCpuList } from '../../src/units.js';
import type { CgroupEmulator } from '../fakes/cgroup-emulator.js';
import type { GuestOnTree, HostTree } from '../fixtures/host-tree.js';
import type { EmulatedDisks, EmulatedTaps } from './emulated-devices.js';
import type { EmulatedSystemd } from './emulated-systemd.js';

const UNLIMITED_KIB = 9_007_199_254_740_991n;

export interface EmulatedParts {
  readonly kernel: CgroupEmulator;
  readonly tree: HostTree;
  readonly systemd: EmulatedSystemd;
  readonly disks: EmulatedDisks;
  readonly taps: EmulatedTaps;
}

/** @throws as the kernel refuses: libvirt reports that as its own error */
export function libvirtWrites(host: EmulatedParts, guest: GuestOnTree, calls: readonly TuneCall[]): void {
  const writer = new Writer(host, guest);
  for (const call of calls) {
    if (call.call === 'scheduler') writer.scheduler(call.parameters);
    if (call.call === 'memory') writer.memory(call.parameters);
    if (call.call === 'blkio') writer.blkio(call.parameters);
    if (call.call === 'pin') writer.pin(call.vcpu, call.cpus);
    if (call.call === 'bandwidth') host.taps.told(call);
  }
}

class Writer {
  readonly #host: EmulatedParts;
  readonly #guest: GuestOnTree;

  constructor(host: EmulatedParts, guest: GuestOnTree) {
    this.#host = host;
    this.#guest = guest;
  }

  scheduler({ cpu_shares, vcpu_period, vcpu_quota }: SchedulerParameters): void {
    if (cpu_shares !== undefined) {
      if (this.#version('cpu') === 1) this.#write('cpu', 'cpu.shares', String(cpu_shares));
      else this.#weight('cpu', 'CPUWeight', 'cpu.weight', cpu_shares);
    }
    for (const name of this.#vcpus('cpu')) {
      if (vcpu_period !== undefined) {
        if (this.#version('cpu') === 1) this.#write('cpu', `${name}/cpu.cfs_period_us`, String(vcpu_period));
        else {
          const [quota] = this.#read('cpu', `${name}/cpu.max`).split(' ');
          this.#write('cpu', `${name}/cpu.max`, `${quota} ${vcpu_period}`);
        }
      }
      if (vcpu_quota === undefined) continue;
      if (this.#version('cpu') === 1) this.#write('cpu', `${name}/cpu.cfs_quota_us`, String(vcpu_quota));
      else this.#write('cpu', `${name}/cpu.max`, vcpu_quota < 0n ? 'max' : String(vcpu_quota));
    }
  }

  memory({ hard_limit, soft_limit, swap_hard_limit }: MemoryParameters): void {
    const v1 = this.#version('memory') === 1;
    const text = (kib: bigint): string => (kib >= UNLIMITED_KIB ? (v1 ? '-1' : 'max') : String(kib * 1024n));
    const hard = (): void => {
      if (hard_limit === undefined) return;
      this.#write('memory', v1 ? 'memory.limit_in_bytes' : 'memory.max', text(hard_limit));
    };
    if (swap_hard_limit !== undefined) {
      this.#write('memory', v1 ? 'memory.memsw.limit_in_bytes' : 'memory.swap.max', text(swap_hard_limit));
    }
    hard();
    if (soft_limit !== undefined && !v1) this.#write('memory', 'memory.high', text(soft_limit));
  }

  blkio({ weight, ...devices }: BlkioParameters): void {
    const v1 = this.#version('io') === 1;
    if (weight !== undefined) {
      if (v1) this.#write('io', 'blkio.bfq.weight', String(weight));
      else this.#weight('io', 'IOWeight', 'io.weight', BigInt(weight));
    }
    const files = {
      device_read_bytes_sec: ['blkio.throttle.read_bps_device', 'rbps'],
      device_write_bytes_sec: ['blkio.throttle.write_bps_device', 'wbps'],
      device_read_iops_sec: ['blkio.throttle.read_iops_device', 'riops'],
      device_write_iops_sec: ['blkio.throttle.write_iops_device', 'wiops'],
      device_weight: ['', ''],
    } as const;
    for (const [name, list] of Object.entries(devices)) {
      const [file, key] = files[name as keyof typeof files];
      const [path = '', amount = '0'] = list.split(',');
      const device = this.#host.disks.deviceAt(path);
      if (device === null || file === '') continue;
      if (v1) this.#write('io', file, `${device} ${amount}`);
      else this.#write('io', 'io.max', `${device} ${key}=${amount === '0' ? 'max' : amount}`);
    }
  }

  pin(vcpu: number, cpus: readonly number[]): void {
    this.#write('cpuset', `vcpu${vcpu}/cpuset.cpus`, formatCpuList(cpus));
  }

  /** By D-Bus where there is a scope. */
  #weight(controller: Controller, name: 'CPUWeight' | 'IOWeight', file: string, value: bigint): void {
    const directory = this.#host.tree.weightDir(this.#guest, controller);
    if (directory.endsWith('.scope')) this.#host.systemd.hold(basename(directory), [{ name, value }]);
    else this.#host.kernel.poke(join(directory, file), String(value));
  }

  #vcpus(controller: Controller): string[] {
    const { children } = this.#host.kernel.group(this.#directory(controller));
    return [...children.keys()].filter((name) => name.startsWith('vcpu'));
  }

  #directory(controller: Controller): string {
    return this.#host.tree.domainDir(this.#guest, controller);
  }

  #version(controller: Controller): 1 | 2 {
    return this.#host.kernel.group(this.#directory(controller)).mount.version;
  }

  #read(controller: Controller, file: string): string {
    return this.#host.kernel.peek(join(this.#directory(controller), file));
  }

  #write(controller: Controller, file: string, text: string): void {
    this.#host.kernel.poke(join(this.#directory(controller), file), text);
  }
}
