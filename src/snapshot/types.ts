/**
 * The immutable picture that a cycle leaves behind. metrics, http and the command line see only this, so that they can
 * move to an unprivileged process without a rewrite. Plain JSON: no classes, no bigint, no Map.
 */

import type { DomainState } from '../domains/types.js';
import type { SourcePosition } from '../errors.js';
import type { ObjectiveState } from '../slo/budget-states.js';
import type { HostSecuritySnapshot, LabelSnapshot } from './security.js';
import type { ServiceLevelsSnapshot } from './service-levels.js';
import type { DiskSignals, InterfaceSignals, MemorySignals, PressureSignals } from './signals.js';

export type ControlStatus =
  | 'holds' // actual is desired
  | 'pending' // a change is due (observe mode, a call under way, or the next cycle)
  | 'unsupported'
  | 'refused'
  | 'failed'
  | 'overridden' // our value stands but a foreign, tighter one decides
  | 'pending-restart' // the definition says it, in force from the guest's next start
  | 'violated' // the audit of labels found what breaks the promise
  | 'contested' // rewritten by someone again and again: backed off
  | 'hands-off'; // held or released

export interface SettingSnapshot {
  readonly key: string;
  readonly path: string;
  readonly desired: string;
  /** null: could not be read. */
  readonly actual: string | null;
  readonly original: string | null;
  readonly originalFrom: string | null;
  readonly owner: 'libvirt' | 'systemd' | 'virtslad';
}

/** One figure of a control, in its unit: null = no limit, undefined = not asked for, or not known. */
export interface AmountSnapshot {
  /** `cpu_limit_cores` */
  readonly metric: string;
  /** Beside the domain's own: `{ disk: 'vda' }`. */
  readonly labels: Readonly<Record<string, string>>;
  readonly desired?: number | null | undefined;
  readonly actual?: number | null | undefined;
}

export interface ControlSnapshot {
  readonly id: string;
  readonly status: ControlStatus;
  /** Why, when the status is not `holds`. */
  readonly reason: string | null;
  readonly desired: string | null;
  readonly actual: string | null;
  readonly amounts: readonly AmountSnapshot[];
  readonly settings: readonly SettingSnapshot[];
  /** What the operator wrote, where, and through which schedule. */
  readonly asked: {
    readonly key: string;
    readonly text: string;
    readonly source: SourcePosition;
    readonly schedule: string | null;
  } | null;
  readonly notes: readonly string[];
}

/** CPU counters since this instance of the guest was first seen; seconds. */
export interface CpuCounters {
  /** Run time of the vCPU threads. */
  readonly usedSeconds: number;
  /** Run-queue wait of the vCPU threads; contains throttled time. */
  readonly waitSeconds: number;
  /** Time throttled in the vCPU groups (limits set there). */
  readonly throttledSeconds: number;
  /** Of all other threads (emulator, I/O). */
  readonly emulatorSeconds: number;
  /**
   * Used and waited, without time throttled by the policy's limit; as far as it was guaranteed; what of that it did not
   * get; time in which at least one vCPU wanted to run. See `CpuSlice`; only slices that can be judged count.
   */
  readonly demandedSeconds: number;
  readonly entitledSeconds: number;
  readonly shortfallSeconds: number;
  readonly activeSeconds: number;
  /** Over the last cycle, in cores. */
  readonly usedCores: number;
  readonly waitCores: number;
  readonly throttledCores: number;
}

export interface DomainSnapshot {
  readonly uuid: string;
  readonly name: string;
  /** Who runs it: libvirt, or nobody that virtslad could ask. */
  readonly source: 'libvirt' | 'bare';
  readonly id: number | null;
  readonly state: DomainState;
  readonly className: string | null;
  readonly assignedBy: SourcePosition | null;
  readonly priority: number | null;
  readonly openSchedules: readonly string[];
  readonly vcpus: number;
  readonly pid: number | null;
  readonly cgroup: string | null;
  readonly handsOff: { readonly kind: 'held' | 'released'; readonly untilMs: number | null } | null;
  readonly obstacle: string | null;
  /** Guaranteed cores after cutting to the limit; null without a guarantee. */
  readonly guaranteedCores: number | null;
  readonly compliant: boolean;
  readonly controls: readonly ControlSnapshot[];
  readonly cpu: CpuCounters | null;
  readonly memory: MemorySignals | null;
  readonly disks: readonly DiskSignals[];
  readonly interfaces: readonly InterfaceSignals[];
  readonly pressure: PressureSignals | null;
  /** Null on a host without SELinux, of a guest that does not run, and before the first audit. */
  readonly label: LabelSnapshot | null;
  /** How the objectives of its class stand; empty when nothing is promised to it. */
  readonly objectives: readonly ObjectiveState[];
}

