/**
 * Small readers over the syntax tree that report what does not fit: maps with known keys, required entries, single
 * values through a schema. Each gives the value, or nothing after a problem was added.
 */
import type { z } from 'zod';
import type { KeySpec } from '../controls/control.js';
import type { ErrorCode } from '../errors.js';
import {
  entryOf,
  keyPositionAt,
  type MapEntry,
  type MapNode,
  nodeAt,
  nodeText,
  type PolicyNode,
  plainValue,
  quoted,
} from './ast.js';
import { didYouMean, type Findings } from './findings.js';
import type { Sourced } from './types.js';
import type { ValueIssueParams } from './value-types.js';

/** `a map`, `a list`, `a single value`. */
export function kindInWords(node: PolicyNode): string {
  if (node.kind === 'map') return 'a map';
  if (node.kind === 'list') return 'a list';
  return node.kind === 'scalar' && node.value === null ? 'empty' : 'a single value';
}

/** The node as a map; `what` names it in messages, `example` shows one. */
export function asMap(node: PolicyNode, what: string, example: string, findings: Findings): MapNode | undefined {
  if (node.kind === 'map') return node;
  if (node.kind !== 'refused') wrongKind(node, what, 'a map of keys', example, findings);
  return undefined;
}

/** The items of a list; `what` names it in messages, `example` shows one. */
export function asList(node: PolicyNode, what: string, example: string, findings: Findings): readonly PolicyNode[] {
  if (node.kind === 'list') return node.items;
  if (node.kind !== 'refused') wrongKind(node, what, 'a list', example, findings);
  return [];
}

function wrongKind(node: PolicyNode, what: string, wanted: string, example: string, findings: Findings): void {
  const code = node.kind === 'scalar' && node.value === null ? 'POLICY_EMPTY' : 'POLICY_STRUCTURE';
  findings.error(code, node.position, `${what} is ${kindInWords(node)}, not ${wanted}`, `write ${example}`);
}

/** Reports every key of the map that is not known. */
export function knownKeys(map: MapNode, known: readonly string[], what: string, findings: Findings): void {
  for (const { key, keyPosition } of map.entries) {
    if (known.includes(key)) continue;
    const fix = didYouMean(key, known, `keys of ${what}`);
    findings.error('POLICY_UNKNOWN_KEY', keyPosition, `${what} has the unknown key ${quoted(key)}`, fix);
  }
}

/** The entry of a key that must be there. */
export function required(
  map: MapNode,
  key: string,
  what: string,
  example: string,
  findings: Findings,
): MapEntry | undefined {
  const entry = entryOf(map, key);
  if (entry !== undefined) return entry;
  findings.error('POLICY_MISSING_KEY', map.position, `${what} has no ${key}`, `add ${key}: ${example}`);
  return undefined;
}

/** The value of a node through a schema of {@link import('./value-types.js')}; `name` is the key in messages. */
export function readValue<T>(
  node: PolicyNode,
  schema: z.ZodType<T>,
  name: string,
  findings: Findings,
  help?: string,
): T | undefined {
  if (node.kind === 'refused') return undefined;
  const result = schema.safeParse(plainValue(node));
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    const params = issue.code === 'custom' ? (issue.params as Partial<ValueIssueParams> | undefined) : undefined;
    const code: ErrorCode = params?.problem ?? 'POLICY_VALUE_SYNTAX';
    const fix = params?.fix ?? help ?? 'correct the value';
    const path = issue.path.map(String);
    if (code === 'POLICY_UNKNOWN_KEY') {
      findings.error(code, keyPositionAt(node, path), `${name} has the unknown key ${quoted(path.at(-1) ?? '')}`, fix);
      continue;
    }
    const part = nodeAt(node, path);
    findings.error(code, part.position, `${[name, ...path].join('.')}${shown(part)} ${issue.message}`, fix);
  }
  return undefined;
}

/** The value as written, where repeating it helps: not for maps, lists and nothing at all. */
function shown(node: PolicyNode): string {
  return node.kind === 'scalar' && node.value !== null ? ` ${quoted(node.text)}` : '';
}

/** The value of a class key, with its origin. */
export function readLeaf(node: PolicyNode, spec: KeySpec, name: string, findings: Findings): Sourced | undefined {
  const help = `write ${spec.range}, for example ${spec.example}`;
  const value = readValue(node, spec.schema, name, findings, help);
  return value === undefined ? undefined : { value, text: nodeText(node), source: node.position };
}
