/** The assignments of a policy file: syntax tree in, patterns checked, classes still by name out. */
import type { SourcePosition } from '../errors.js';
import { type MapEntry, nodeText, type PolicyNode, quoted } from './ast.js';
import type { Findings } from './findings.js';
import { parseGlob } from './glob.js';
import { parseMetadataPath } from './match.js';
import { asList, asMap, knownKeys, required } from './read.js';
import { ASSIGNMENT_KEYS, MATCH_KEYS } from './schema.js';
import type { Assignment, Match } from './types.js';

export interface AssignmentDraft extends Assignment {
  /** Where the class is named, for the error when there is none of that name. */
  readonly classPosition: SourcePosition;
}

const EXAMPLE = '- { class: gold, match: { name: "db-*" } }';
const MATCH_EXAMPLE = '{ name: "db-*" }';

export function readAssignments(node: PolicyNode, findings: Findings): readonly AssignmentDraft[] {
  const drafts: AssignmentDraft[] = [];
  for (const item of asList(node, 'assignments', EXAMPLE, findings)) {
    const map = asMap(item, 'an assignment', EXAMPLE, findings);
    if (map === undefined) continue;
    knownKeys(map, ASSIGNMENT_KEYS, 'an assignment', findings);
    const named = required(map, 'class', 'the assignment', 'gold', findings);
    const matched = required(map, 'match', 'the assignment', MATCH_EXAMPLE, findings);
    const className = named && readClassName(named.value, findings);
    const match = matched && readMatch(matched.value, findings);
    if (named === undefined || className === undefined || match === undefined) continue;
    drafts.push({ className, classPosition: named.value.position, match, source: map.position });
  }
  return drafts;
}

function readClassName(node: PolicyNode, findings: Findings): string | undefined {
  if (node.kind === 'scalar' && typeof node.value === 'string') return node.value;
  if (node.kind !== 'refused') {
    findings.error('POLICY_VALUE_SYNTAX', node.position, 'class is not the name of a class', 'write class: gold');
  }
  return undefined;
}

export function readMatch(node: PolicyNode, findings: Findings): Match | undefined {
  const map = asMap(node, 'match', MATCH_EXAMPLE, findings);
  if (map === undefined) return undefined;
  knownKeys(map, MATCH_KEYS, 'match', findings);
  if (map.entries.length === 0) {
    const fix = 'write match: { name: "db-*" }, or match: { any: true } for every guest';
    findings.error('POLICY_MATCH', map.position, 'match is empty', fix);
    return undefined;
  }
  const match: { -readonly [K in keyof Match]: Match[K] } = {};
  for (const entry of map.entries) {
    if (entry.key === 'any') readAny(entry, map.entries.length, match, findings);
    else if (entry.key === 'metadata') match.metadata = readMetadata(entry.value, findings);
    else if (entry.key === 'uuid') match.uuid = readUuid(entry.value, findings);
    else if (entry.key === 'name' || entry.key === 'title' || entry.key === 'description') {
      match[entry.key] = readPatterns(entry.value, entry.key, findings);
    }
  }
  return match;
}

function readAny(entry: MapEntry, keys: number, match: { any?: true }, findings: Findings): void {
  const { value } = entry;
  if (value.kind !== 'scalar' || value.value !== true) {
    if (value.kind === 'refused') return;
    const fix = 'write any: true for every guest, or another key instead';
    findings.error('POLICY_VALUE_SYNTAX', value.position, `any ${quoted(nodeText(value))} is not true`, fix);
    return;
  }
  if (keys > 1) {
    const fix = 'remove any: true, or the other keys';
    findings.error(
      'POLICY_MATCH',
      entry.keyPosition,
      'any: true matches every guest, the other keys say otherwise',
      fix,
    );
  }
  match.any = true;
}

/** libvirt writes uuids in lower case, so a pattern with a capital would match nothing. */
function readUuid(node: PolicyNode, findings: Findings): readonly string[] {
  const patterns = readPatterns(node, 'uuid', findings);
  for (const pattern of patterns) {
    if (!/[A-Z]/.test(pattern)) continue;
    const message = `uuid ${quoted(pattern)} has capitals, which no uuid of libvirt has`;
    findings.error('POLICY_MATCH', node.position, message, `write ${quoted(pattern.toLowerCase())}`);
  }
  return patterns;
}

function readMetadata(node: PolicyNode, findings: Findings): ReadonlyMap<string, readonly string[]> {
  const patterns = new Map<string, readonly string[]>();
  const example = '{ "nova:instance/nova:flavor@name": "m1.*" }';
  const map = asMap(node, 'metadata', example, findings);
  if (map === undefined) return patterns;
  if (map.entries.length === 0) findings.error('POLICY_MATCH', map.position, 'metadata is empty', `write ${example}`);
  for (const { key, keyPosition, value } of map.entries) {
    if (parseMetadataPath(key) === null) {
      const fix = 'write prefix:element, prefix:element/prefix:element or prefix:element@attribute';
      findings.error('POLICY_MATCH', keyPosition, `${quoted(key)} is not a metadata path`, fix);
      continue;
    }
    patterns.set(key, readPatterns(value, 'metadata', findings));
  }
  return patterns;
}

/** One pattern or a list of them, none of them empty. */
function readPatterns(node: PolicyNode, key: string, findings: Findings): readonly string[] {
  if (node.kind === 'list') {
    if (node.items.length === 0) {
      findings.error(
        'POLICY_MATCH',
        node.position,
        `${key} is an empty list, which matches nothing`,
        'write a pattern',
      );
    }
    return node.items.flatMap((item) => readPattern(item, key, findings));
  }
  return readPattern(node, key, findings);
}

function readPattern(node: PolicyNode, key: string, findings: Findings): readonly string[] {
  if (node.kind === 'refused') return [];
  if (node.kind !== 'scalar') {
    findings.error(
      'POLICY_STRUCTURE',
      node.position,
      `${key} is not a pattern`,
      `write ${key}: "db-*", or a list of patterns`,
    );
    return [];
  }
  if (node.value === null || node.value === '') {
    findings.error('POLICY_MATCH', node.position, `${key} has no pattern`, 'write a pattern such as "db-*"');
    return [];
  }
  if (typeof node.value !== 'string') {
    const message = `${key} ${quoted(node.text)} is not text`;
    findings.error('POLICY_VALUE_SYNTAX', node.position, message, `put it in quotes: "${node.text}"`);
    return [];
  }
  const parsed = parseGlob(node.value);
  if ('reason' in parsed) {
    const fix = 'write [[] for a bracket that stands for itself';
    findings.error('POLICY_MATCH', node.position, `${key} ${quoted(node.value)} ${parsed.reason}`, fix);
    return [];
  }
  return [node.value];
}
