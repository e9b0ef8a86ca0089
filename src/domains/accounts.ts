/**
 * What each running guest uses and waits for, as long as its instance lives: CPU, memory, interfaces and pressure are
 * read in every cycle from the kernel; disks when their turn of asking QEMU has come.
 */
import { readMemory } from '../host/cgroup/memory-sampler.js';
import type { InterfaceCounters } from '../host/net/counters.js';
import { readGroupPressure, readHostPressure } from '../host/proc/pressure.js';
import { inSlices } from '../host/slices.js';
import type { CpuTerms } from '../signals/cpu.js';
import { accountDisks, type DisksAccount } from '../signals/disk.js';
import { accountMemory, type MemoryAccount } from '../signals/memory.js';
import { accountInterfaces, type InterfacesAccount, type ReadInterface } from '../signals/network.js';
import { accountPressure, type PressureAccount } from '../signals/pressure.js';
import type { CpuSlice } from '../slo/types.js';
import type { DiskSignals, InterfaceSignals, MemorySignals, PressureSignals } from '../snapshot/signals.js';
import type { CpuCounters } from '../snapshot/types.js';
import { CpuAccounts } from './cpu-accounts.js';
import type { DiskReadings } from './disk-readings.js';
import type { DomainHandles } from './handles.js';
import type { Inventory } from './inventory.js';
import type { Domain } from './types.js';

export interface GuestSignals {
  readonly cpu: CpuCounters | null;
  readonly memory: MemorySignals | null;
  readonly disks: readonly DiskSignals[];
  readonly interfaces: readonly InterfaceSignals[];
  readonly pressure: PressureSignals | null;
}

export const NO_SIGNALS: GuestSignals = { cpu: null, memory: null, disks: [], interfaces: [], pressure: null };

export interface AccountsOptions {
  readonly procRoot: string;
  readonly pageBytes: number;
  readonly disks: DiskReadings;
  readonly interfaces: InterfaceCounters;
  readonly clock: { nowMs(): number; monotonicMs(): number };
  /** What the guest's class promises and allows it of CPU. */
  cpuTerms(domain: Domain): CpuTerms;
}

interface Account {
  memory: MemoryAccount | null;
  disks: DisksAccount | null;
  interfaces: InterfacesAccount | null;
  pressure: PressureAccount | null;
}

export class Accounts {
  readonly #options: AccountsOptions;
  readonly #cpu: CpuAccounts;
  readonly #accounts = new Map<string, Account>();
  #host: PressureAccount | null = null;

  constructor(options: AccountsOptions) {
    this.#options = options;
    this.#cpu = new CpuAccounts(options.procRoot);
  }

  of(uuid: string): GuestSignals {
    const account = this.#accounts.get(uuid);
    return {
      cpu: this.#cpu.of(uuid),
      memory: account?.memory?.signals ?? null,
      disks: account?.disks?.signals ?? [],
      interfaces: account?.interfaces?.signals ?? [],
      pressure: account?.pressure?.signals ?? null,
    };
  }

  /** Of the last cycle; the same object until the guest is read again. */
  cpuSlice(uuid: string): CpuSlice | null {
    return this.#cpu.slice(uuid);
  }

  /** null: this kernel has no PSI. */
  get hostPressure(): PressureSignals | null {
    return this.#host?.signals ?? null;
  }

  async sample(inventory: Inventory): Promise<void> {
    const { procRoot, clock, cpuTerms } = this.#options;
    const host = readHostPressure(procRoot, clock.monotonicMs());
    if (host !== null) this.#host = accountPressure(this.#host, host);
    await this.#cpu.sample(inventory, clock.monotonicMs, cpuTerms);
    await inSlices(inventory.all(), (domain) => {
      const handles = inventory.handles(domain.uuid);
      if (handles !== null) this.#sampleOne(domain, handles);
    });
  }

  /** The running instance is gone, and its counters with it. */
  forget(uuid: string): void {
    this.#cpu.forget(uuid);
    const account = this.#accounts.get(uuid);
    for (const { device } of account?.interfaces?.signals ?? []) this.#options.interfaces.close(device);
    this.#accounts.delete(uuid);
    this.#options.disks.forget(uuid);
  }

  #sampleOne(domain: Domain, handles: DomainHandles): void {
    const { clock, pageBytes } = this.#options;
    const account: Account = this.#accounts.get(domain.uuid) ?? {
      memory: null,
      disks: null,
      interfaces: null,
      pressure: null,
    };
    this.#accounts.set(domain.uuid, account);
    const atMonotonicMs = clock.monotonicMs();
    const { memory } = domain.groups;
    const group = memory === undefined ? null : handles.group(memory.domainDir);
    const used =
      memory === undefined || group === null ? null : readMemory(group, memory.version, pageBytes, atMonotonicMs);
    if (used !== null) account.memory = accountMemory(account.memory, used);
    const before = account.interfaces?.signals ?? [];
    account.interfaces = accountInterfaces(account.interfaces, {
      atMonotonicMs,
      interfaces: this.#traffic(domain),
    });
    this.#closeUnplugged(before, account.interfaces.signals);
    const own = this.#host === null || domain.cgroup?.version !== 2 ? null : handles.group(domain.cgroup.domainDir);
    const stalled = own === null ? null : readGroupPressure(own, atMonotonicMs);
    if (stalled !== null) account.pressure = accountPressure(account.pressure, stalled);
    this.#addDisks(account, domain);
  }

  #traffic({ facts }: Domain): ReadInterface[] {
    return (facts?.tuning.interfaces ?? []).flatMap(({ mac, device }): ReadInterface[] => {
      const reading = device === null ? null : this.#options.interfaces.read(device);
      if (device === null || reading?.state !== 'read') return [];
      return [{ mac, device, ifindex: reading.ifindex, counters: reading.counters }];
    });
  }

  #closeUnplugged(before: readonly InterfaceSignals[], now: readonly InterfaceSignals[]): void {
    for (const { device } of before) {
      if (!now.some((one) => one.device === device)) this.#options.interfaces.close(device);
    }
  }

  /** Only a new answer of QEMU is news. */
  #addDisks(account: Account, domain: Domain): void {
    const { clock, disks } = this.#options;
    const reading = disks.all(domain);
    if (reading === null) return;
    const atMs = clock.nowMs() - (clock.monotonicMs() - reading.atMs);
    account.disks = accountDisks(account.disks, { atMonotonicMs: reading.atMs, atMs, disks: reading.disks });
  }
}
