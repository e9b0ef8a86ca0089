/** One class of a policy file: syntax tree in, {@link PolicyClass} with every value flattened to its key path out. */
import { entryOf, type MapEntry, type MapNode, type PolicyNode, quoted } from './ast.js';
import { didYouMean, type Findings, meant } from './findings.js';
import { readObjectives } from './objectives.js';
import { asMap, kindInWords, readLeaf, readValue } from './read.js';
import {
  CLASS_FIXED_KEYS,
  DEFAULT_PRIORITY,
  DESCRIPTION_LENGTH_MAX,
  findKey,
  type KeyTree,
  PRIORITY_MAX,
} from './schema.js';
import type { KeyPath, PolicyClass, Sourced } from './types.js';
import { integer, textUpTo } from './value-types.js';

const priority = integer(
  0,
  PRIORITY_MAX,
  `write a whole number from 0 to ${PRIORITY_MAX}; the lower, the sooner it gives way`,
);
const description = textUpTo(DESCRIPTION_LENGTH_MAX, { multiline: true });

/** Nothing when the class has no map of keys; else the class, with the values that are good. */
export function readClass(entry: MapEntry, tree: KeyTree, findings: Findings): PolicyClass | undefined {
  const what = `class ${entry.key}`;
  const map = asMap(entry.value, what, '{} for a class that manages nothing, or its keys below it', findings);
  if (map === undefined) return undefined;
  const values = new Map<KeyPath, Sourced>();
  readKeys(map, tree, what, values, findings);
  const priorityNode = entryOf(map, 'priority')?.value;
  const descriptionNode = entryOf(map, 'description')?.value;
  return {
    name: entry.key,
    description: (descriptionNode && readValue(descriptionNode, description, 'description', findings)) ?? '',
    priority: (priorityNode && readValue(priorityNode, priority, 'priority', findings)) ?? DEFAULT_PRIORITY,
    source: entry.keyPosition,
    values,
    objectives: readObjectives(entryOf(map, 'objectives')?.value, values, findings),
  };
}

function readKeys(map: MapNode, tree: KeyTree, what: string, values: Map<KeyPath, Sourced>, findings: Findings): void {
  for (const { key, keyPosition, value } of map.entries) {
    if (tree.path === '' && CLASS_FIXED_KEYS.some((known) => known === key)) continue;
    const child = tree.children.get(key);
    if (child === undefined) {
      const message = `${what} has the unknown key ${quoted(key)}`;
      findings.error('POLICY_UNKNOWN_KEY', keyPosition, message, unknownKeyFix(key, tree, what));
    } else if (child.spec !== undefined) {
      const leaf = readLeaf(value, child.spec, child.spec.key, findings);
      if (leaf !== undefined) values.set(child.spec.key, leaf);
    } else if (value.kind === 'map') {
      readKeys(value, child, child.path, values, findings);
    } else if (value.kind !== 'refused') {
      notAGroup(value, child, findings);
    }
  }
}

function notAGroup(value: PolicyNode, tree: KeyTree, findings: Findings): void {
  const [example] = leaves(tree);
  const code = value.kind === 'scalar' && value.value === null ? 'POLICY_EMPTY' : 'POLICY_STRUCTURE';
  const name = tree.path.slice(tree.path.lastIndexOf('.') + 1);
  const inner =
    example === undefined ? '…' : `${example.path.slice(tree.path.length + 1)}: ${example.spec?.example ?? '…'}`;
  findings.error(
    code,
    value.position,
    `${tree.path} is ${kindInWords(value)}, not a map of keys`,
    `write ${name}: { ${inner} }; its keys are ${[...tree.children.keys()].join(', ')}`,
  );
}

/** A near name here, else the same name elsewhere in a class, else what is known here. */
function unknownKeyFix(key: string, tree: KeyTree, what: string): string {
  if (/^c?\d+(?:[-.]c?\d+)?$/.test(key)) return 'a list with commas needs quotes inside { }, as in pin: "0-3,8"';
  const siblings = [...tree.children.keys(), ...(tree.path === '' ? CLASS_FIXED_KEYS : [])];
  if (key.includes('.') && findKey(tree, key) !== undefined) {
    const names = key.split('.');
    return `write it without the dot: ${names.join(': { ')}: …${' }'.repeat(names.length - 1)}`;
  }
  if (meant(key, siblings) === null) {
    const root = tree.path === '' ? tree : undefined;
    const elsewhere = root === undefined ? [] : leaves(root).filter((leaf) => leaf.path.endsWith(`.${key}`));
    if (elsewhere.length > 0) return `did you mean ${elsewhere.map((leaf) => leaf.path).join(' or ')}?`;
  }
  return didYouMean(key, siblings, `keys of ${what}`);
}

function leaves(tree: KeyTree): KeyTree[] {
  if (tree.spec !== undefined) return [tree];
  return [...tree.children.values()].flatMap(leaves);
}
