/**
 * The daemon's configuration after defaults, file and flags have been merged: plain, immutable data in base units.
 * `load.ts` makes it; `src/daemon.ts` and the verbs read it.
 */
import type { LogFormat, LogLevel } from '../log.js';

export type Mode = 'enforce' | 'observe';

/** Roots of the kernel's and libvirt's trees: options, so that tests and containers can point elsewhere. */
export interface HostPaths {
  /** Mount point of cgroup v2, or the directory that holds the v1 hierarchies. */
  readonly cgroup: string;
  readonly proc: string;
  /** libvirt's run directory: `qemu/NAME.pid` and the daemon's sockets. */
  readonly runLibvirt: string;
  /** Where libvirt keeps saved guests. */
  readonly libvirtSave: string;
}

/** How many domains a new policy generation may change before it waits for `apply --acknowledge`. */
export interface BlastRadius {
  /** Percent of all domains, 0–100. */
  readonly percent: number;
  /** A number of domains that is always let through. The larger of the two counts. */
  readonly domains: number;
}

/** Restricts what is ever managed. Null: no restriction by that key. With both, a guest that either lists is managed. */
export interface ManageFilter {
  readonly uuids: readonly string[] | null;
  readonly names: readonly string[] | null;
}

export interface Config {
  /** The file that was read; null when the default one does not exist. */
  readonly configFile: string | null;
  readonly policyDir: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly mode: Mode;
  /** null: libvirt is not used (`none`); bare QEMU processes only. */
  readonly libvirtUri: string | null;
  /** `host:port`; IPv6 in brackets. */
  readonly listenAddress: string;
  /** While this file exists, nothing is written. */
  readonly killSwitch: string;
  readonly paths: HostPaths;
  readonly log: { readonly level: LogLevel; readonly format: LogFormat };
  /** Seconds between two reconcile cycles. */
  readonly cycleSeconds: number;
  readonly blastRadius: BlastRadius;
  readonly manage: ManageFilter;
}
