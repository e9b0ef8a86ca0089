/**
 * The class of a domain at one moment: its own values, then those of the schedules with an open window, key by key,
 * the later in file and position winning. A generation, an assignment and an instant in. Pure.
 */
import { openSchedules } from './schedule.js';
import type { Assignment, EffectiveClass, Generation, KeyPath, Sourced } from './types.js';

/** Throws when the class of the assignment is not in the generation, which compile.ts rules out. */
export function effectiveClass(generation: Generation, assignment: Assignment, nowMs: number): EffectiveClass {
  const own = generation.classes.get(assignment.className);
  if (own === undefined) throw new Error(`class ${assignment.className} is not in generation ${generation.id}`);
  let values: ReadonlyMap<KeyPath, Sourced> = own.values;
  const names: string[] = [];
  for (const schedule of openSchedules(generation, nowMs)) {
    const set = schedule.set.filter(({ className }) => className === own.name);
    if (set.length === 0) continue;
    names.push(schedule.name);
    values = new Map([...values, ...set.map(({ key, to }) => [key, to] as const)]);
  }
  return { name: own.name, priority: own.priority, values, assignment: assignment.source, openSchedules: names };
}
