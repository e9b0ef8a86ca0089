/** The schedules of a policy file: syntax tree in; windows and values checked, classes still by name out. */
import type { SourcePosition } from '../errors.js';
import { type MapEntry, type MapNode, type PolicyNode, quoted } from './ast.js';
import { didYouMean, type Findings, meant } from './findings.js';
import { asList, asMap, knownKeys, readLeaf, required } from './read.js';
import { isWhole, readWindow } from './read-window.js';
import { CLASS_FIXED_KEYS, findKey, type KeyTree, SCHEDULE_KEYS } from './schema.js';
import type { Schedule, Sourced } from './types.js';

export interface ScheduleDraft extends Omit<Schedule, 'set'> {
  readonly set: readonly {
    readonly className: string;
    readonly key: string;
    readonly to: Sourced;
    /** Where the path is written, for the error when there is no such class. */
    readonly position: SourcePosition;
  }[];
}

const EXAMPLE =
  '- { name: nights, cron: "0 20 * * 1-5", for: 10h, timezone: Europe/Berlin, set: { bronze.cpu.limit: 100% } }';

export function readSchedules(node: PolicyNode, tree: KeyTree, findings: Findings): readonly ScheduleDraft[] {
  const drafts: ScheduleDraft[] = [];
  for (const item of asList(node, 'schedules', EXAMPLE, findings)) {
    const map = asMap(item, 'a schedule', EXAMPLE, findings);
    const draft = map && readSchedule(map, tree, findings);
    if (draft !== undefined) drafts.push(draft);
  }
  return drafts;
}

function readSchedule(map: MapNode, tree: KeyTree, findings: Findings): ScheduleDraft | undefined {
  knownKeys(map, SCHEDULE_KEYS, 'a schedule', findings);
  const window = readWindow(map, 'schedule', findings);
  const setEntry = required(map, 'set', 'the schedule', '{ bronze.cpu.limit: 100% }', findings);
  const set = setEntry && readSet(setEntry.value, window.name, tree, findings);
  if (!isWhole(window) || set === undefined) return undefined;
  return { ...window, set, source: map.position };
}

function readSet(
  node: PolicyNode,
  schedule: string | undefined,
  tree: KeyTree,
  findings: Findings,
): ScheduleDraft['set'] | undefined {
  const example = '{ bronze.cpu.limit: 100% }';
  const map = asMap(node, 'set', example, findings);
  if (map === undefined) return undefined;
  if (map.entries.length === 0) findings.error('POLICY_EMPTY', map.position, 'set is empty', `write set: ${example}`);
  return map.entries.flatMap((entry) => {
    const item = readSetEntry(entry, tree, findings);
    if (item === undefined) return [];
    return [{ ...item, to: schedule === undefined ? item.to : { ...item.to, schedule } }];
  });
}

function readSetEntry(entry: MapEntry, tree: KeyTree, findings: Findings): ScheduleDraft['set'][number] | undefined {
  const { key: path, keyPosition: position } = entry;
  const refuse = (message: string, fix: string): undefined => {
    findings.error('POLICY_SCHEDULE_SET', position, message, fix);
  };
  const dot = path.indexOf('.');
  if (dot < 0)
    return refuse(
      `${quoted(path)} is not of the form CLASS.KEY.PATH`,
      `write ${path}.cpu.limit: VALUE, or another key`,
    );
  const className = path.slice(0, dot);
  const key = path.slice(dot + 1);
  const found = findKey(tree, key);
  if (found?.spec !== undefined) {
    const to = readLeaf(entry.value, found.spec, path, findings);
    return to && { className, key, to, position };
  }
  const keys = specs(tree).map((spec) => spec.path);
  if (found !== undefined) {
    const below = keys.filter((known) => known.startsWith(`${key}.`));
    return refuse(
      `${quoted(path)} is a group of keys`,
      `write one of ${below.map((known) => `${className}.${known}`).join(', ')}`,
    );
  }
  if (CLASS_FIXED_KEYS.some((known) => known === key)) {
    return refuse(
      `${key} cannot be set by a schedule`,
      'make another class, or set a key of a control such as cpu.limit',
    );
  }
  const near = meant(key, keys);
  const fix = near === null ? didYouMean(key, keys, 'keys') : `did you mean ${quoted(`${className}.${near}`)}?`;
  return refuse(`${quoted(path)} names the unknown key ${quoted(key)}`, fix);
}

function specs(tree: KeyTree): KeyTree[] {
  return tree.spec === undefined ? [...tree.children.values()].flatMap(specs) : [tree];
}
