/** The class that a guest is started in: the one that was named, else the one that the assignments give it. Pure. */
import { nearest } from '../config/suggest.js';
import type { Problem } from '../errors.js';
import { effectiveClass } from '../policy/effective.js';
import { assign } from '../policy/match.js';
import type { DomainAttributes, EffectiveClass, Generation } from '../policy/types.js';
import { printable } from '../text/printable.js';

export type ChosenClass =
  | { readonly ok: true; readonly effective: EffectiveClass; readonly notes: readonly string[] }
  | { readonly ok: false; readonly problem: Problem };

/** `named`: what `--class` says; null when it was not given. */
export function chooseClass(
  generation: Generation,
  guest: DomainAttributes,
  named: string | null,
  nowMs: number,
): ChosenClass {
  const assignment = assign(generation, guest);
  if (named === null) {
    if (assignment !== null) return { ok: true, effective: effectiveClass(generation, assignment, nowMs), notes: [] };
    return refused(
      `no assignment gives ${printable(guest.name, 80)} a class`,
      'name one with --class, or add an assignment',
    );
  }
  const chosen = generation.classes.get(named);
  if (chosen === undefined) {
    const meant = nearest(named, generation.classes.keys());
    const all = [...generation.classes.keys()].slice(0, 20).join(', ');
    const fix = meant === null ? `classes: ${all}` : `did you mean ${meant}?`;
    return refused(`there is no class ${printable(named, 80)}`, fix);
  }
  const effective = effectiveClass(generation, { className: named, match: {}, source: chosen.source }, nowMs);
  return { ok: true, effective, notes: differing(assignment?.className ?? null, named) };
}

function differing(assigned: string | null, named: string): readonly string[] {
  if (assigned === named) return [];
  const given = assigned === null ? 'no class' : `class ${assigned}`;
  return [`the assignments give this guest ${given}; as long as this process runs it is held to ${named}`];
}

function refused(message: string, fix: string): ChosenClass {
  return { ok: false, problem: { code: 'LAUNCH_CLASS', message, fix } };
}
