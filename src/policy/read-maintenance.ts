/**
 * The maintenance windows of a policy file: syntax tree in; windows, matches and SLIs checked, classes still by name out.
 */
import type { SourcePosition } from '../errors.js';
import { entryOf, type MapEntry, type MapNode, type PolicyNode, quoted } from './ast.js';
import { didYouMean, type Findings } from './findings.js';
import { asList, asMap, knownKeys } from './read.js';
import { readMatch } from './read-assignments.js';
import { isWhole, readWindow } from './read-window.js';
import { isSli, MAINTENANCE_KEYS, SLIS } from './schema.js';
import type { MaintenanceWindow } from './types.js';

/** A name of a list, and where it is written. */
export interface PlacedName {
  readonly name: string;
  readonly position: SourcePosition;
}

export interface MaintenanceDraft extends Omit<MaintenanceWindow, 'classes' | 'slis'> {
  readonly classes: readonly PlacedName[] | null;
  readonly slis: readonly PlacedName[] | null;
}

const EXAMPLE = '- { name: patch-day, cron: "0 2 * * sun", for: 2h, timezone: Europe/Berlin, classes: [gold] }';

export function readMaintenance(node: PolicyNode, findings: Findings): readonly MaintenanceDraft[] {
  const drafts: MaintenanceDraft[] = [];
  for (const item of asList(node, 'maintenance', EXAMPLE, findings)) {
    const map = asMap(item, 'a maintenance window', EXAMPLE, findings);
    const draft = map && readOne(map, findings);
    if (draft !== undefined) drafts.push(draft);
  }
  return drafts;
}

function readOne(map: MapNode, findings: Findings): MaintenanceDraft | undefined {
  knownKeys(map, MAINTENANCE_KEYS, 'a maintenance window', findings);
  const window = readWindow(map, 'maintenance window', findings);
  const matched = entryOf(map, 'match');
  const classes = readNames(entryOf(map, 'classes'), '[gold, silver]', findings);
  const match = matched === undefined ? null : readMatch(matched.value, findings);
  const slis = readNames(entryOf(map, 'slis'), '[available]', findings);
  for (const { name, position } of slis ?? []) {
    if (isSli(name)) continue;
    const fix = didYouMean(name, Object.keys(SLIS), 'SLIs');
    findings.error('POLICY_OBJECTIVE', position, `there is no SLI ${quoted(name)}`, fix);
  }
  if (!isWhole(window) || match === undefined) return undefined;
  return { ...window, classes, match, slis, source: map.position };
}

/** Null for a key that is left out: it restricts nothing. One that is there and empty would cover nothing. */
function readNames(entry: MapEntry | undefined, example: string, findings: Findings): readonly PlacedName[] | null {
  if (entry === undefined) return null;
  const { key, value } = entry;
  const items = asList(value, key, `${key}: ${example}`, findings);
  if (value.kind === 'list' && items.length === 0) {
    const fix = `write ${key}: ${example}, or leave ${key} out for all`;
    findings.error('POLICY_EMPTY', value.position, `${key} is an empty list, which covers nothing`, fix);
  }
  const names = new Map<string, PlacedName>();
  for (const item of items) {
    if (item.kind === 'refused') continue;
    if (item.kind !== 'scalar' || typeof item.value !== 'string' || item.value === '') {
      const shown = item.kind === 'scalar' && item.value !== null ? ` ${quoted(item.text)}` : '';
      const message = `an item${shown} of ${key} is not a name`;
      findings.error('POLICY_VALUE_SYNTAX', item.position, message, `write ${key}: ${example}`);
    } else if (names.has(item.value)) {
      const message = `${key} names ${quoted(item.value)} twice`;
      findings.error('POLICY_STRUCTURE', item.position, message, 'remove one of the two');
    } else {
      names.set(item.value, { name: item.value, position: item.position });
    }
  }
  return [...names.values()];
}
