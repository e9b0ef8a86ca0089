/**
 * The configuration file's text → the values it sets, each checked by its key's schema. Pure; every problem has a
 * position. Plain YAML only: what could hide a value (aliases, tags, merge keys, duplicates) is refused.
 */
import { isMap, isScalar, LineCounter, parseDocument, visit, type YAMLMap } from 'yaml';
import type { Problem, SourcePosition } from '../errors.js';
import { scanPolicy } from '../policy/scan.js';
import { CONFIG_KEY_NAMES, type ConfigValues, configKey } from './keys.js';
import { nearest } from './suggest.js';

/** The values that a configuration text sets; adds to `problems`, with positions, whatever is wrong with it. */
export function parseConfigText(file: string, text: string, problems: Problem[]): Partial<ConfigValues> {
  const lines = new LineCounter();
  const at = (offset: number): SourcePosition => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const syntax = (where: SourcePosition, message: string, fix: string): void => {
    problems.push({ code: 'CONFIG_SYNTAX', message, where, fix });
  };
  // Before the composer, which recurses: V8 aborts the process when deep nesting exhausts the stack.
  const scan = scanPolicy(file, text);
  if (scan.tokens === null) {
    for (const { where, message, fix } of scan.problems)
      problems.push({ code: 'CONFIG_SYNTAX', message, fix, ...(where && { where }) });
    return {};
  }
  const plain = { version: '1.2', schema: 'core', merge: false, uniqueKeys: true, prettyErrors: false } as const;
  const document = parseDocument(text, { ...plain, lineCounter: lines });
  for (const error of document.errors) syntax(at(error.pos[0]), firstLine(error.message), syntaxFix(error.code));
  visit(document, {
    Alias: (_, node) => syntax(at(node.range?.[0] ?? 0), 'aliases are not accepted', 'write the value out'),
    Node: (_, node) => {
      if (node.tag !== undefined) syntax(at(node.range?.[0] ?? 0), 'tags are not accepted', 'leave the tag out');
    },
  });
  if (problems.some((problem) => problem.code === 'CONFIG_SYNTAX')) return {};
  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) return {};
  if (!isMap(root)) {
    syntax(at(root.range?.[0] ?? 0), 'the file is not a map of keys', 'write lines of the form KEY: VALUE');
    return {};
  }
  const values: Record<string, unknown> = {};
  readMap(root, '', values, at, problems);
  return values as Partial<ConfigValues>;
}

/** Walks the map and the maps in it; `prefix` is the dotted path of the map, with a dot at its end, or empty. */
function readMap(
  map: YAMLMap,
  prefix: string,
  values: Record<string, unknown>,
  at: (offset: number) => SourcePosition,
  problems: Problem[],
): void {
  for (const pair of map.items) {
    const keyNode = pair.key as { range?: readonly number[] | null };
    const where = at(keyNode.range?.[0] ?? 0);
    const name = isScalar(pair.key) ? String(pair.key.value) : '(not plain text)';
    const path = prefix + name;
    const spec = name.includes('.') ? undefined : configKey(path);
    if (spec !== undefined) {
      const valueNode = pair.value as { range?: readonly number[] | null; toJSON(): unknown } | null;
      const value = valueNode === null ? null : valueNode.toJSON();
      const valueAt = valueNode?.range?.[0] === undefined ? where : at(valueNode.range[0]);
      const result = value === undefined ? spec.schema.safeParse(null) : spec.schema.safeParse(value);
      if (result.success) values[path] = result.data;
      else problems.push(valueProblem(path, value, result.error.issues[0]?.message, valueAt));
    } else if (isMap(pair.value) && isSection(path)) {
      readMap(pair.value, `${path}.`, values, at, problems);
    } else {
      problems.push(isSection(path) ? sectionProblem(path, where) : unknownKey(path, prefix, where));
    }
  }
}

/** `key` as the operator wrote it: the dotted path, or the flag. */
export function valueProblem(
  key: string,
  value: unknown,
  message: string | undefined,
  where?: SourcePosition,
): Problem {
  const shown = value === undefined || value === null ? 'nothing' : JSON.stringify(value);
  return {
    code: 'CONFIG_VALUE',
    message: `${key} does not accept ${shown.length > 80 ? `${shown.slice(0, 79)}…` : shown}`,
    ...(where === undefined ? {} : { where }),
    fix: message ?? 'see docs/reference/configuration.md',
  };
}

/** True for `web`, `log` …: a key that only holds other keys. */
function isSection(path: string): boolean {
  return CONFIG_KEY_NAMES.some((name) => name.startsWith(`${path}.`));
}

function sectionProblem(path: string, where: SourcePosition): Problem {
  const keys = CONFIG_KEY_NAMES.filter((name) => name.startsWith(`${path}.`)).map((name) =>
    name.slice(path.length + 1),
  );
  return {
    code: 'CONFIG_VALUE',
    message: `${path} holds other keys and takes no value of its own`,
    where,
    fix: `write ${path}: { ${keys[0]}: … } with the keys ${keys.join(', ')}`,
  };
}

function unknownKey(path: string, prefix: string, where: SourcePosition): Problem {
  const asDotted = configKey(path);
  if (asDotted !== undefined) {
    const [section, ...rest] = path.split('.');
    return {
      code: 'CONFIG_UNKNOWN_KEY',
      message: `the key ${path} is written with a dot`,
      where,
      fix: `write ${section}: { ${rest.join('.')}: … }`,
    };
  }
  const sections = CONFIG_KEY_NAMES.filter((name) => name.includes('.')).map((name) => name.split('.')[0] as string);
  const meant = nearest(path, [...CONFIG_KEY_NAMES, ...sections]);
  const siblings = CONFIG_KEY_NAMES.filter((name) => name.startsWith(prefix));
  return {
    code: 'CONFIG_UNKNOWN_KEY',
    message: `unknown key ${path}`,
    where,
    fix: meant === null ? `known keys: ${siblings.join(', ')}` : `did you mean ${meant}?`,
  };
}

function syntaxFix(code: string): string {
  if (code === 'DUPLICATE_KEY') return 'write each key once';
  if (code === 'MULTIPLE_DOCS') return 'write one document a file';
  if (code === 'TAB_AS_INDENT') return 'indent with spaces';
  return 'correct the YAML; docs/reference/configuration.md shows a whole file';
}

function firstLine(message: string): string {
  return (message.split('\n')[0] ?? message).replace(/\.$/, '');
}
