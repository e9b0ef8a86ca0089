/**
 * First look at a policy text, before any tree is built: refuses what YAML offers beyond plain data (aliases, anchors,
 * tags, merge keys, directives, several documents), deep nesting, and characters that have no place in a text file.
 * Takes the text, gives its tokens and the problems. Iterative throughout, and run before the composer on purpose: the
 * composer recurses, and a stack nearly full makes V8 abort the whole process, not just throw.
 */
import { type CST, LineCounter, Parser } from 'yaml';
import type { ErrorCode, Problem, SourcePosition } from '../errors.js';

/** Largest policy file, in bytes. */
export const POLICY_BYTES_MAX = 256 * 1024;
/** Deepest nesting of maps and lists. */
export const POLICY_DEPTH_MAX = 32;

export type PositionAt = (offset: number) => SourcePosition;

export interface Scan {
  /** Null when the text must not be looked at any further. */
  readonly tokens: readonly CST.Token[] | null;
  readonly at: PositionAt;
  readonly problems: readonly Problem[];
}

export function scanPolicy(file: string, text: string): Scan {
  const lines = new LineCounter();
  const at: PositionAt = (offset) => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const character = strangeCharacter(text);
  if (character !== null) {
    countLines(text, lines);
    return { tokens: null, at, problems: [characterProblem(text, character, at(character))] };
  }
  const tokens = [...new Parser(lines.addNewLine).parse(text)];
  const findings = new Findings(at);
  const deep = walk(tokens, findings);
  return { tokens: deep ? null : tokens, at, problems: findings.problems };
}

/** The characters that YAML 1.2 does not print, and those that make a reader see another text than the parser does. */
const STRANGE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff\ufffe]|\r(?!\n)|\p{Surrogate}/u;

function strangeCharacter(text: string): number | null {
  const found = STRANGE.exec(text);
  return found === null ? null : found.index;
}

function characterProblem(text: string, offset: number, where: SourcePosition): Problem {
  const code = text.codePointAt(offset) ?? 0;
  const name = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
  const known: Readonly<Record<number, readonly [string, string]>> = {
    0: ['a NUL byte', 'save the file as plain UTF-8 text'],
    13: ['a carriage return without a line feed', 'save the file with Unix line ends'],
    65279: ['a byte order mark', 'save the file as UTF-8 without BOM'],
  };
  const [what, fix] = known[code] ?? [`the control character ${name}`, 'remove it'];
  return { code: 'POLICY_ENCODING', message: `the file has ${what}`, where, fix };
}

function countLines(text: string, lines: LineCounter): void {
  lines.addNewLine(0);
  for (let i = text.indexOf('\n'); i !== -1; i = text.indexOf('\n', i + 1)) lines.addNewLine(i + 1);
}

const PROBLEMS_OF_A_KIND_MAX = 10;

/** Collects problems; of each kind the first few, since a generated file may repeat one a thousand times. */
class Findings {
  readonly problems: Problem[] = [];
  private readonly counts = new Map<ErrorCode, number>();
  private readonly at: PositionAt;

  constructor(at: PositionAt) {
    this.at = at;
  }

  add(code: ErrorCode, offset: number, message: string, fix: string): void {
    const count = (this.counts.get(code) ?? 0) + 1;
    this.counts.set(code, count);
    if (count <= PROBLEMS_OF_A_KIND_MAX) this.problems.push({ code, message, where: this.at(offset), fix });
  }
}

/** Looks at every token once. Gives true when the nesting is too deep to go on. */
function walk(roots: readonly CST.Token[], findings: Findings): boolean {
  const open: { readonly token: CST.Token; readonly depth: number }[] = [];
  let documents = 0;
  let deepest: number | null = null;
  for (const root of roots) {
    if (root.type === 'document' && ++documents === 2) {
      const message = 'the file holds more than one YAML document';
      findings.add('POLICY_YAML_DOCUMENTS', root.offset, message, 'put each document into a file of its own');
    }
    if (root.type === 'directive') {
      const message = 'YAML directives are not accepted';
      findings.add('POLICY_YAML_DIRECTIVE', root.offset, message, 'remove the line; YAML 1.2 is understood');
    }
    open.push({ token: root, depth: 0 });
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const { token, depth } = next;
      look(token, findings);
      const inner = children(token);
      const below = 'items' in token ? depth + 1 : depth;
      if (below > POLICY_DEPTH_MAX) {
        deepest = Math.min(deepest ?? token.offset, token.offset);
        continue;
      }
      // The last in is looked at first: in the order of the text.
      for (const child of inner.reverse()) open.push({ token: child, depth: below });
    }
  }
  if (deepest === null) return false;
  const message = `maps and lists are nested more than ${POLICY_DEPTH_MAX} deep`;
  findings.add('POLICY_YAML_DEPTH', deepest, message, 'write the policy flat, as the examples are');
  return true;
}

function look(token: CST.Token, findings: Findings): void {
  if (token.type === 'alias') {
    findings.add('POLICY_YAML_ALIAS', token.offset, 'aliases (*name) are not accepted', 'write the value out');
  } else if (token.type === 'anchor') {
    findings.add(
      'POLICY_YAML_ALIAS',
      token.offset,
      'anchors (&name) are not accepted',
      'remove it and write the value out',
    );
  } else if (token.type === 'tag') {
    findings.add(
      'POLICY_YAML_TAG',
      token.offset,
      'tags (!name) are not accepted',
      'remove the tag, or put the text in quotes',
    );
  }
  if (token.type === 'double-quoted-scalar' || token.type === 'single-quoted-scalar') {
    if (!isClosed(token.source)) {
      const message = `a text starts with ${token.source[0]} and does not end`;
      findings.add('POLICY_YAML_SYNTAX', token.offset, message, `add the closing ${token.source[0]}`);
    }
  }
  if (token.type !== 'block-map' && token.type !== 'flow-collection') return;
  for (const { key } of token.items) {
    if (key?.type === 'scalar' && key.source === '<<') {
      const fix = 'write the keys out in each class';
      findings.add('POLICY_YAML_MERGE_KEY', key.offset, 'merge keys (<<) are not accepted', fix);
    }
  }
}

/** Whether a quoted text ends with its quote: one that is not escaped, by `\\` in double quotes, by itself in single. */
function isClosed(source: string): boolean {
  const quote = source[0];
  if (source.length < 2 || !source.endsWith(quote as string)) return false;
  const inner = source.slice(1, -1);
  if (quote === '"') return (/\\*$/.exec(inner)?.[0].length ?? 0) % 2 === 0;
  return (/'*$/.exec(inner)?.[0].length ?? 0) % 2 === 0;
}

/** Everything that hangs below a token, properties included. */
function children(token: CST.Token): CST.Token[] {
  if (token.type === 'document') return [...token.start, ...(token.value ? [token.value] : [])];
  if (token.type === 'block-scalar') return token.props;
  if (!('items' in token)) return [];
  const found: CST.Token[] = [];
  for (const item of token.items) {
    found.push(...item.start);
    if (item.key) found.push(item.key);
    if (item.sep) found.push(...item.sep);
    if (item.value) found.push(item.value);
  }
  return found;
}
