/**
 * Collects the problems of a policy set while it is read, so that all of them are told at once, and gives them sorted
 * by file and position. Also the words for "did you mean".
 */
import { nearest } from '../config/suggest.js';
import type { ErrorCode, Problem, SourcePosition } from '../errors.js';
import { quoted } from './ast.js';

/** More than anyone reads; a broken generator can make thousands. */
const PROBLEMS_MAX = 200;

export class Findings {
  readonly #errors: Problem[] = [];
  readonly #warnings: Problem[] = [];

  error(code: ErrorCode, where: SourcePosition, message: string, fix: string): void {
    this.#errors.push({ code, message, where, fix });
  }

  warn(code: ErrorCode, where: SourcePosition, message: string, fix: string): void {
    this.#warnings.push({ code, message, where, fix });
  }

  addAll(problems: readonly Problem[]): void {
    this.#errors.push(...problems);
  }

  get failed(): boolean {
    return this.#errors.length > 0;
  }

  errors(): readonly Problem[] {
    return bounded(sorted(this.#errors));
  }

  warnings(): readonly Problem[] {
    return bounded(sorted(this.#warnings));
  }
}

/** By file and position; what concerns a file as a whole comes before what is in it. */
export function sorted(problems: readonly Problem[]): Problem[] {
  return [...problems].sort((a, b) => comparePositions(placeOf(a), placeOf(b)));
}

function placeOf({ where }: Problem): SourcePosition {
  return typeof where === 'object' ? where : { file: where ?? '', line: 0, column: 0 };
}

function comparePositions(a: SourcePosition, b: SourcePosition): number {
  return comparePaths(a.file, b.file) || a.line - b.line || a.column - b.column;
}

/** Lexical order of file names; files of the same name in different directories follow their whole path. */
export function comparePaths(a: string, b: string): number {
  return compareText(baseName(a), baseName(b)) || compareText(a, b);
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** By code unit: the same order on every host, whatever its locale. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function bounded(problems: readonly Problem[]): readonly Problem[] {
  if (problems.length <= PROBLEMS_MAX) return problems;
  const rest: Problem = {
    code: 'POLICY_PROBLEM_COUNT',
    message: `${problems.length - PROBLEMS_MAX} more problems are not shown`,
    fix: 'fix those above first',
    ...wherePart(problems[PROBLEMS_MAX]),
  };
  return [...problems.slice(0, PROBLEMS_MAX), rest];
}

function wherePart(problem: Problem | undefined): Pick<Problem, 'where'> {
  return problem?.where === undefined ? {} : { where: problem.where };
}

/** Longest word that is compared with the known ones: the comparison costs the product of the lengths. */
const WORD_LENGTH_MAX = 64;

/** Words of libvirt, cgroups and other schedulers for what has a name of its own here. */
const SYNONYMS: Readonly<Record<string, string>> = {
  affinity: 'pin',
  cap: 'limit',
  ceiling: 'limit',
  cpuset: 'pin',
  ksm: 'merge',
  max: 'limit',
  min: 'guarantee',
  quota: 'limit',
  request: 'guarantee',
  requests: 'guarantee',
  reservation: 'guarantee',
  share: 'weight',
  shares: 'weight',
  target: 'of',
  tz: 'timezone',
  duration: 'for',
};

/** The known word that was probably meant, or nothing. */
export function meant(word: string, known: readonly string[]): string | null {
  if (word.length > WORD_LENGTH_MAX) return null;
  const synonym = Object.hasOwn(SYNONYMS, word) ? SYNONYMS[word] : undefined;
  return synonym !== undefined && known.includes(synonym) ? synonym : nearest(word, known);
}

/** `did you mean "limit"?`, or the list of what is known. */
export function didYouMean(word: string, known: readonly string[], what: string): string {
  const near = meant(word, known);
  if (near !== null) return `did you mean ${quoted(near)}?`;
  return known.length === 0 ? `there are no ${what}` : `the ${what} are ${known.join(', ')}`;
}
