/**
 * The error catalogue. Every error a user can see has a stable code here; `docs/reference/errors.md` is generated
 * from it. An error says what happened (message), where (file:line:col or a path) and what to do (fix).
 * Expected outcomes (a guest vanished, a control is unsupported) are data and never appear here.
 */

/** A place in a file that operations staff edit. Lines and columns count from 1. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** code → what the code means, in one sentence for the reference page. Codes are never reused. */
export const ERROR_CATALOGUE = {
  CLI_NOT_BUILT: 'The command is planned and not built yet.',
  CLI_UNKNOWN_FLAG: 'A command was given a flag that it does not have.',
  CLI_UNKNOWN_VERB: 'The first word after virtslad is not one of its commands.',
  CLI_USAGE: 'A command was called with a missing, surplus or malformed argument.',
  CONFIG_NOT_FOUND: 'The configuration file named by --config does not exist.',
  CONFIG_OWNER: 'The configuration file, or a directory above it, could be changed by someone other than its owner.',
  CONFIG_SYNTAX: 'The configuration file is not one plain YAML document (aliases, tags and duplicate keys are refused).',
  CONFIG_UNKNOWN_KEY: 'The configuration file has a key that virtslad does not know.',
  CONFIG_UNREADABLE: 'The configuration file cannot be read, is not a regular file, or is too large.',
  CONFIG_VALUE: 'A value of the configuration, in the file or as a flag, is not of the form that its key takes.',
  DOMAIN_AMBIGUOUS: 'More than one guest has the given name.',
  DOMAIN_UNKNOWN: 'No guest has the given name or uuid.',
  INTERNAL: 'A defect in virtslad itself; please report it with the log line that carries this code.',
  POLICY_VALUE_RANGE: 'A value of a policy is well formed but outside what its key accepts.',
  POLICY_VALUE_SYNTAX: 'A value of a policy is not of the form that its key takes (unit, type, spelling).',
} as const satisfies Record<string, string>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** One problem, as data: what `check` prints and the API returns. */
export interface Problem {
  readonly code: ErrorCode;
  /** What happened, in one sentence without a trailing full stop. */
  readonly message: string;
  /** file:line:col for text, or a plain path; absent only where no file or path is concerned. */
  readonly where?: SourcePosition | string;
  /** What to write or do instead. */
  readonly fix: string;
}

/** Carries one or more problems; the only exception type thrown on purpose. */
export class VirtsladError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[] | Problem, options?: { cause?: unknown }) {
    const list = Array.isArray(problems) ? (problems as readonly Problem[]) : [problems as Problem];
    super(list.map(formatProblem).join('\n'), options);
    this.name = 'VirtsladError';
    this.problems = list;
  }

  get code(): ErrorCode {
    return this.problems[0]?.code ?? 'INTERNAL';
  }
}

/** `file:line:col: message [CODE]; fix` in one line. */
export function formatProblem(problem: Problem): string {
  return `${formatWhere(problem.where)}${problem.message} [${problem.code}]; ${problem.fix}`;
}

function formatWhere(where: Problem['where']): string {
  if (where === undefined) return '';
  return typeof where === 'string' ? `${where}: ` : `${formatPosition(where)}: `;
}

export function formatPosition(position: SourcePosition): string {
  return `${position.file}:${position.line}:${position.column}`;
}
