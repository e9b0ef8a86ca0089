/**
 * Security labels of files on file systems that may hang, each read with a deadline in a thread that can be given up.
 * Nothing is opened.
 */
import type { FileLabelReader, FileLabelStatus, ImageRelabeler } from './ports.js';
import type { RelabelOutcome, RelabelRequest } from './relabel-image.js';

/** Label null and problem null: the file wears none. */
export interface FileLabel {
  readonly path: string;
  readonly label: string | null;
  readonly problem: FileLabelProblem | null;
}

/**
 * `timeout`: not answered in time, or not asked because of that. `unsupported`: the file system keeps no labels.
 * `unreadable`: any other error, and what is no absolute path.
 */
export type FileLabelProblem = 'timeout' | 'unsupported' | 'missing' | 'unreadable';

export interface FileLabelsOptions {
  /** For each path. */
  readonly deadlineMs?: number;
  /** Threads that may be stuck and replaced at one time. */
  readonly maxAbandoned?: number;
}

export class FileLabels implements FileLabelReader, ImageRelabeler {
  constructor(options: FileLabelsOptions = {}) {
    void options;
  }

  async read(paths: readonly string[]): Promise<readonly FileLabel[]> {
    return paths.map((path) => ({ path, label: null, problem: 'unreadable' }));
  }

  async relabel(request: RelabelRequest): Promise<RelabelOutcome> {
    return { ok: false, code: 'failed', reason: `${request.path}: not written yet` };
  }

  status(): FileLabelStatus {
    return { abandoned: 0, hung: [] };
  }

  async close(): Promise<void> {}
}
