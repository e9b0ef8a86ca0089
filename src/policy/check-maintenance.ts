/**
 * What only shows of a maintenance window when the whole set is seen: its name is taken, or what it names has no
 * objective that it could exclude, or it never closes. Drafts of all files in, windows out.
 */
import { formatPosition } from '../errors.js';
import { quoted } from './ast.js';
import { neverCloses } from './endless.js';
import type { Findings } from './findings.js';
import type { MaintenanceDraft } from './read-maintenance.js';
import type { MaintenanceWindow, PolicyClass } from './types.js';

export function uniqueMaintenance(
  drafts: readonly MaintenanceDraft[],
  findings: Findings,
): readonly MaintenanceWindow[] {
  const byName = new Map<string, MaintenanceWindow>();
  for (const { classes, slis, ...window } of drafts) {
    const twin = byName.get(window.name);
    if (twin !== undefined) {
      const message = `the maintenance window ${quoted(window.name)} is defined twice, first at ${formatPosition(twin.source)}`;
      findings.error('POLICY_MAINTENANCE_DUPLICATE', window.source, message, 'rename one of the two');
      continue;
    }
    const names = (placed: typeof classes) => placed?.map(({ name }) => name) ?? null;
    byName.set(window.name, { ...window, classes: names(classes), slis: names(slis) });
  }
  return [...byName.values()];
}

/** Warns of windows that never close, and of what one names in vain; of one that is in vain as a whole, once. */
export function checkMaintenance(
  drafts: readonly MaintenanceDraft[],
  classes: ReadonlyMap<string, PolicyClass>,
  findings: Findings,
): void {
  for (const draft of drafts) {
    if (neverCloses(draft.cron, draft.forSeconds)) {
      const message = `the maintenance window ${quoted(draft.name)} never closes: each one lasts until the next one opens`;
      const fix = 'write a shorter for; to stop judging objectives, remove them';
      findings.warn('POLICY_MAINTENANCE_ENDLESS', draft.source, message, fix);
    }
    const named = draft.classes?.flatMap(({ name }) => classes.get(name) ?? []) ?? [...classes.values()];
    const covers = (policyClass: PolicyClass) =>
      policyClass.objectives.filter(({ sli }) => draft.slis?.some(({ name }) => name === sli) ?? true);
    const covered = named.flatMap(covers);
    if (covered.length === 0) {
      const objective = draft.slis === null ? 'an objective' : 'an objective on one of its SLIs';
      const message = `the maintenance window ${quoted(draft.name)} excludes nothing: no class that it covers has ${objective}`;
      const fix = 'add objectives to the class, or correct classes and slis, or remove the window';
      findings.warn('POLICY_NO_EFFECT', draft.source, message, fix);
      continue;
    }
    for (const { name, position } of draft.classes ?? []) {
      const policyClass = classes.get(name);
      if (policyClass === undefined || covers(policyClass).length > 0) continue;
      const message = `the maintenance window ${quoted(draft.name)} excludes nothing of class ${name}, which has no objective that it covers`;
      findings.warn(
        'POLICY_NO_EFFECT',
        position,
        message,
        `add objectives to class ${name}, or remove it from classes`,
      );
    }
    for (const { name, position } of draft.slis ?? []) {
      if (covered.some(({ sli }) => sli === name)) continue;
      const message = `the maintenance window ${quoted(draft.name)} excludes nothing of ${name}: no class that it covers has an objective on it`;
      findings.warn('POLICY_NO_EFFECT', position, message, `add such an objective, or remove ${name} from slis`);
    }
  }
}
