/**
 * A policy text → its syntax tree with positions, or everything that is wrong with it as YAML. Pure. YAML 1.2, core
 * schema, one document of plain maps, lists and scalars; whatever could hide a value from its reader is refused.
 */
import { Composer, isMap, isPair, isScalar, isSeq, type YAMLError } from 'yaml';
import type { Problem } from '../errors.js';
import { printable } from '../text/printable.js';
import { type MapEntry, type PolicyNode, quoted } from './ast.js';
import { POLICY_BYTES_MAX, type PositionAt, type Scan, scanPolicy } from './scan.js';

export interface ParsedPolicy {
  /** Null when the file is broken or empty; `problems` says why. */
  readonly root: PolicyNode | null;
  readonly problems: readonly Problem[];
}

/** A broken line makes the lines after it look broken too: the first few tell. */
const SYNTAX_PROBLEMS_MAX = 10;

/** What the scan has already said in better words. */
const REPORTED_BY_SCAN = new Set([
  'ALIAS_PROPS',
  'BAD_ALIAS',
  'MULTIPLE_ANCHORS',
  'MULTIPLE_DOCS',
  'TAG_RESOLVE_FAILED',
]);

export function parsePolicy(file: string, text: string): ParsedPolicy {
  const tooLarge = sizeProblem(file, utf8Length(text));
  if (tooLarge !== null) return { root: null, problems: [tooLarge] };
  const scan = scanPolicy(file, text);
  if (scan.tokens === null) return { root: null, problems: scan.problems };
  const composer = new Composer({
    version: '1.2',
    schema: 'core',
    merge: false,
    resolveKnownTags: false,
    // Compares every key with every other; convert() below does it in linear time.
    uniqueKeys: false,
    stringKeys: true,
    prettyErrors: false,
    logLevel: 'silent',
  });
  const [document] = composer.compose(scan.tokens, true, text.length);
  if (document === undefined) return { root: null, problems: scan.problems };
  const problems = [...scan.problems, ...syntaxProblems(document.errors, scan, text)];
  if (problems.length > 0) return { root: null, problems };
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null)) {
    return { root: null, problems: [emptyProblem(file)] };
  }
  const root = convert(contents, scan.at, problems);
  return { root: problems.length > 0 ? null : root, problems };
}

/** Bytes → text. A file that is not UTF-8 is a problem at the first byte that is not. */
export function decodePolicy(
  file: string,
  bytes: Uint8Array,
): { readonly text: string } | { readonly problem: Problem } {
  const tooLarge = sizeProblem(file, bytes.length);
  if (tooLarge !== null) return { problem: tooLarge };
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    const before = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes).split('\ufffd', 1)[0] ?? '';
    const lines = before.split('\n');
    const where = { file, line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 };
    return {
      problem: { code: 'POLICY_ENCODING', message: 'the file is not UTF-8 text', where, fix: 'save the file as UTF-8' },
    };
  }
}

function sizeProblem(file: string, bytes: number): Problem | null {
  if (bytes <= POLICY_BYTES_MAX) return null;
  return {
    code: 'POLICY_FILE_SIZE',
    message: `the file has ${bytes} bytes, more than 256 KiB`,
    where: { file, line: 1, column: 1 },
    fix: 'split it into several files; use patterns such as name: "db-*" instead of one entry for each guest',
  };
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}

function emptyProblem(file: string): Problem {
  return {
    code: 'POLICY_EMPTY',
    message: 'the file holds no policy',
    where: { file, line: 1, column: 1 },
    fix: 'write version: 1 and classes, or remove the file',
  };
}

/** Library tree → ours. Recursion is bounded: the scan refused what is nested too deep. */
function convert(node: unknown, at: PositionAt, problems: Problem[]): PolicyNode {
  if (isScalar(node)) {
    const value = node.value as string | number | boolean | null;
    const text = typeof value === 'string' ? value : (node.source ?? String(value ?? ''));
    return { kind: 'scalar', value, text, position: at(node.range?.[0] ?? 0) };
  }
  if (isSeq(node)) {
    const items = node.items.map((item) => convert(item, at, problems));
    return { kind: 'list', items, position: at(node.range?.[0] ?? 0) };
  }
  if (!isMap(node)) return { kind: 'refused', position: at(0) };
  const entries = new Map<string, MapEntry>();
  for (const pair of node.items) {
    if (!isPair(pair) || !isScalar(pair.key)) continue;
    const key = String(pair.key.value ?? '');
    const keyPosition = at(pair.key.range?.[0] ?? 0);
    const value: PolicyNode =
      pair.value === null || pair.value === undefined
        ? { kind: 'scalar', value: null, text: '', position: keyPosition }
        : convert(pair.value, at, problems);
    const first = entries.get(key);
    if (first !== undefined) {
      problems.push({
        code: 'POLICY_YAML_DUPLICATE_KEY',
        message: `the key ${quoted(key)} appears twice, first at line ${first.keyPosition.line}`,
        where: keyPosition,
        fix: 'remove one of the two',
      });
    } else if (key === '__proto__') {
      problems.push({
        code: 'POLICY_UNKNOWN_KEY',
        message: 'the key "__proto__" is not accepted',
        where: keyPosition,
        fix: 'remove it',
      });
    } else {
      entries.set(key, { key, keyPosition, value });
    }
  }
  return { kind: 'map', entries: [...entries.values()], position: at(node.range?.[0] ?? 0) };
}

function syntaxProblems(errors: readonly YAMLError[], scan: Scan, text: string): Problem[] {
  const lines = new Set<number>();
  const problems: Problem[] = [];
  for (const error of errors) {
    if (REPORTED_BY_SCAN.has(error.code)) continue;
    // The end of the file says nothing about a quote left open on line 4; the scan has said where it opens.
    if (error.code === 'MISSING_CHAR' && scan.problems.some(({ code }) => code === 'POLICY_YAML_SYNTAX')) continue;
    let offset = error.pos[0];
    while (text[offset] === ' ') offset++;
    const where = scan.at(offset);
    // What follows on the same line is nearly always an echo of the first.
    if (lines.has(where.line)) continue;
    lines.add(where.line);
    const [message, fix] = inWords(error);
    problems.push({ code: 'POLICY_YAML_SYNTAX', message, where, fix });
    if (problems.length === SYNTAX_PROBLEMS_MAX) break;
  }
  return problems;
}

/** The library's own message serves where it says what an operator can act on. */
function inWords(error: YAMLError): readonly [message: string, fix: string] {
  switch (error.code) {
    case 'TAB_AS_INDENT':
      return ['a tab is used to indent', 'indent with spaces'];
    case 'BAD_INDENT':
      return ['the indentation does not fit the lines above', 'line the keys of one map up in the same column'];
    case 'MULTILINE_IMPLICIT_KEY':
      return ['a key runs over several lines', 'check for a colon that is missing on the line above'];
    case 'BLOCK_AS_IMPLICIT_KEY':
    case 'BLOCK_IN_FLOW':
      return ['a map starts where none can be', 'put text with ": " in it in quotes, or start the map on its own line'];
    case 'NON_STRING_KEY':
      return ['a key is not plain text', 'write the key as a word'];
    case 'RESOURCE_EXHAUSTION':
      return ['the file is too intricate to read', 'write the policy flat, as the examples are'];
    default:
      return [
        `not valid YAML: ${printable((error.message.split('\n')[0] ?? '').replace(/\.$/, ''), 120)}`,
        'correct the YAML; unbalanced quotes or brackets and missing spaces after colons are the usual causes',
      ];
  }
}
