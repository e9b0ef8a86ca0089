/** Plan, change, outcome, history: the data that passes between plan, apply, journal and the command line. */
import type { SourcePosition } from '../errors.js';
import type { DomainSnapshot, Snapshot } from '../snapshot/types.js';

/** Why a value is written. */
export type Why =
  | 'policy' // the policy asks for another value than the one that stands
  | 'start' // the guest has just been started
  | 'schedule' // a schedule window opened or closed
  | 'drift' // our value was changed by someone else
  | 'hotplug' // a vCPU, a disk or an interface came or went
  | 'leave' // the key left the class, the guest changed class or is matched no more
  | 'release'; // an operator asked for the originals

/** One write that a plan proposes. */
export interface PlannedChange {
  readonly uuid: string;
  readonly domain: string;
  readonly className: string | null;
  readonly control: string;
  /** Setting key, `vcpu0/cpu.max`. */
  readonly key: string;
  readonly path: string;
  /** `add`: first value of ours; `change`: ours to another or a repair; `restore`: back to the original. */
  readonly action: 'add' | 'change' | 'restore';
  readonly from: string | null;
  readonly to: string;
  readonly why: Why;
  readonly source: SourcePosition | null;
}

export type Outcome = 'applied' | 'unchanged' | 'unsupported' | 'vanished' | 'refused' | 'failed';

export interface ControlOutcome {
  readonly uuid: string;
  readonly domain: string;
  readonly control: string;
  readonly outcome: Outcome;
  readonly message: string | null;
}

/** What `plan` prints. */
export interface PlanReport {
  readonly generation: string | null;
  readonly snapshot: Snapshot;
  readonly changes: readonly PlannedChange[];
}

/** What `apply --once`, `release` and `resume` print. */
export interface ApplyReport {
  readonly generation: string | null;
  readonly changes: readonly PlannedChange[];
  readonly outcomes: readonly ControlOutcome[];
  /** Set when nothing was written on purpose: observe mode, kill switch, blast radius. */
  readonly stopped: string | null;
}

/** One line of `history.jsonl`, newest last: one write that was tried. */
export interface HistoryEntry {
  readonly atMs: number;
  readonly uuid: string;
  readonly domain: string;
  readonly className: string | null;
  readonly control: string;
  readonly key: string;
  readonly path: string;
  readonly from: string | null;
  readonly to: string;
  readonly why: Why;
  /** `policies.d/10-gold.yaml:6:14`, null for releases. */
  readonly source: string | null;
  readonly generation: string | null;
  readonly outcome: Outcome;
  readonly message: string | null;
}

/** uuid, exact name, or every domain. A name that two domains share is refused. */
export type Target = { readonly domain: string } | { readonly all: true };

/** What an operator can ask of the one writer; the daemon offers it on its socket, a lone command holds it itself. */
export interface Commands {
  snapshot(): Snapshot;
  domain(nameOrUuid: string): DomainSnapshot;
  apply(options: { readonly acknowledge: string | null }): Promise<ApplyReport>;
  release(target: Target): Promise<ApplyReport>;
  /** `forSeconds` null: until resumed. */
  hold(target: { readonly domain: string }, forSeconds: number | null): Promise<DomainSnapshot>;
  resume(target: Target): Promise<ApplyReport>;
  reload(): Promise<{ readonly ok: boolean; readonly generation: string | null; readonly problems: readonly string[] }>;
}
