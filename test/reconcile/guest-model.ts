/**
 * A guest and its kernel values as plain data, for tests of planning without a host: what libvirt and the kernel would
 * hold, a way to carry a plan out on it, and the events that change it behind our back.
 */
import { join } from 'node:path';
import type { HostFacts, Sight } from '../../src/controls/control.js';
import { CONTROLS } from '../../src/controls/registry.js';
import type { CpuTune, Domain, DomainFacts } from '../../src/domains/types.js';
import type { EffectiveClass, Sourced } from '../../src/policy/types.js';
import type { JournalRecord } from '../../src/reconcile/journal-format.js';
import { orderWrites, widens } from '../../src/reconcile/order.js';
import { formatOriginalsXml } from '../../src/reconcile/originals-xml.js';
import { type DomainPlan, planDomain } from '../../src/reconcile/plan.js';
import type { Why } from '../../src/reconcile/types.js';
import { defaultHardware, defaultTuning } from '../fakes/fake-tuning.js';

export const HOST: HostFacts = {
  cores: 8,
  cpus: [0, 1, 2, 3, 4, 5, 6, 7],
  cpuVersion: 2,
  memoryBytes: 64 * 1024 ** 3,
  pageBytes: 4096,
};

export class GuestModel {
  readonly version: 1 | 2;
  readonly kernel = new Map<string, string>();
  readonly journal = new Map<string, JournalRecord>();
  cputune: CpuTune = { realtimeVcpus: false };
  originalsXml: string | null = null;
  vcpus: number;
  baselineUnknown = false;
  mayAdopt = true;
  #id = 1;

  constructor(version: 1 | 2, vcpus: number, cputune: Partial<CpuTune> = {}) {
    this.version = version;
    this.vcpus = vcpus;
    this.start(cputune);
  }

  /** A new instance whose groups libvirt has filled from this XML. */
  start(cputune: Partial<CpuTune>, originalsXml: string | null = null): void {
    this.#id++;
    this.cputune = { realtimeVcpus: false, ...cputune };
    this.originalsXml = originalsXml;
    this.kernel.clear();
    this.kernel.set(this.weightPath, String(cputune.shares ?? (this.version === 1 ? 1024 : 100)));
    for (let vcpu = 0; vcpu < this.vcpus; vcpu++) this.kernel.set(this.vcpuPath(vcpu), this.#libvirtQuota());
  }

  /** Save and restore, or a migration and back: libvirt makes the groups anew from what it was told. */
  saveAndRestore(): void {
    this.start(this.cputune, formatOriginalsXml([...this.journal.values()]));
  }

  plugVcpu(): void {
    this.kernel.set(this.vcpuPath(this.vcpus), this.#libvirtQuota());
    this.vcpus++;
  }

  get directory(): string {
    return `/cg/machine/guest-${this.#id}`;
  }

  get weightPath(): string {
    return join(this.directory, this.version === 1 ? 'cpu.shares' : 'cpu.weight');
  }

  vcpuPath(vcpu: number): string {
    return join(this.directory, `vcpu${vcpu}`, 'cpu.max');
  }

  get domain(): Domain {
    const facts: DomainFacts = {
      uuid: 'u',
      name: 'guest',
      title: '',
      description: '',
      metadata: [],
      id: this.#id,
      state: 'running',
      persistent: true,
      vcpusOnline: this.vcpus,
      vcpusMax: 64,
      hardware: defaultHardware(),
      tuning: { ...defaultTuning(), cpu: this.cputune },
      definition: defaultTuning(),
      originalsXml: this.originalsXml,
    };
    return {
      uuid: 'u',
      name: 'guest',
      source: 'libvirt',
      state: 'running',
      facts,
      process: { pid: 1000 + this.#id, startTicks: BigInt(this.#id) },
      cgroup: {
        version: this.version,
        domainDir: this.directory,
        weightDir: this.directory,
        systemdOwned: false,
        ancestors: ['/cg/machine'],
        inode: BigInt(this.#id),
      },
      groups: {},
      reasons: {},
      gaps: [],
      vcpuThreads: new Map(),
      hostDevices: new Map(),
      security: null,
      vcpuGroups: Array.from({ length: this.vcpus }, (_, vcpu) => vcpu),
      obstacle: null,
    };
  }

  readonly sight: Sight = {
    read: ({ path }) => this.kernel.get(path) ?? null,
    exists: () => true,
    problem: () => null,
  };

  plan(effective: EffectiveClass | null, occasion: Why = 'policy'): DomainPlan {
    return planDomain({
      domain: this.domain,
      effective,
      host: HOST,
      controls: CONTROLS,
      sight: this.sight,
      record: (control) => this.journal.get(control) ?? null,
      baselineUnknown: this.baselineUnknown,
      mayAdopt: this.mayAdopt,
      unsettled: () => false,
      held: () => false,
      occasion,
    });
  }

  /** As a cycle does it: journal, plan again, write in order, tell libvirt, forget. Gives the number of writes. */
  apply(effective: EffectiveClass | null, occasion: Why = 'policy'): number {
    for (const { record, control } of this.plan(effective, occasion).controls) {
      if (record !== null) this.journal.set(control.id, record);
    }
    const plan = this.plan(effective, occasion);
    const due = plan.controls.flatMap(({ control, writes }) =>
      writes.map((one) => ({ ...one, widens: widens(one.from, one.text, control.allows) })),
    );
    const writes = orderWrites(due);
    for (const { path, text } of writes) this.kernel.set(path, text);
    for (const { tell, forget, control } of plan.controls) {
      for (const call of tell?.calls ?? []) {
        if (call.call !== 'scheduler') continue;
        const { cpu_shares, vcpu_quota, vcpu_period } = call.parameters;
        if (cpu_shares !== undefined) this.cputune = { ...this.cputune, shares: Number(cpu_shares) };
        if (vcpu_quota !== undefined) this.cputune = { ...this.cputune, vcpuQuotaUsec: Number(vcpu_quota) };
        if (vcpu_period !== undefined) this.cputune = { ...this.cputune, vcpuPeriodUsec: Number(vcpu_period) };
      }
      if (forget && tell === null) this.journal.delete(control.id);
    }
    this.originalsXml = formatOriginalsXml([...this.journal.values()]);
    return writes.length;
  }

  values(): Record<string, string> {
    return Object.fromEntries([...this.kernel].map(([path, text]) => [path.slice(this.directory.length + 1), text]));
  }

  #libvirtQuota(): string {
    const { vcpuQuotaUsec = -1, vcpuPeriodUsec = 100_000 } = this.cputune;
    return `${vcpuQuotaUsec > 0 ? vcpuQuotaUsec : 'max'} ${vcpuPeriodUsec}`;
  }
}

const SOURCE = { file: 'p.yaml', line: 1, column: 1 };

/** A class with these values; percentages as fractions. */
export function classWith(values: { limit?: number; guarantee?: number; weight?: number }): EffectiveClass {
  const entries: [string, Sourced][] = [];
  const percent = (fraction: number): Sourced => ({
    value: { unit: 'percent', fraction },
    text: `${fraction * 100}%`,
    source: SOURCE,
  });
  if (values.limit !== undefined) entries.push(['cpu.limit', percent(values.limit)]);
  if (values.guarantee !== undefined) entries.push(['cpu.guarantee', percent(values.guarantee)]);
  if (values.weight !== undefined) {
    entries.push(['cpu.weight', { value: values.weight, text: String(values.weight), source: SOURCE }]);
  }
  return { name: 'gold', priority: 100, values: new Map(entries), assignment: SOURCE, openSchedules: [] };
}
