/**
 * What passes between the main thread and the libvirt threads. Plain data for the structured clone (bigint included).
 */
import type { DomainFacts } from '../../domains/types.js';
import type { DiskReading, DisksOptions, LibvirtEvent, LibvirtOutcome, ListedDomain, TuneCall } from './client.js';
import type { SavedImage } from './saving.js';

/** One call, to be made synchronously on a call worker. */
export type Call =
  | SaveCall
  | { readonly op: 'list' }
  | { readonly op: 'facts'; readonly uuid: string }
  | { readonly op: 'disks'; readonly uuid: string; readonly id: number; readonly options?: DisksOptions }
  | { readonly op: 'tune'; readonly uuid: string; readonly id: number | null; readonly calls: readonly TuneCall[] }
  | { readonly op: 'setOriginals'; readonly uuid: string; readonly id: number; readonly xml: string | null };

/** Those of saving.ts, each on a thread of its own. */
export type SaveCall =
  | { readonly op: 'managedSave'; readonly uuid: string; readonly id: number; readonly paused: boolean }
  | { readonly op: 'managedSaveDefine'; readonly uuid: string; readonly text: string }
  | { readonly op: 'startGuest'; readonly uuid: string; readonly paused: boolean; readonly restoreOnly: boolean }
  | { readonly op: 'suspend' | 'resume'; readonly uuid: string; readonly id: number }
  | { readonly op: 'abortJob' | 'hasManagedSave' | 'managedSaveXml'; readonly uuid: string };

/** A reading of a guest, and what of it had to be left out. */
export interface FactsReading {
  readonly facts: DomainFacts;
  /** Why its metadata was left out; null when it was not. */
  readonly metadataProblem: string | null;
}

export type CallValue =
  | readonly ListedDomain[]
  | FactsReading
  | readonly DiskReading[]
  | SavedImage
  | boolean
  | number
  | null;

export type CallRequest = { readonly call: Call } | { readonly stop: true };

export interface CallReply {
  readonly outcome: LibvirtOutcome<CallValue>;
}

export interface CallWorkerData {
  readonly uri: string;
  readonly keepaliveSeconds: number;
}

/** From the event worker. */
export type EventMessage =
  | { readonly kind: 'connected'; readonly libraryVersion: string; readonly daemonVersion: string | null }
  /** No connection; the worker tries again after `retryInMs`. */
  | { readonly kind: 'disconnected'; readonly reason: string; readonly retryInMs: number }
  | { readonly kind: 'events'; readonly events: readonly LibvirtEvent[] };

export interface EventWorkerData {
  readonly uri: string;
  readonly keepaliveSeconds: number;
  /** Int32 cells, see FLAG. */
  readonly flags: SharedArrayBuffer;
}

/** Cells of the flags shared with the event worker, which never returns to its event loop to get a message. */
export const FLAG = { stop: 0, cells: 1 } as const;

/**
 * Heap of a worker: enough for the largest XML and a list of thousands. The young generation is small because it is
 * never given back: without the limit a worker that once read 600 guests keeps 15 MiB more.
 */
export const WORKER_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2 } as const;
