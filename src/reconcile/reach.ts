/** How many running domains a new policy set would change: the blast radius of an edit. */
import type { Domain, DomainFacts } from '../domains/types.js';
import { effectiveClass } from '../policy/effective.js';
import { assign } from '../policy/match.js';
import type { Assignment, EffectiveClass, Generation } from '../policy/types.js';
import type { Reach } from './generations.js';
import type { Parts } from './parts.js';

/** Matching is done once for each reading of a domain's XML and set of policies. */
const assignments = new WeakMap<DomainFacts, { generation: Generation; assignment: Assignment | null }>();

/** The class that a set of policies gives a domain at a moment; null when nothing matches or libvirt has not described it. */
export function classUnder(generation: Generation, domain: Domain, nowMs: number): EffectiveClass | null {
  if (domain.facts === null) return null;
  let known = assignments.get(domain.facts);
  if (known?.generation !== generation) {
    known = { generation, assignment: assign(generation, domain.facts) };
    assignments.set(domain.facts, known);
  }
  const { assignment } = known;
  return assignment === null ? null : effectiveClass(generation, assignment, nowMs);
}

/** Both sets are asked at the same moment, so that an open schedule window counts in both. */
export function countReach(parts: Parts, from: Generation, to: Generation): Reach {
  const nowMs = parts.clock.nowMs();
  const running = parts.inventory
    .all()
    .filter(({ process, uuid }) => process !== null && parts.handsOff.of(uuid) === null);
  const affected = running.filter((domain) => {
    if (!parts.manages(domain)) return false;
    // Nobody knows what would change for it.
    if (domain.facts === null) return true;
    const [before, after] = [from, to].map((generation) => valuesUnder(parts, generation, domain, nowMs));
    return before !== after;
  });
  return { affected: affected.length, total: running.length };
}

/** All desired values of a domain under a generation, as one comparable text. */
function valuesUnder(parts: Parts, generation: Generation, domain: Domain, nowMs: number): string {
  const effective = classUnder(generation, domain, nowMs);
  if (effective === null) return '';
  return parts.controls
    .map((control) => control.desired(effective, domain, parts.host, parts.inventory.sight(domain.uuid)))
    .map((desired) =>
      desired.kind === 'set' ? desired.settings.map(({ key, text }) => `${key}=${text}`).join() : desired.kind,
    )
    .join(';');
}
