/** What the plans of the host's own controls have in common: values that are no guest's, each with one record for all. */
import type { JournalRecord } from '../journal-format.js';
import type { PlannedChange, Why } from '../types.js';

/** In the place of a guest's uuid and name. */
export const HOST = 'host';

export interface HostWrite {
  /** Unique in its control. */
  readonly key: string;
  /** Of the file. */
  readonly path: string;
  readonly from: string;
  readonly text: string;
  readonly action: PlannedChange['action'];
  readonly why: Why;
}

export interface HostPlan<Write extends HostWrite> {
  /** In order. */
  readonly writes: readonly Write[];
  /** To be on disk before the first write; null when nothing is ours. */
  readonly record: JournalRecord | null;
}

export interface HostStatus {
  readonly path: string;
  readonly status: 'holds' | 'pending' | 'failed';
  readonly reason: string | null;
}
