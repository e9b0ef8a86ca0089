/**
 * The schedules of a policy file: syntax tree in; names, cron expressions, zones and values checked, classes still by
 * name out.
 */
import type { SourcePosition } from '../errors.js';
import { entryOf, type MapEntry, type MapNode, type PolicyNode, quoted } from './ast.js';
import { checkCron } from './cron-fields.js';
import { didYouMean, type Findings, meant } from './findings.js';
import { asList, asMap, knownKeys, readLeaf, readValue, required } from './read.js';
import { CLASS_FIXED_KEYS, findKey, type KeyTree, SCHEDULE_KEYS, SCHEDULE_NAME } from './schema.js';
import type { Schedule, Sourced } from './types.js';
import { duration } from './value-types.js';
import { isTimeZone } from './zone.js';

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
/** Shorter than a cycle is of no use, longer than a year never closes. */
const windowLength = duration('1s', '366d');

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
  const nameEntry = required(map, 'name', 'the schedule', 'nights', findings);
  const cronEntry = required(map, 'cron', 'the schedule', '"0 20 * * 1-5"', findings);
  const forEntry = required(map, 'for', 'the schedule', '10h', findings);
  const setEntry = required(map, 'set', 'the schedule', '{ bronze.cpu.limit: 100% }', findings);
  const zoneEntry = entryOf(map, 'timezone');
  const name = nameEntry && readName(nameEntry.value, findings);
  const cron = cronEntry && readCron(cronEntry.value, findings);
  const forSeconds = forEntry && readValue(forEntry.value, windowLength, 'for', findings);
  const timezone = zoneEntry === undefined ? 'UTC' : readZone(zoneEntry.value, findings);
  const set = setEntry && readSet(setEntry.value, name, tree, findings);
  if (name === undefined || cron === undefined || forSeconds === undefined) return undefined;
  if (timezone === undefined || set === undefined) return undefined;
  return { name, cron, forSeconds, timezone, set, source: map.position };
}

/** The text of a single value that has to be text; YAML reads 10 and true as something else. */
function readText(node: PolicyNode, key: string, example: string, findings: Findings): string | undefined {
  if (node.kind === 'scalar' && typeof node.value === 'string' && node.value !== '') return node.value;
  if (node.kind === 'refused') return undefined;
  const shown = node.kind === 'scalar' && node.value !== null ? ` ${quoted(node.text)} is not text` : ' is not text';
  findings.error('POLICY_VALUE_SYNTAX', node.position, `${key}${shown}`, `write ${key}: ${example}`);
  return undefined;
}

function readName(node: PolicyNode, findings: Findings): string | undefined {
  const name = readText(node, 'name', 'nights', findings);
  if (name === undefined || SCHEDULE_NAME.test(name)) return name;
  const fix = 'write 1 to 64 letters, digits, ".", "_" or "-", the first a letter or digit';
  findings.error('POLICY_VALUE_SYNTAX', node.position, `${quoted(name)} is not a name for a schedule`, fix);
  return undefined;
}

function readCron(node: PolicyNode, findings: Findings): string | undefined {
  const text = readText(node, 'cron', '"0 20 * * 1-5"', findings);
  if (text === undefined) return undefined;
  const check = checkCron(text);
  if (!check.ok) {
    findings.error('POLICY_SCHEDULE_CRON', node.position, `cron ${quoted(text)} ${check.reason}`, check.fix);
    return undefined;
  }
  if (!check.everFires) {
    const fix = 'no month it names has such a day; correct the day of the month or the month';
    findings.error('POLICY_SCHEDULE_NEVER', node.position, `cron ${quoted(text)} never fires`, fix);
    return undefined;
  }
  return text.trim();
}

function readZone(node: PolicyNode, findings: Findings): string | undefined {
  const name = readText(node, 'timezone', 'Europe/Berlin', findings);
  if (name === undefined || isTimeZone(name)) return name;
  const near = meant(name, ['UTC', ...Intl.supportedValuesOf('timeZone')]);
  const fix =
    near === null ? 'write a name such as Europe/Berlin, or leave it out for UTC' : `did you mean ${quoted(near)}?`;
  findings.error('POLICY_SCHEDULE_TIMEZONE', node.position, `there is no time zone ${quoted(name)}`, fix);
  return undefined;
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
