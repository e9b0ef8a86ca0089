/** Puts the snapshot together from the parts, when someone asks; the same one is given until something has changed. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceLevels } from '../accounting/service-levels.js';
import type { Config } from '../config/types.js';
import type { CpuHierarchy } from '../host/cgroup/layout.js';
import type { LibvirtClient } from '../host/libvirt/client.js';
import { nextBoundary } from '../policy/schedule.js';
import type { Parts } from '../reconcile/parts.js';
import type { Reconciler } from '../reconcile/reconciler.js';
import { feasibilityOf } from './feasibility.js';
import { securityOf } from './security.js';
import type { PressureSignals } from './signals.js';
import type { Snapshot } from './types.js';

export interface SnapshotSources {
  readonly parts: Parts;
  readonly reconciler: Reconciler;
  readonly libvirt: LibvirtClient;
  readonly config: Config;
  readonly version: string;
  readonly hierarchy: CpuHierarchy | null;
  hostPressure(): PressureSignals | null;
  readonly serviceLevels: ServiceLevels;
}

const FRESH_MS = 500;

export class SnapshotBuilder {
  #latest: { readonly at: number; readonly snapshot: Snapshot } | null = null;
  readonly #sources: SnapshotSources;
  readonly #startedAtMs: number;
  /** Looked up once: a snapshot for a scrape touches no file. */
  readonly #hasPressure: boolean;
  /** Static facts of the host, once they are known. */
  hostFacts: Readonly<Record<string, string>> = {};
  eventLoopLagSeconds = 0;
  /** What else the daemon lacks: a port that is taken, a watch that could not be set. */
  readonly lacks = new Map<string, string>();

  constructor(sources: SnapshotSources) {
    this.#sources = sources;
    this.#startedAtMs = sources.parts.clock.nowMs();
    this.#hasPressure = existsSync(join(sources.config.paths.proc, 'pressure', 'cpu'));
  }

  /** The snapshot for scrapes and pages: at most half a second old, so that many askers cost one. */
  current(): Snapshot {
    const now = this.#sources.parts.clock.monotonicMs();
    if (this.#latest === null || now - this.#latest.at > FRESH_MS) this.#latest = { at: now, snapshot: this.build() };
    return this.#latest.snapshot;
  }

  build(): Snapshot {
    const { parts, reconciler, config, version } = this.#sources;
    const { generations, gate, counters, clock, handsOff, host, inventory } = parts;
    const domains = parts.picture.domains();
    const active = generations.active;
    const status = this.#sources.libvirt.status();
    const { pending } = generations;
    return {
      version,
      atMs: clock.nowMs(),
      startedAtMs: this.#startedAtMs,
      mode: config.mode,
      killSwitch: gate.killSwitch(),
      handsOffAll: handsOff.all,
      ready: active !== null && inventory.complete && reconciler.lastSuccessMs !== null,
      lacks: this.#lacks(),
      generation:
        active === null
          ? null
          : { id: active.id, acceptedAtMs: generations.acceptedAtMs, files: active.files.map(({ path }) => path) },
      pendingGeneration:
        pending === null
          ? null
          : {
              id: pending.generation.id,
              domainsAffected: pending.affected,
              domainsTotal: pending.total,
              allowed: pending.allowed,
            },
      policyProblems: generations.problems,
      lastReloadSuccessful: generations.lastReloadSuccessful,
      lastReloadSuccessMs: generations.lastReloadSuccessMs,
      nextScheduleBoundaryMs: active === null ? null : nextBoundary(active, clock.nowMs()),
      libvirt: {
        uri: status.uri,
        connected: status.connected,
        libraryVersion: status.libraryVersion,
        daemonVersion: status.daemonVersion,
        lastError: status.lastError,
        quarantined: status.quarantined,
        reconnects: status.reconnects,
      },
      host: {
        cores: host.cores,
        memoryBytes: host.memoryBytes,
        cpuVersion: host.cpuVersion,
        facts: this.hostFacts,
        slices: parts.slices.snapshot(),
        ioCost: parts.ioCost.snapshot(),
        security: securityOf(parts.labels.audit.host),
        pressure: this.#sources.hostPressure(),
        ...feasibilityOf(domains, host.cores),
      },
      lastReconcileSuccessMs: reconciler.lastSuccessMs,
      cycleSeconds: reconciler.lastSeconds,
      domains,
      serviceLevels: this.#sources.serviceLevels.snapshot(),
      driftRepairsByDomain: { ...counters.driftRepairsByDomain },
      counters: counters.snapshot(generations),
      eventLoopLagSeconds: this.eventLoopLagSeconds,
    };
  }

  #lacks(): string[] {
    const { parts, libvirt, config, hierarchy } = this.#sources;
    const { generations, journal, handsOff, history } = parts;
    const status = libvirt.status();
    const lacks = [...this.lacks.values()];
    if (hierarchy === null) lacks.push(`cgroup: no CPU controller below ${config.paths.cgroup}`);
    if (status.uri === null) lacks.push('libvirt: switched off by configuration');
    else if (!status.connected)
      lacks.push(`libvirt: not connected to ${status.uri}: ${status.lastError ?? 'no answer yet'}`);
    if (parts.inventory.bareProblem !== null) lacks.push(`QEMU processes: ${parts.inventory.bareProblem}`);
    if (!this.#hasPressure) lacks.push('PSI: this kernel has no pressure files');
    if (generations.active === null) lacks.push('policies: none in force; no guest is managed');
    if (generations.undecided && generations.active !== null) {
      lacks.push('policies: a new set waits until libvirt has said which guests there are');
    }
    if (journal.damaged !== null)
      lacks.push(`journal: was damaged, put aside as ${journal.damaged}; originals may be unknown`);
    if (journal.saveError !== null) lacks.push(`journal: cannot be saved: ${journal.saveError}`);
    if (handsOff.damaged !== null) {
      lacks.push(
        `hands-off list: was damaged, put aside as ${handsOff.damaged}; all guests are left alone until \`virtslad resume --all\``,
      );
    }
    if (generations.persistError !== null)
      lacks.push(`accepted policies: cannot be saved: ${generations.persistError}`);
    const { register, state } = parts.labels;
    if (register.damaged !== null) lacks.push(`label register: was damaged, put aside as ${register.damaged}`);
    if (state.damaged !== null) lacks.push(`label actions: were damaged, put aside as ${state.damaged}`);
    if (state.saveError !== null) lacks.push(`label actions: cannot be saved: ${state.saveError}`);
    if (history.error !== null) lacks.push(`history: cannot be written: ${history.error}`);
    return lacks;
  }
}
