/** What is concerned with labels, as the rest of the reconciler sees it; wired in `src/assemble-labels.ts`. */
import type { LabelActions } from './actions.js';
import type { LabelAudit } from './audit.js';
import type { LabelPairs } from './pairs.js';
import type { LabelRegister } from './register.js';
import type { SaveRestore } from './save-restore.js';
import type { LabelState } from './state.js';

export interface Labels {
  readonly audit: LabelAudit;
  readonly pairs: LabelPairs;
  readonly actions: LabelActions;
  readonly saveRestore: SaveRestore;
  readonly state: LabelState;
  readonly register: LabelRegister;
  /** An audit, and every pair given that was due. */
  look(): Promise<void>;
  /** Begins what classes ask to be done about violations and pending labels; the daemon alone does. */
  act(): void;
  close(): Promise<void>;
}
