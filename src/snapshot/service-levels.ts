/** How the objectives of the classes stand, and what their history is kept in. Plain JSON. */
import type { ClassObjectiveState } from '../slo/budget-states.js';

export interface ServiceLevelsSnapshot {
  /** By class and SLI; classes that have guests. */
  readonly classes: readonly ClassObjectiveState[];
  /** All windows of the policy. */
  readonly maintenance: readonly { readonly name: string; readonly open: boolean }[];
  /** Null: not kept on disk. `error`: why history is not whole, or is not being kept. */
  readonly store: { readonly bytes: number; readonly error: string | null } | null;
}
