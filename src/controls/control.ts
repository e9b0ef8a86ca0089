/**
 * What a control is. One file a control, one line in `registry.ts`; the JSON Schema, the docs table, the plan text and
 * the metrics derive from it. A control decides and never touches the host: it turns promises into *settings*, each a
 * place on the host and the exact text that shall stand there. `reconcile/apply.ts` writes those that are cgroup files
 * of ours, `reconcile/tell.ts` has libvirt or systemd set theirs.
 */
import type { z } from 'zod';
import type { Address, Domain, Tuning } from '../domains/types.js';
import type { TuneCall } from '../host/libvirt/client.js';
import type { UnitPropertyValue } from '../host/systemd/properties.js';
import type { EffectiveClass, KeyPath, Sourced } from '../policy/types.js';

export type Scope = 'domain' | 'host';

/** Where a setting lives on one running domain. */
export interface Place extends Address {
  /**
   * `direct`: written by us. `libvirt`, `systemd`: set only through the owner, then read back (a value written behind
   * systemd's back is undone by its next reload; QEMU's throttle and a tap's queue are no files at all).
   */
  readonly writer: 'direct' | 'libvirt' | 'systemd';
  /** Depth of the group below the domain, 0 = the domain's own: parents widen first, children narrow first. */
  readonly depth: number;
}

/** One value at one place. Text is canonical: byte for byte what a read of the place gives. */
export interface Setting extends Place {
  /** Unique within the domain and stable across restarts of the daemon: `vcpu0/cpu.max`, `cpu.weight`, `vda/throttle`. */
  readonly key: string;
  readonly text: string;
}

export interface HostFacts {
  /** Online logical CPUs, their count and their numbers. */
  readonly cores: number;
  readonly cpus: readonly number[];
  readonly cpuVersion: 1 | 2;
  /** Physical memory. */
  readonly memoryBytes: number;
  readonly pageBytes: number;
}

/** What a control may look at before it decides. */
export interface Sight {
  /** Canonical text that stands at an address of this domain now; null when it cannot be read. */
  read(address: Address): string | null;
  /** False only when the host certainly has no such place: a kernel without that file. */
  exists(address: Address): boolean;
  /** Why not, where its owner says so: QEMU's or libvirt's words. */
  problem(address: Address): string | null;
}

/** One figure of a control for the metrics; null = no limit. */
export interface Amount {
  /** One of the control's `metrics`. */
  readonly metric: string;
  /** Beside the domain's own: `{ disk: 'vda' }`. */
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number | null;
}

/** Properties of one systemd unit, set at run time. */
export interface UnitProperties {
  /** `machine.slice` */
  readonly unit: string;
  readonly properties: readonly UnitPropertyValue[];
}

/** `infinity` of a unit's property. */
export const UNIT_INFINITY = 2n ** 64n - 1n;

/** What somebody else has to be told. */
export interface Tell {
  readonly calls: readonly TuneCall[];
  readonly units: readonly UnitProperties[];
}

/** Asked for, and not to be had on this domain as it is now. */
export interface NotSet {
  readonly reason: string;
  readonly asked: Sourced;
  readonly askedKey?: KeyPath;
  /** What we set while it was to be had is put back: it would harm the guest. Without this, what stands stays. */
  readonly giveBack?: true;
}

/** What a class asks of one control on one domain. */
export type Desired =
  | { readonly kind: 'unmanaged' }
  | ({ readonly kind: 'unsupported' } & NotSet)
  | ({ readonly kind: 'refused' } & NotSet)
  | {
      readonly kind: 'set';
      readonly asked: Sourced;
      /** The class key that asked, where it is not the control's own. */
      readonly askedKey?: KeyPath;
      readonly amounts: readonly Amount[];
      /** The value in words for plan, explain and status: `0.50 cores (50 % of 1 vCPU)`. */
      readonly display: string;
      readonly settings: readonly Setting[];
      /** Notes for people: `guarantee cut to the limit`, `sda: empty drive, not limited` … */
      readonly notes: readonly string[];
    };

/** The value of a setting that stood there before ours, and how we know. */
export interface Original {
  readonly text: string;
  readonly from: 'xml' | 'kernel' | 'metadata' | 'definition' | 'default';
}

/** Why a control that holds its value still does not deliver it. */
export interface Override {
  /** Default: `overridden`, a foreign value decides. */
  readonly status?: 'overridden' | 'pending-restart' | 'violated';
  readonly reason: string;
  /** Where the value that decides stands; null when that is no place. */
  readonly path: string | null;
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

/** A pair of gauges, desired and actual. */
export interface ControlMetric {
  /** Without prefix: `cpu_limit_cores`. */
  readonly name: string;
  readonly help: string;
  /** Labels beside the domain's own. */
  readonly labels: readonly string[];
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
  readonly metrics: readonly ControlMetric[];
  /** Its places exist and may be written before libvirt reports Started. */
  readonly early?: true;
  /** libvirt has a parameter for each setting: one is told without touching the others. */
  readonly tellsApart?: true;
  /** Its place is the persistent definition: there whether the guest runs or not, and in force from its next start. */
  readonly lasting?: true;
  /** Its texts carry what others set beside ours (fields of a throttle that no key asks for), which is kept as it is. */
  readonly merges?: true;
  /** Pure but for what it sees: what the class asks of this domain now. */
  desired(wanted: EffectiveClass, domain: Domain, host: HostFacts, sight: Sight): Desired;
  /** Where a setting key lives on this instance of the domain; null when there is no such place (vCPU unplugged). */
  place?(key: string, domain: Domain): Place | null;
  /** The settings' values in the control's units, for metrics. Unknown ones are left out. */
  amountsOf?(texts: ReadonlyMap<string, string | null>, domain: Domain): readonly Amount[];
  /** In words, from the texts that stand. */
  displayOf?(texts: ReadonlyMap<string, string | null>, domain: Domain): string;
  /** The text that the setting has by libvirt's XML, live or persistent. */
  fromXml?(key: string, tuning: Tuning, domain: Domain): Original;
  /** What makes libvirt or systemd say (and set) these texts; null when that cannot be said. */
  tellFor?(texts: ReadonlyMap<string, string>, domain: Domain): Tell | null;
  /** What is put back where an original cannot stand again; default: the original itself. */
  restoredAs?(original: string, host: HostFacts): string;
  /**
   * Of a control that merges: what would stand there without ours. What we have `written` gives way to the `original`, what
   * others have set beside it since stays.
   */
  beneath?(key: string, standing: string, original: string, written: readonly string[]): string;
  /** How much a text allows, for the order of writes; null for texts without an order. */
  allows?(text: string): number | null;
  /** A foreign, tighter value above ours that decides instead, or what else is amiss; null when nothing is. */
  overriddenBy?(desired: Desired, domain: Domain, sight: Sight, wanted?: EffectiveClass | null): Override | null;
}

/** Nobody but us has to know. */
export function told(calls: readonly TuneCall[]): Tell {
  return { calls, units: [] };
}
