/** What `/api/v1` says: views of a snapshot, plain JSON in the snapshot's own words. Pure. */
import { isActive } from '../metrics/domain-families.js';
import type { ControlSnapshot, DomainSnapshot, Snapshot } from '../snapshot/types.js';

export interface DomainCounts {
  readonly total: number;
  readonly running: number;
  readonly managed: number;
  /** Of the managed guests that run, as virtsla_domain_compliant counts them. */
  readonly compliant: number;
  readonly noncompliant: number;
  readonly held: number;
}

export type StatusView = Omit<Snapshot, 'domains' | 'driftRepairsByDomain'> & { readonly domains: DomainCounts };

/** A guest as the list shows it: without the single settings. */
export type DomainView = Omit<DomainSnapshot, 'controls'> & {
  readonly controls: readonly Omit<ControlSnapshot, 'settings'>[];
};

export function countDomains(domains: readonly DomainSnapshot[]): DomainCounts {
  const managed = domains.filter((domain) => domain.className !== null);
  const judged = managed.filter(isActive);
  const compliant = judged.filter((domain) => domain.compliant).length;
  return {
    total: domains.length,
    running: domains.filter(isActive).length,
    managed: managed.length,
    compliant,
    noncompliant: judged.length - compliant,
    held: domains.filter((domain) => domain.handsOff !== null).length,
  };
}

export function statusView(snapshot: Snapshot): StatusView {
  const { domains, driftRepairsByDomain: _perDomain, ...rest } = snapshot;
  return { ...rest, domains: countDomains(domains) };
}

export function domainsView({ atMs, generation, domains }: Snapshot): {
  readonly atMs: number;
  readonly generation: string | null;
  readonly domains: readonly DomainView[];
} {
  return {
    atMs,
    generation: generation?.id ?? null,
    domains: domains.map((domain) => ({
      ...domain,
      controls: domain.controls.map(({ settings: _settings, ...control }) => control),
    })),
  };
}

export function policyView(snapshot: Snapshot): object {
  const names = [...new Set(snapshot.domains.map((domain) => domain.className))].filter((name) => name !== null).sort();
  return {
    generation: snapshot.generation,
    pendingGeneration: snapshot.pendingGeneration,
    lastReloadSuccessful: snapshot.lastReloadSuccessful,
    lastReloadSuccessMs: snapshot.lastReloadSuccessMs,
    nextScheduleBoundaryMs: snapshot.nextScheduleBoundaryMs,
    problems: snapshot.policyProblems,
    classes: names.map((name) => ({
      name,
      domains: countDomains(snapshot.domains.filter((domain) => domain.className === name)),
    })),
  };
}

/** Why the daemon is not ready; null when it is. */
export function notReadyReason(snapshot: Snapshot): string | null {
  if (snapshot.generation === null) {
    const [first] = snapshot.policyProblems;
    return first === undefined ? 'no policy is in force' : `no policy is in force: ${first}`;
  }
  return snapshot.ready ? null : 'the first reconcile is not done';
}
