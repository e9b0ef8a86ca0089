/** The CPU accounts of all running guests: a sampler and an account each, as long as the instance lives. */
import { CpuSampler, type VcpuSource } from '../host/proc/cpu-sampler.js';
import { inSlices } from '../host/slices.js';
import { accountCpu, type CpuAccount, type CpuTerms } from '../signals/cpu.js';
import type { CpuSlice } from '../slo/types.js';
import type { CpuCounters } from '../snapshot/types.js';
import type { DomainHandles } from './handles.js';
import type { Inventory } from './inventory.js';
import type { Domain } from './types.js';

export class CpuAccounts {
  readonly #procRoot: string;
  readonly #samplers = new Map<string, CpuSampler>();
  readonly #accounts = new Map<string, CpuAccount>();

  constructor(procRoot: string) {
    this.#procRoot = procRoot;
  }

  of(uuid: string): CpuCounters | null {
    return this.#accounts.get(uuid)?.counters ?? null;
  }

  /** From the reading before; the same object until the guest is read again. */
  slice(uuid: string): CpuSlice | null {
    return this.#accounts.get(uuid)?.slice ?? null;
  }

  async sample(inventory: Inventory, monotonicMs: () => number, termsOf: (domain: Domain) => CpuTerms): Promise<void> {
    await inSlices(inventory.all(), (domain) => {
      const handles = inventory.handles(domain.uuid);
      if (handles === null || domain.process === null) return;
      const sampler = this.#samplers.get(domain.uuid) ?? new CpuSampler(this.#procRoot);
      this.#samplers.set(domain.uuid, sampler);
      const reading = sampler.read(
        domain.process.pid,
        sourcesOf(domain, handles),
        handles.cgroup.version,
        monotonicMs(),
      );
      if (reading === null) return;
      this.#accounts.set(domain.uuid, accountCpu(this.#accounts.get(domain.uuid) ?? null, reading, termsOf(domain)));
    });
  }

  /** The running instance is gone: its descriptors close, its counters go with it. */
  forget(uuid: string): void {
    this.#samplers.get(uuid)?.close();
    this.#samplers.delete(uuid);
    this.#accounts.delete(uuid);
  }
}

/** A guest without vCPU groups is throttled as a whole: counted once, with its first vCPU. */
function sourcesOf(domain: Domain, handles: DomainHandles): Map<number, VcpuSource> {
  const sources = new Map<number, VcpuSource>();
  for (const vcpu of domain.vcpuGroups) {
    const group = handles.group(handles.vcpuDirectory(vcpu));
    if (group !== null) sources.set(vcpu, { threadId: null, group });
  }
  if (sources.size > 0) return sources;
  for (const [vcpu, threadId] of domain.vcpuThreads) {
    const group = sources.size === 0 ? handles.group(handles.cgroup.domainDir) : null;
    sources.set(vcpu, { threadId, group });
  }
  return sources;
}
