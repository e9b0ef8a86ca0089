/**
 * What only shows when a whole set is seen: values of a class that contradict each other, at rest, in every schedule
 * window and in every pair of windows that can touch one class; and what is valid but without effect. Pairs suffice,
 * since every rule is between two values. Whether two windows ever overlap in time is not asked: clocks and calendars
 * change, and a set that depends on them breaks at night.
 */
import { formatPosition, type SourcePosition } from '../errors.js';
import { type Conflict, conflicts, idleValues, type Lookup } from './conflicts.js';
import type { Findings } from './findings.js';
import type { Assignment, KeyPath, PolicyClass, Schedule, Sourced } from './types.js';

interface Overlay {
  readonly schedule: string;
  readonly values: ReadonlyMap<KeyPath, Sourced>;
}

export function checkClasses(
  classes: ReadonlyMap<string, PolicyClass>,
  assignments: readonly Assignment[],
  schedules: readonly Schedule[],
  findings: Findings,
): void {
  for (const policyClass of classes.values())
    checkClass(policyClass, overlaysOf(policyClass.name, schedules), findings);
  const unreachableFrom = assignments.findIndex(({ match }) => match.any === true);
  if (unreachableFrom >= 0) {
    for (const { source } of assignments.slice(unreachableFrom + 1)) {
      const any = formatPosition((assignments[unreachableFrom] as Assignment).source);
      const fix = 'move it above, or into a file whose name sorts before';
      findings.warn('POLICY_UNREACHABLE', source, `this assignment is never reached: ${any} matches every guest`, fix);
    }
  }
  for (const { name, source } of classes.values()) {
    if (assignments.some(({ className }) => className === name)) continue;
    const fix = `add { class: ${name}, match: … } to assignments`;
    findings.warn('POLICY_CLASS_UNASSIGNED', source, `no assignment puts a guest into class ${name}`, fix);
  }
}

function overlaysOf(className: string, schedules: readonly Schedule[]): readonly Overlay[] {
  return schedules.flatMap((schedule) => {
    const set = schedule.set.filter((item) => item.className === className);
    return set.length === 0 ? [] : [{ schedule: schedule.name, values: new Map(set.map(({ key, to }) => [key, to])) }];
  });
}

function checkClass(policyClass: PolicyClass, overlays: readonly Overlay[], findings: Findings): void {
  const told = new Set<string>();
  const base: Lookup = (key) => policyClass.values.get(key);
  const report = (found: readonly Conflict[], when: string): void => {
    for (const { where, other, message, fix } of found) {
      const id = `${message}|${positionId(where)}|${other === null ? '' : positionId(other)}`;
      if (told.has(id)) continue;
      told.add(id);
      findings.error('POLICY_CONFLICT', where, `${message}${when}`, fix);
    }
  };
  report(conflicts(base), '');
  for (const [index, one] of overlays.entries()) {
    const single: Lookup = (key) => one.values.get(key) ?? base(key);
    report(conflicts(single), ` in class ${policyClass.name} while schedule ${one.schedule} is open`);
    for (const later of overlays.slice(index + 1)) {
      const both: Lookup = (key) => later.values.get(key) ?? single(key);
      const when = ` in class ${policyClass.name} while schedules ${one.schedule} and ${later.schedule} are both open`;
      report(conflicts(both), when);
    }
  }
  const everSet: Lookup = (key) => base(key) ?? overlays.find(({ values }) => values.has(key))?.values.get(key);
  warnIdle(policyClass, everSet, findings);
}

function warnIdle(policyClass: PolicyClass, get: Lookup, findings: Findings): void {
  for (const { where, message, fix } of idleValues(get)) findings.warn('POLICY_NO_EFFECT', where, message, fix);
  for (const { sli, source } of policyClass.objectives) {
    const promise = sli === 'cpu.delivered' ? 'cpu.guarantee' : sli === 'memory.delivered' ? 'memory.guarantee' : null;
    if (promise === null || get(promise) !== undefined) continue;
    const message = `the objective on ${sli} is always met: class ${policyClass.name} has no ${promise}`;
    findings.warn('POLICY_NO_EFFECT', source, message, `add ${promise} to the class, or remove the objective`);
  }
}

function positionId({ file, line, column }: SourcePosition): string {
  return `${file}:${line}:${column}`;
}
