/**
 * What a control is. One file a control, one line in `registry.ts`; the JSON Schema, the docs table, the plan text and
 * the metrics derive from it. A control decides and never touches the host: it turns promises into *settings*, each a
 * place in the kernel and the exact text that shall stand there. `reconcile/apply.ts` writes them.
 */
import type { z } from 'zod';
import type { CpuTune, Domain } from '../domains/types.js';
import type { SchedulerParameters } from '../host/libvirt/client.js';
import type { EffectiveClass, KeyPath, Sourced } from '../policy/types.js';

export type Scope = 'domain' | 'host';

/** One value at one place. Text is canonical: byte for byte what a read of the place gives, without the newline. */
export interface Setting {
  /** Unique within the domain and stable across restarts of the daemon: `vcpu0/cpu.max`, `cpu.weight`. */
  readonly key: string;
  /** File in the cgroup tree. `cpu.max` on a v1 host stands for the pair cfs_quota_us, cfs_period_us. */
  readonly path: string;
  readonly text: string;
  /** `direct`: written by us. `libvirt`: set only by `tell`, then read back (systemd owns the file). */
  readonly writer: 'direct' | 'libvirt';
  /** Depth of the group below the domain, 0 = the domain's own: parents widen first, children narrow first. */
  readonly depth: number;
}

export interface HostFacts {
  /** Online logical CPUs. */
  readonly cores: number;
  readonly cpuVersion: 1 | 2;
}

/** Where a setting lives on one running domain. */
export type Place = Omit<Setting, 'key' | 'text'>;

/** What a class asks of one control on one domain. */
export type Desired =
  | { readonly kind: 'unmanaged' }
  | { readonly kind: 'unsupported'; readonly reason: string; readonly asked: Sourced; readonly askedKey?: KeyPath }
  | { readonly kind: 'refused'; readonly reason: string; readonly asked: Sourced; readonly askedKey?: KeyPath }
  | {
      readonly kind: 'set';
      readonly asked: Sourced;
      /** The class key that asked, where it is not the control's own. */
      readonly askedKey?: KeyPath;
      /** The value in the control's unit, for metrics: cores, weight; null = no limit. */
      readonly amount: number | null;
      /** The value in words for plan, explain and status: `0.50 cores (50 % of 1 vCPU)`. */
      readonly display: string;
      readonly settings: readonly Setting[];
      /** What libvirt has to be told so that its own view agrees; null if it has no such parameter. */
      readonly tell: SchedulerParameters | null;
      /** Notes for people: `guarantee cut to the limit` … */
      readonly notes: readonly string[];
    };

/** The value of a setting that stood there before ours, and how we know. */
export interface Original {
  readonly text: string;
  readonly from: 'xml' | 'kernel' | 'metadata' | 'definition' | 'default';
}

/** Why a control that holds its value still does not deliver it. */
export interface Override {
  readonly reason: string;
  readonly path: string;
}

/** One key of a class, at leaf level (`disk.limit.burst.iops`): the unit of validation, provenance and schedules. */
export interface KeySpec {
  readonly key: KeyPath;
  /** Accepts what an operator may write; its output is in base units. Carries the message that says what to write. */
  readonly schema: z.ZodType;
  /** For the reference page and the JSON Schema. */
  readonly summary: string;
  readonly unit: string;
  readonly range: string;
  readonly example: string;
}

export interface Control {
  /** `cpu.limit` */
  readonly id: string;
  readonly scope: Scope;
  /** Class keys that ask for it, the first being its own. */
  readonly keys: readonly KeySpec[];
  /** False while only the keys are known: validated, shown as `unsupported`. */
  readonly built: boolean;
  readonly summary: string;
  /** Name and help of the desired/actual gauges, without prefix: `cpu_limit_cores`. */
  readonly metric?: { readonly name: string; readonly help: string };
  /** Pure: what the class asks of this domain now. */
  desired(wanted: EffectiveClass, domain: Domain, host: HostFacts): Desired;
  /** Where a setting key lives on this instance of the domain; null when there is no such place (vCPU unplugged). */
  place?(key: string, domain: Domain): Place | null;
  /** The settings' values in the control's unit, for metrics; null = no limit or unknown. */
  amountOf?(texts: ReadonlyMap<string, string | null>, domain: Domain): number | null;
  /** In words, from the texts that stand. */
  displayOf?(texts: ReadonlyMap<string, string | null>, domain: Domain): string;
  /** The text that the setting has by libvirt's XML, live or persistent. */
  fromCputune?(key: string, cputune: CpuTune, domain: Domain): Original;
  /** libvirt parameters that say what these texts say; null when they differ among themselves. */
  tellFor?(texts: ReadonlyMap<string, string>, domain: Domain): SchedulerParameters | null;
  /** A foreign, tighter value above ours that decides instead; null when there is none. */
  overriddenBy?(desired: Desired, domain: Domain, read: (path: string) => string | null): Override | null;
}
