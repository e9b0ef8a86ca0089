/**
 * What a validated policy set is: one immutable generation. Produced by `compile.ts`; read by everything downstream.
 * Values are already in base units; `text` keeps what the operator wrote.
 */
import type { SourcePosition } from '../errors.js';

/** A value and the place in a policy file that asked for it. */
export interface Sourced<T = unknown> {
  readonly value: T;
  /** As written in the file (`50%`, `2.5 cores`, `400MiB/s`). */
  readonly text: string;
  readonly source: SourcePosition;
  /** Name of the schedule whose open window set this value; absent for the class's own value. */
  readonly schedule?: string;
}

/** `100%` of the guest's online vCPUs, or an absolute number of host cores. `fraction` 1 = 100 %. */
export type CpuAmount =
  | { readonly unit: 'percent'; readonly fraction: number }
  | { readonly unit: 'cores'; readonly cores: number };

/** Dotted key below a class: `cpu.limit`, `memory.guarantee`, `disk.limit`, `network.limit`, `svirt`. */
export type KeyPath = string;

export interface PolicyClass {
  readonly name: string;
  readonly description: string;
  /** 0–1000, default 100; lower gives way first. */
  readonly priority: number;
  readonly source: SourcePosition;
  /** Keys that the class manages; an absent key is not managed. Keyed as in {@link KeyPath}. */
  readonly values: ReadonlyMap<KeyPath, Sourced>;
  readonly objectives: readonly Objective[];
}

export interface Objective {
  readonly sli: string;
  readonly atLeast?: number;
  readonly atMost?: number | { readonly seconds: number };
  /** Fraction strictly between 0 and 1. */
  readonly of: number;
  readonly window: { readonly kind: 'rolling'; readonly seconds: number } | { readonly kind: 'month' };
  readonly source: SourcePosition;
}

export interface Assignment {
  readonly className: string;
  readonly match: Match;
  readonly source: SourcePosition;
}

/** All given keys are required; within a key any of the patterns will do. */
export interface Match {
  readonly any?: true;
  readonly name?: readonly string[];
  readonly uuid?: readonly string[];
  readonly title?: readonly string[];
  readonly description?: readonly string[];
  /** metadata path → accepted patterns */
  readonly metadata?: ReadonlyMap<string, readonly string[]>;
}

/** Windows that recur: when they open, and for how long on the wall clock of their zone. */
export interface CalendarWindow {
  readonly name: string;
  readonly cron: string;
  readonly forSeconds: number;
  readonly timezone: string;
}

export interface Schedule extends CalendarWindow {
  readonly set: readonly { readonly className: string; readonly key: KeyPath; readonly to: Sourced }[];
  readonly source: SourcePosition;
}

/** Planned maintenance: while it is open, time of the objectives that it covers counts neither as good nor as bad. */
export interface MaintenanceWindow extends CalendarWindow {
  /** Null: of any class. */
  readonly classes: readonly string[] | null;
  /** Null: any guest. With classes too, both must hold. */
  readonly match: Match | null;
  /** Null: all objectives. */
  readonly slis: readonly string[] | null;
  readonly source: SourcePosition;
}

export interface Generation {
  /** First 12 hex digits of the SHA-256 over the file names and bytes; the same files give the same id. */
  readonly id: string;
  readonly files: readonly { readonly path: string; readonly text: string }[];
  readonly classes: ReadonlyMap<string, PolicyClass>;
  /** In the order in which they are tried. */
  readonly assignments: readonly Assignment[];
  readonly schedules: readonly Schedule[];
  readonly maintenance: readonly MaintenanceWindow[];
}

/** What a matcher may look at. */
export interface DomainAttributes {
  readonly uuid: string;
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** The children of `<metadata>`, prefixes as bound in that XML. */
  readonly metadata: readonly XmlElement[];
}

export interface XmlElement {
  /** Qualified name, `nova:instance`. */
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

/** The class of one domain at one moment, open schedule windows applied. */
export interface EffectiveClass {
  readonly name: string;
  readonly priority: number;
  readonly values: ReadonlyMap<KeyPath, Sourced>;
  /** The assignment that chose it. */
  readonly assignment: SourcePosition;
  readonly openSchedules: readonly string[];
}
