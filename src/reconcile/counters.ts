/** The daemon's monotone counters, as the snapshot carries them. */
import type { DaemonCounters } from '../snapshot/types.js';

export class Counters {
  cycles = 0;
  cycleFailures = 0;
  starts = 0;
  startsCappedBeforeResume = 0;
  suspensions = 0;
  imageRelabels = 0;
  readonly saveRestores = { done: 0, failed: 0 };
  readonly writes: Record<string, number> = {};
  readonly applyFailures: Record<string, number> = {};
  readonly driftRepairs: Record<string, number> = { libvirt: 0, systemd: 0, unknown: 0 };
  readonly driftRepairsByDomain: Record<string, number> = {};

  /** Every control is there from the start at 0, so that a rate over a first failure is not lost. */
  constructor(controls: readonly string[]) {
    for (const id of controls) {
      this.writes[id] = 0;
      this.applyFailures[id] = 0;
    }
  }

  written(control: string): void {
    this.writes[control] = (this.writes[control] ?? 0) + 1;
  }

  failed(control: string): void {
    this.applyFailures[control] = (this.applyFailures[control] ?? 0) + 1;
  }

  /** `uuid` null: the guest is gone already. */
  repaired(uuid: string | null, by: 'libvirt' | 'systemd' | 'unknown'): void {
    this.driftRepairs[by] = (this.driftRepairs[by] ?? 0) + 1;
    if (uuid !== null) this.driftRepairsByDomain[uuid] = (this.driftRepairsByDomain[uuid] ?? 0) + 1;
  }

  forget(uuid: string): void {
    delete this.driftRepairsByDomain[uuid];
  }

  snapshot(policy: { readonly reloads: number; readonly reloadFailures: number }): DaemonCounters {
    return {
      cycles: this.cycles,
      cycleFailures: this.cycleFailures,
      writes: { ...this.writes },
      applyFailures: { ...this.applyFailures },
      policyReloads: policy.reloads,
      policyReloadFailures: policy.reloadFailures,
      starts: this.starts,
      startsCappedBeforeResume: this.startsCappedBeforeResume,
      driftRepairs: { ...this.driftRepairs },
      suspensions: this.suspensions,
      imageRelabels: this.imageRelabels,
      saveRestores: { ...this.saveRestores },
    };
  }
}
