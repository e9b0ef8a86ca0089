/**
 * What the rest of the daemon knows of libvirt: an interface of promises with deadlines, outcomes as data.
 * `connect.ts` implements it on worker threads.
 */
import type { Bandwidth, DiskThrottle, DomainFacts, DomainState } from '../../domains/types.js';
import type { LibvirtSaving } from './saving.js';

export type LibvirtFailure =
  | 'vanished' // the domain, or this running instance of it, is gone
  | 'timeout' // the call overran its deadline; the domain is quarantined
  | 'quarantined' // an earlier call about this domain overran and has not come back
  | 'disconnected' // no connection now; retried in the background
  | 'withdrawn' // not made: it was not wanted any more when its turn came
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

/** Typed parameters of virDomainSetMemoryParameters, KiB; {@link MEMORY_UNLIMITED_KIB} for none. */
export interface MemoryParameters {
  readonly hard_limit?: bigint;
  readonly soft_limit?: bigint;
  readonly swap_hard_limit?: bigint;
}

/** VIR_DOMAIN_MEMORY_PARAM_UNLIMITED */
export const MEMORY_UNLIMITED_KIB = 9_007_199_254_740_991n;

/** Typed parameters of virDomainSetBlkioParameters; device lists are `/dev/sda,100,/dev/sdb,200`, 0 for none. */
export interface BlkioParameters {
  readonly weight?: number;
  readonly device_weight?: string;
  readonly device_read_bytes_sec?: string;
  readonly device_write_bytes_sec?: string;
  readonly device_read_iops_sec?: string;
  readonly device_write_iops_sec?: string;
}

/** One set call of libvirt, by the API that it goes through. All but the last are about the running domain, live only. */
export type TuneCall =
  /** virDomainSetSchedulerParametersFlags */
  | { readonly call: 'scheduler'; readonly parameters: SchedulerParameters }
  /** virDomainSetMemoryParameters */
  | { readonly call: 'memory'; readonly parameters: MemoryParameters }
  /** virDomainSetBlkioParameters */
  | { readonly call: 'blkio'; readonly parameters: BlkioParameters }
  /**
   * virDomainSetBlockIoTune with every field: what is not given is set to 0. `disk`: its target. A group has one limit for all
   * its disks. Without a group the disk leaves the one that it is in, and has no limit for a moment (two calls).
   */
  | { readonly call: 'throttle'; readonly disk: string; readonly throttle: DiskThrottle }
  /**
   * virDomainSetInterfaceParameters; null takes the limit off, undefined leaves it. `device`: its tap, or its MAC. libvirt
   * makes both directions anew whichever is set, and keeps an outbound peak in its XML only (police has none).
   */
  | {
      readonly call: 'bandwidth';
      readonly device: string;
      readonly inbound?: Bandwidth | null;
      readonly outbound?: Bandwidth | null;
    }
  /** virDomainPinVcpuFlags. There is no taking off: a pin to all CPUs stays in the XML. */
  | { readonly call: 'pin'; readonly vcpu: number; readonly cpus: readonly number[] }
  /**
   * block-latency-histogram-set through virDomainQemuMonitorCommand, which taints the domain until its next start. Alike for
   * reads, writes and flushes; null takes them off. Where the disk has these boundaries nothing is sent: it would count anew.
   */
  | { readonly call: 'histogram'; readonly disk: string; readonly boundariesNs: readonly number[] | null }
  /**
   * virDomainDefineXMLFlags: the `<seclabel>` for SELinux of the persistent definition, for the next start. `text`: `dynamic` |
   * `dynamic BASELABEL` | `static LABEL[ relabel=no]` | `none`. `dynamic` takes the element out: the definition is again what it
   * was before there was one. libvirt takes a label that the host cannot give, and refuses the start then.
   */
  | { readonly call: 'seclabel'; readonly text: string };

