/**
 * What the rest of the daemon knows of libvirt: an interface of promises with deadlines, outcomes as data.
 * `connect.ts` implements it on worker threads.
 */
import type { DomainFacts, DomainState } from '../../domains/types.js';

export type LibvirtFailure =
  | 'vanished' // the domain, or this running instance of it, is gone
  | 'timeout' // the call overran its deadline; the domain is quarantined
  | 'quarantined' // an earlier call about this domain overran and has not come back
  | 'disconnected' // no connection now; retried in the background
  | 'refused'; // libvirt answered with an error

export type LibvirtOutcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: LibvirtFailure; readonly message: string };

export interface ListedDomain {
  readonly uuid: string;
  readonly name: string;
  readonly id: number | null;
  readonly state: DomainState;
  readonly persistent: boolean;
}

/** Typed parameters of virDomainSetSchedulerParametersFlags; units µs, negative quota = none. */
export interface SchedulerParameters {
  readonly cpu_shares?: bigint;
  readonly vcpu_period?: bigint;
  readonly vcpu_quota?: bigint;
}

/**
 * In libvirt's order: a start says `resumed`, then `started`; a stop `shutdown`, then `stopped`. A domain that is renamed
 * says `undefined` (detail 1) and `defined` (detail 2) with one uuid; one undefined while it runs goes on as transient.
 * vCPU hotplug says nothing at all.
 */
export type LibvirtEvent =
  | {
      readonly kind: 'lifecycle';
      readonly uuid: string;
      readonly name: string;
      readonly event: LifecycleEvent;
      readonly detail: number;
    }
  /** A tunable was changed through libvirt, by us or by anyone: `cputune.vcpu_quota` … → value. */
  | { readonly kind: 'tunable'; readonly uuid: string; readonly parameters: Readonly<Record<string, string>> }
  | { readonly kind: 'metadata'; readonly uuid: string }
  | { readonly kind: 'device'; readonly uuid: string }
  /** A call about this domain that had overrun has come back: its quarantine is over. */
  | { readonly kind: 'recovered'; readonly uuid: string }
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected'; readonly reason: string };

export type LifecycleEvent =
  | 'defined'
  | 'undefined'
  | 'started'
  | 'suspended'
  | 'resumed'
  | 'stopped'
  | 'shutdown'
  | 'pmsuspended'
  | 'crashed';

export interface LibvirtStatus {
  readonly uri: string | null;
  readonly connected: boolean;
  readonly libraryVersion: string | null;
  readonly daemonVersion: string | null;
  readonly lastError: string | null;
  readonly quarantined: readonly string[];
  readonly abandonedWorkers: number;
  readonly reconnects: number;
}

export interface LibvirtClient {
  /** Resolves when the first attempt to connect has ended, well or not; later attempts go on in the background. */
  start(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
  status(): LibvirtStatus;
  onEvent(listener: (event: LibvirtEvent) => void): void;
  /**
   * All domains, active and defined, with their states: one bulk call that touches no guest's monitor. It may still take
   * seconds while libvirt holds a guest's lock, as when it destroys one (seen: 1.6 s).
   */
  list(): Promise<LibvirtOutcome<readonly ListedDomain[]>>;
  /** The domain's XML, parsed in the worker. */
  facts(uuid: string): Promise<LibvirtOutcome<DomainFacts>>;
  /**
   * Live only (VIR_DOMAIN_AFFECT_LIVE). Refused as `vanished` when the running instance is not `id` any more. One that
   * ended as `timeout` may still take effect later, before `recovered`: read again then.
   */
  setScheduler(uuid: string, id: number, parameters: SchedulerParameters): Promise<LibvirtOutcome<null>>;
  /** Sets, or with null removes, our element in the live metadata. */
  setOriginals(uuid: string, id: number, xml: string | null): Promise<LibvirtOutcome<null>>;
}
