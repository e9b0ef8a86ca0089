/**
 * What the rest of the daemon asks of the host about security labels. The classes beside this file answer from the
 * kernel; the tests have stand-ins.
 */
import type { FileLabel } from './file-labels.js';
import type { RelabelOutcome, RelabelRequest } from './relabel-image.js';
import type { SecurityStatus } from './status.js';

export interface SecurityReader {
  /** Never throws; cheap enough for every cycle. */
  read(): SecurityStatus;
}

/** readProcessLabel, its procRoot given. */
export type ProcessLabelReader = (pid: number) => string | null;

export interface FileLabelReader {
  /** In the order of the paths. Never rejects. Calls wait for one another. */
  read(paths: readonly string[]): Promise<readonly FileLabel[]>;
  status(): FileLabelStatus;
  close(): Promise<void>;
}

export interface ImageRelabeler {
  /** Never rejects. */
  relabel(request: RelabelRequest): Promise<RelabelOutcome>;
}

export interface FileLabelStatus {
  /** Threads stuck in a call that has overrun. */
  readonly abandoned: number;
  /** Paths whose calls have overrun and not come back. */
  readonly hung: readonly string[];
}
