/**
 * The syntax tree of a policy file: plain data with a position on every key and value, and nothing of the YAML library.
 * Maps are lists of entries, never objects: a key cannot reach a prototype.
 */
import type { SourcePosition } from '../errors.js';
import { printable } from '../text/printable.js';

export interface ScalarNode {
  readonly kind: 'scalar';
  readonly value: string | number | boolean | null;
  /** As written; for a quoted text, what the quotes hold. */
  readonly text: string;
  readonly position: SourcePosition;
}

export interface MapEntry {
  readonly key: string;
  readonly keyPosition: SourcePosition;
  readonly value: PolicyNode;
}

export interface MapNode {
  readonly kind: 'map';
  /** In the order of the file; keys are unique. */
  readonly entries: readonly MapEntry[];
  readonly position: SourcePosition;
}

export interface ListNode {
  readonly kind: 'list';
  readonly items: readonly PolicyNode[];
  readonly position: SourcePosition;
}

/** Stands where something refused was (an alias): already reported, so readers pass over it in silence. */
export interface RefusedNode {
  readonly kind: 'refused';
  readonly position: SourcePosition;
}

export type PolicyNode = ScalarNode | MapNode | ListNode | RefusedNode;

/** The entry of a key, or nothing. */
export function entryOf(map: MapNode, key: string): MapEntry | undefined {
  return map.entries.find((entry) => entry.key === key);
}

/** Plain JavaScript value of a node, for the leaf schemas. Maps get no prototype. */
export function plainValue(node: PolicyNode): unknown {
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(plainValue);
  if (node.kind === 'refused') return null;
  const value = Object.create(null) as Record<string, unknown>;
  for (const entry of node.entries) value[entry.key] = plainValue(entry.value);
  return value;
}

/** The node that a path of keys and list indexes leads to; the nearest one above it where the path ends early. */
export function nodeAt(node: PolicyNode, path: readonly PropertyKey[]): PolicyNode {
  const [step, ...rest] = path;
  if (step === undefined) return node;
  const next =
    node.kind === 'map'
      ? entryOf(node, String(step))?.value
      : node.kind === 'list'
        ? node.items[Number(step)]
        : undefined;
  return next === undefined ? node : nodeAt(next, rest);
}

/** Position of the key that a path ends in; of the value where it ends in no key. */
export function keyPositionAt(node: PolicyNode, path: readonly PropertyKey[]): SourcePosition {
  const parent = nodeAt(node, path.slice(0, -1));
  const last = path.at(-1);
  const entry = parent.kind === 'map' && last !== undefined ? entryOf(parent, String(last)) : undefined;
  return entry?.keyPosition ?? parent.position;
}

/** The value as an operator would write it on one line. */
export function nodeText(node: PolicyNode): string {
  if (node.kind === 'scalar') return node.text;
  if (node.kind === 'refused') return '';
  if (node.kind === 'list') return `[${node.items.map(nodeText).join(', ')}]`;
  return `{ ${node.entries.map((entry) => `${entry.key}: ${nodeText(entry.value)}`).join(', ')} }`;
}

/** Longest piece of a policy that an error line repeats, in characters. */
const QUOTED_LENGTH_MAX = 60;

/** Text from a policy file, in quotes, safe for a terminal and short enough for one line. */
export function quoted(text: string): string {
  return `"${printable(text, QUOTED_LENGTH_MAX)}"`;
}
