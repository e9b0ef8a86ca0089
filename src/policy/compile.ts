/**
 * A set of policy files → one generation, validated whole, or everything that is wrong with it. Pure: names and texts
 * in, immutable data out; no file is opened and no clock read here. The order in which files are given does not count,
 * their names do.
 */
import { createHash } from 'node:crypto';
import type { KeySpec } from '../controls/control.js';
import { CLASS_KEYS } from '../controls/registry.js';
import { formatPosition, type Problem } from '../errors.js';
import { entryOf, type MapNode, type PolicyNode, quoted } from './ast.js';
import { checkClasses } from './check-classes.js';
import { checkMaintenance, uniqueMaintenance } from './check-maintenance.js';
import { baseName, comparePaths, didYouMean, Findings } from './findings.js';
import { parsePolicy } from './parse.js';
import { asMap, knownKeys, required } from './read.js';
import { type AssignmentDraft, readAssignments } from './read-assignments.js';
import { readClass } from './read-class.js';
import { type MaintenanceDraft, readMaintenance } from './read-maintenance.js';
import { readSchedules, type ScheduleDraft } from './read-schedules.js';
import { CLASS_NAME, DOCUMENT_KEYS, type KeyTree, keyTree, POLICY_VERSION } from './schema.js';
import type { Generation, PolicyClass, Schedule } from './types.js';

export interface PolicyFile {
  /** As it shall appear in messages. */
  readonly path: string;
  readonly text: string;
}