/** Counters of one virtual disk since QEMU started. Times are the sum over requests. */
export interface DiskCounters {
  readonly readRequests: bigint;
  readonly readBytes: bigint;
  readonly readNs: bigint;
  readonly writeRequests: bigint;
  readonly writeBytes: bigint;
  readonly writeNs: bigint;
  readonly flushRequests: bigint;
  readonly flushNs: bigint;
}

/** QEMU's histogram of one kind of request. */
export interface LatencyHistogram {
  /** Upper bounds, ascending; a request of just that time is in the next bin. */
  readonly boundariesNs: readonly number[];
  /** Requests since it was set: one bin more than boundaries, the last for what took longer than all. */
  readonly bins: readonly number[];
  /** Time of all requests of this kind since QEMU started, read with the bins. */
  readonly totalNs: number;
}

/** Those of one disk; null: none is set. */
export interface DiskHistograms {
  readonly reads: LatencyHistogram | null;
  readonly writes: LatencyHistogram | null;
  readonly flushes: LatencyHistogram | null;
}

/** What QEMU itself says of one disk. */
export interface DiskReading {
  readonly target: string;
  /** Null when QEMU has no throttle for it, or libvirt cannot say. */
  readonly throttle: DiskThrottle | null;
  /** Why not, in libvirt's words; null when there is one. */
  readonly throttleProblem: string | null;
  readonly counters: DiskCounters | null;
  /** Undefined: not asked for, or not known. Without an answer of QEMU's none where nobody has used the guest's monitor. */
  readonly histograms?: DiskHistograms;
  /** Why there can be none; null when there can. */
  readonly histogramProblem?: string | null;
}

export interface DisksOptions {
  /**
   * Ask for histograms too, which takes a monitor command: made only where libvirt says that one has been made since the guest
   * started, so that no reading ever taints a guest, or where `monitorUsed` says so.
   */
  readonly histograms: boolean;
  /** We have used the monitor of this instance: libvirtd may say so in a language of its own. */
  readonly monitorUsed: boolean;
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
  /**
   * A tunable was changed through libvirt, by us or by anyone: `cputune.vcpu_quota` …, `cputune.vcpupin0` → CPU list,
   * `blkdeviotune.disk` → target with `blkdeviotune.total_iops_sec` … as they were sent. Of memory, of the host's block
   * devices and of bandwidth libvirt announces nothing.
   */
  | { readonly kind: 'tunable'; readonly uuid: string; readonly parameters: Readonly<Record<string, string>> }
  | { readonly kind: 'metadata'; readonly uuid: string }
  /** A device was plugged in or out. Of a medium that was changed in its drive, or of memory, nothing is announced. */
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

export interface LibvirtClient extends LibvirtSaving {
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
   * Live only (VIR_DOMAIN_AFFECT_LIVE). All calls are made, one after the other, whatever becomes of the first; the
   * outcome is that of the first that failed. Refused as `vanished` when the running instance is not `id` any more. One that
   * ended as `timeout` may still take effect later, before `recovered`: read again then. `mayBegin` is asked when its turn
   * has come, behind those of hundreds of guests perhaps. Calls about the definition are made whatever instance runs, or
   * none: for those alone `id` may be null.
   */
  tune(
    uuid: string,
    id: number | null,
    calls: readonly TuneCall[],
    mayBegin?: () => boolean,
  ): Promise<LibvirtOutcome<null>>;
  /**
   * Asks QEMU, by its monitor, what it does with each disk. A guest whose monitor hangs is quarantined by this; one that
   * libvirt is busy with is refused at once. One guest at a time, after all other calls.
   */
  disks(uuid: string, id: number, options?: DisksOptions): Promise<LibvirtOutcome<readonly DiskReading[]>>;
  /** Sets, or with null removes, our element in the live metadata. */
  setOriginals(uuid: string, id: number, xml: string | null, mayBegin?: () => boolean): Promise<LibvirtOutcome<null>>;
}