/** Monotone counters of the daemon; per domain where the key is a uuid. */
export interface DaemonCounters {
  readonly cycles: number;
  readonly cycleFailures: number;
  /** control id → count */
  readonly writes: Readonly<Record<string, number>>;
  readonly applyFailures: Readonly<Record<string, number>>;
  readonly policyReloads: number;
  readonly policyReloadFailures: number;
  readonly starts: number;
  /** Starts in which every per-vCPU limit stood before libvirt reported Resumed. */
  readonly startsCappedBeforeResume: number;
  /** attribution → count */
  readonly driftRepairs: Readonly<Record<string, number>>;
  /** Guests suspended for a violation of their label. */
  readonly suspensions: number;
  /** Images whose labels were put right. */
  readonly imageRelabels: number;
  /** How save-restore ended → count. */
  readonly saveRestores: Readonly<Record<string, number>>;
}

export interface SliceSnapshot {
  readonly path: string;
  readonly file: 'memory.low' | 'memory.min';
  readonly desiredBytes: number;
  /** null: cannot be read. */
  readonly actualBytes: number | null;
  readonly status: 'holds' | 'pending' | 'failed';
  readonly reason: string | null;
}

/** The kernel's io cost controller on one whole disk that guests with a weight stand on. */
export interface IoCostSnapshot {
  /** `254:0` */
  readonly device: string;
  /** `vda`; null when no guest stands on it any more. */
  readonly name: string | null;
  readonly desired: boolean;
  /** null: cannot be read. */
  readonly actual: boolean | null;
  /** virtslad has switched it on and will switch it off again; false: it was on before. */
  readonly ours: boolean;
  readonly status: 'holds' | 'pending' | 'failed';
  readonly reason: string | null;
}

export interface Snapshot {
  readonly version: string;
  readonly atMs: number;
  readonly startedAtMs: number;
  readonly mode: 'enforce' | 'observe';
  readonly killSwitch: boolean;
  readonly handsOffAll: boolean;
  readonly ready: boolean;
  /** What the daemon lacks now, for people: `libvirt: …`, `PSI: …`, `journal: …`. */
  readonly lacks: readonly string[];
  readonly generation: {
    readonly id: string;
    readonly acceptedAtMs: number;
    readonly files: readonly string[];
  } | null;
  /** A generation stopped by the blast radius, waiting for `apply --acknowledge`. */
  readonly pendingGeneration: {
    readonly id: string;
    readonly domainsAffected: number;
    readonly domainsTotal: number;
    readonly allowed: number;
  } | null;
  readonly policyProblems: readonly string[];
  readonly lastReloadSuccessful: boolean;
  readonly lastReloadSuccessMs: number | null;
  readonly nextScheduleBoundaryMs: number | null;
  readonly libvirt: {
    readonly uri: string | null;
    readonly connected: boolean;
    readonly libraryVersion: string | null;
    readonly daemonVersion: string | null;
    readonly lastError: string | null;
    readonly quarantined: readonly string[];
    readonly reconnects: number;
  };
  readonly host: {
    readonly cores: number;
    readonly cpuVersion: 1 | 2;
    readonly facts: Readonly<Record<string, string>>;
    /** Sum of the CPU weights of all running guests, unmanaged ones included, and what guarantees allow. */
    readonly weightSum: number;
    readonly weightCapacity: number;
    readonly guaranteedCores: number;
    readonly memoryBytes: number;
    readonly guaranteedMemoryBytes: number;
    /** What the groups above guests protect of memory for all of them together. */
    readonly slices: readonly SliceSnapshot[];
    readonly ioCost: readonly IoCostSnapshot[];
    /** null: this kernel has no PSI. */
    readonly pressure: PressureSignals | null;
    /** null until the first audit of labels. */
    readonly security: HostSecuritySnapshot | null;
  };
  readonly lastReconcileSuccessMs: number | null;
  readonly cycleSeconds: number;
  readonly domains: readonly DomainSnapshot[];
  readonly serviceLevels: ServiceLevelsSnapshot;
  /** uuid → drift repairs of that domain, kept while it runs. */
  readonly driftRepairsByDomain: Readonly<Record<string, number>>;
  readonly counters: DaemonCounters;
  readonly eventLoopLagSeconds: number;
}