export type CompileResult =
  | { readonly ok: true; readonly generation: Generation; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** What the files say so far, classes not yet looked up. */
interface Draft {
  readonly classes: Map<string, PolicyClass>;
  /** Named but not well described: known all the same, so that one mistake is told once. */
  readonly brokenClasses: Set<string>;
  readonly assignments: AssignmentDraft[];
  readonly schedules: ScheduleDraft[];
  readonly maintenance: MaintenanceDraft[];
  /** A file that could not be read may define any class. */
  incomplete: boolean;
}

/** `keys` are the class keys that there are; the registry's, but for tests. */
export function compile(files: readonly PolicyFile[], keys: readonly KeySpec[] = CLASS_KEYS): CompileResult {
  const tree = keyTree(keys);
  const findings = new Findings();
  const draft: Draft = {
    classes: new Map(),
    brokenClasses: new Set(),
    assignments: [],
    schedules: [],
    maintenance: [],
    incomplete: false,
  };
  const ordered = [...files].sort((a, b) => comparePaths(a.path, b.path));
  for (const file of ordered) {
    const { root, problems } = parsePolicy(file.path, file.text);
    findings.addAll(problems);
    if (root === null) draft.incomplete = true;
    else readDocument(root, draft, tree, findings);
  }
  lookUpClasses(draft, findings);
  const schedules = uniqueSchedules(draft.schedules, findings);
  const maintenance = uniqueMaintenance(draft.maintenance, findings);
  checkClasses(draft.classes, draft.assignments, schedules, findings);
  checkMaintenance(draft.maintenance, draft.classes, findings);
  if (findings.failed) return { ok: false, problems: findings.errors() };
  const generation: Generation = {
    id: generationId(ordered),
    files: ordered.map(({ path, text }) => ({ path, text })),
    classes: draft.classes,
    assignments: draft.assignments.map(({ className, match, source }) => ({ className, match, source })),
    schedules,
    maintenance,
  };
  return { ok: true, generation, warnings: findings.warnings() };
}

/**
 * First 12 hex digits of the SHA-256 over the names (without directory) and bytes of the files, each with its length
 * before it so that no two sets run into the same stream.
 */
export function generationId(files: readonly PolicyFile[]): string {
  const hash = createHash('sha256');
  for (const { path, text } of [...files].sort((a, b) => comparePaths(a.path, b.path))) {
    for (const part of [baseName(path), text]) {
      const bytes = new TextEncoder().encode(part);
      hash.update(`${bytes.length}:`).update(bytes);
    }
  }
  return hash.digest('hex').slice(0, 12);
}

function readDocument(root: PolicyNode, draft: Draft, tree: KeyTree, findings: Findings): void {
  const map = asMap(root, 'the policy', 'version: 1, then classes and assignments', findings);
  if (map === undefined) {
    draft.incomplete = true;
    return;
  }
  knownKeys(map, DOCUMENT_KEYS, 'the policy', findings);
  checkVersion(map, findings);
  const classes = entryOf(map, 'classes')?.value;
  if (classes !== undefined) readClasses(classes, draft, tree, findings);
  // An unknown key near `classes` most likely holds them: unknown classes would be an echo.
  else if (map.entries.some(({ key }) => /^class/i.test(key))) draft.incomplete = true;
  const assignments = entryOf(map, 'assignments')?.value;
  if (assignments !== undefined) draft.assignments.push(...readAssignments(assignments, findings));
  const schedules = entryOf(map, 'schedules')?.value;
  if (schedules !== undefined) draft.schedules.push(...readSchedules(schedules, tree, findings));
  const maintenance = entryOf(map, 'maintenance')?.value;
  if (maintenance !== undefined) draft.maintenance.push(...readMaintenance(maintenance, findings));
}

function checkVersion(map: MapNode, findings: Findings): void {
  const entry = required(map, 'version', 'the policy', String(POLICY_VERSION), findings);
  const value = entry?.value;
  if (value === undefined || value.kind === 'refused') return;
  if (value.kind === 'scalar' && value.value === POLICY_VERSION) return;
  const shown = value.kind === 'scalar' && value.value !== null ? ` ${quoted(value.text)}` : '';
  const message = `version${shown} is not ${POLICY_VERSION}, the one that this virtslad reads`;
  findings.error('POLICY_VERSION', value.position, message, `write version: ${POLICY_VERSION}`);
}

function readClasses(node: PolicyNode, draft: Draft, tree: KeyTree, findings: Findings): void {
  const map = asMap(node, 'classes', 'classes: { gold: { cpu: { limit: 50% } } }', findings);
  if (map === undefined) {
    draft.incomplete = true;
    return;
  }
  for (const entry of map.entries) {
    if (!CLASS_NAME.test(entry.key)) {
      const fix = 'write a lower-case letter, then up to 31 lower-case letters, digits or "-"';
      findings.error('POLICY_CLASS_NAME', entry.keyPosition, `${quoted(entry.key)} is not a name for a class`, fix);
    }
    const twin = draft.classes.get(entry.key);
    if (twin !== undefined) {
      const message = `the class ${quoted(entry.key)} is defined twice, first at ${formatPosition(twin.source)}`;
      findings.error('POLICY_CLASS_DUPLICATE', entry.keyPosition, message, 'rename or remove one of the two');
    }
    const policyClass = readClass(entry, tree, findings);
    if (policyClass === undefined) draft.brokenClasses.add(entry.key);
    else if (twin === undefined) draft.classes.set(entry.key, policyClass);
  }
}

function lookUpClasses(draft: Draft, findings: Findings): void {
  if (draft.incomplete) return;
  const known = [...draft.classes.keys(), ...draft.brokenClasses];
  const references = [
    ...draft.assignments.map(({ className, classPosition }) => ({ className, position: classPosition })),
    ...draft.schedules.flatMap(({ set }) => set),
    ...draft.maintenance.flatMap(({ classes }) =>
      (classes ?? []).map(({ name, position }) => ({ className: name, position })),
    ),
  ];
  for (const { className, position } of references) {
    if (known.includes(className)) continue;
    const fix = didYouMean(className, known, 'classes');
    findings.error('POLICY_CLASS_UNKNOWN', position, `there is no class ${quoted(className)}`, fix);
  }
}

function uniqueSchedules(drafts: readonly ScheduleDraft[], findings: Findings): readonly Schedule[] {
  const byName = new Map<string, Schedule>();
  for (const { set, ...schedule } of drafts) {
    const twin = byName.get(schedule.name);
    if (twin !== undefined) {
      const message = `the schedule ${quoted(schedule.name)} is defined twice, first at ${formatPosition(twin.source)}`;
      findings.error('POLICY_SCHEDULE_DUPLICATE', schedule.source, message, 'rename one of the two');
      continue;
    }
    byName.set(schedule.name, { ...schedule, set: set.map(({ className, key, to }) => ({ className, key, to })) });
  }
  return [...byName.values()];
}
