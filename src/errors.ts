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
  APPLY_NOT_PENDING: 'The generation to acknowledge is not one that the blast radius held back.',
  CLI_NOT_BUILT: 'The command is planned and not built yet.',
  CLI_UNKNOWN_FLAG: 'A command was given a flag that it does not have.',
  CLI_UNKNOWN_VERB: 'The first word after virtslad is not one of its commands.',
  CLI_USAGE: 'A command was called with a missing, surplus or malformed argument.',
  CONFIG_NOT_FOUND: 'The configuration file named by --config does not exist.',
  CONFIG_OWNER: 'The configuration file, or a directory above it, could be changed by someone other than its owner.',
  CONFIG_SYNTAX:
    'The configuration file is not one plain YAML document (aliases, tags and duplicate keys are refused).',
  CONFIG_UNKNOWN_KEY: 'The configuration file has a key that virtslad does not know.',
  CONFIG_UNREADABLE: 'The configuration file cannot be read, is not a regular file, or is too large.',
  CONFIG_VALUE: 'A value of the configuration, in the file or as a flag, is not of the form that its key takes.',
  DOMAIN_AMBIGUOUS: 'More than one guest has the given name.',
  DOMAIN_UNKNOWN: 'No guest has the given name or uuid.',
  HISTORY_UNREADABLE: 'The history of writes in the state directory cannot be read.',
  HTTP_BAD_REQUEST: 'A request to the web server or to the control socket is malformed.',
  HTTP_LISTEN_ADDRESS: 'The web listen address is not of the form HOST:PORT.',
  HTTP_LISTEN_FAILED: 'The web server cannot listen on its address, for instance because the port is in use.',
  HTTP_METHOD: 'The web server answers GET and HEAD only; actions go through the control socket.',
  HTTP_NOT_FOUND: 'The path of a request is not one that the server has.',
  HTTP_OVERLOADED: 'An answer was not ready within the time that the server allows.',
  INTERNAL: 'A defect in virtslad itself; please report it with the log line that carries this code.',
  LAUNCH_CLASS: 'The class to start a guest in does not exist, no class is its own, or it must not be managed.',
  LAUNCH_COMMAND: 'The command given to `launch` is not that of a guest, or not of one that can run in its place.',
  LAUNCH_GROUP: 'The cgroups of a guest could not be made, entered or limited before its start.',
  LAUNCH_IMAGE: 'An image of a guest wears a security label under which it must not, or could not, be started.',
  LAUNCH_LABEL: 'A guest cannot be given the security label that its class asks for.',
  LAUNCH_PROGRAM: 'The QEMU program is not there, cannot be run, or could be changed by someone other than root.',
  LAUNCH_RIVAL: 'A guest with the uuid of the one to be started is running.',
  LOCK_FAILED: 'The lock file in the run directory could not be locked for a reason other than another holder.',
  NATIVE_LIBRARY_MISSING: 'A shared library that the command needs, or koffi to reach it, is not installed.',
  POLICY_CLASS_DUPLICATE: 'Two classes of a policy set have the same name.',
  POLICY_CLASS_NAME: 'The name of a class is not of the form [a-z][a-z0-9-]{0,31}.',
  POLICY_CLASS_UNASSIGNED: 'Warning: no assignment names the class, so no guest can be in it.',
  POLICY_CLASS_UNKNOWN:
    'An assignment, a schedule or a maintenance window names a class that no file of the set defines.',
  POLICY_CONFLICT: 'Two values of one class contradict each other, always or while a schedule is open.',
  POLICY_DIRECTORY_EMPTY: 'The policy directory holds no *.yaml file; the last good policy stays in force.',
  POLICY_DIRECTORY_MISSING:
    'The policy directory does not exist or cannot be read; the last good policy stays in force.',
  POLICY_EMPTY: 'A policy file has no content, or a part of it that needs some has none.',
  POLICY_ENCODING: 'A policy file is not plain UTF-8 text (BOM, NUL, control characters, other encodings).',
  POLICY_FILE_COUNT: 'The policy directory holds more files than virtslad reads.',
  POLICY_FILE_NAME:
    'A file of the policy directory looks like a policy but is not named *.yaml, so it would be ignored.',
  POLICY_FILE_SIZE: 'A policy file is larger than 256 KiB.',
  POLICY_FILE_TYPE: 'A policy is not a regular file.',
  POLICY_FILE_UNREADABLE: 'A policy file cannot be opened or read.',
  POLICY_MAINTENANCE_DUPLICATE: 'Two maintenance windows of a policy set have the same name.',
  POLICY_MAINTENANCE_ENDLESS:
    'Warning: a maintenance window never closes, so the objectives that it covers are never judged.',
  POLICY_MATCH:
    'The match of an assignment or maintenance window can match nothing, or its pattern or metadata path is malformed.',
  POLICY_MISSING_KEY: 'A key that a policy needs is missing.',
  POLICY_NO_EFFECT: 'Warning: a value is valid but does nothing without another one that is missing.',
  POLICY_OBJECTIVE:
    'An objective has a bound that its SLI does not take, lacks the one that it needs, or is not the only one on its SLI.',
  POLICY_OWNER: 'A policy file, or a directory above it, belongs to someone who must not set policy.',
  POLICY_PERMISSIONS: 'A policy file, or a directory above it, can be written by its group or by everyone.',
  POLICY_PROBLEM_COUNT: 'The policy set has more problems than are listed.',
  POLICY_SCHEDULE_CRON: 'The cron expression of a schedule or maintenance window is malformed or out of range.',
  POLICY_SCHEDULE_DUPLICATE: 'Two schedules of a policy set have the same name.',
  POLICY_SCHEDULE_NEVER: 'The cron expression of a schedule or maintenance window names a date that no calendar has.',
  POLICY_SCHEDULE_SET: 'A schedule sets something other than a key of a class, written CLASS.KEY.PATH.',
  POLICY_SCHEDULE_TIMEZONE:
    'The timezone of a schedule or maintenance window is not a name of the IANA time zone database.',
  POLICY_STRUCTURE: 'A part of a policy is a map, list or value where another of these is needed.',
  POLICY_TIMEOUT: 'Reading the policy files took too long and was given up; the last good policy stays in force.',
  POLICY_UNKNOWN_KEY: 'A policy has a key that virtslad does not know.',
  POLICY_UNREACHABLE: 'Warning: an assignment comes after one that matches every guest, so it is never reached.',
  POLICY_VALUE_RANGE: 'A value of a policy is well formed but outside what its key accepts.',
  POLICY_VALUE_SYNTAX: 'A value of a policy is not of the form that its key takes (unit, type, spelling).',
  POLICY_VERSION: 'The version of the policy language is not one that this virtslad reads.',
  POLICY_YAML_ALIAS: 'A policy file uses a YAML anchor or alias; values are written out.',
  POLICY_YAML_DEPTH: 'A policy file nests maps and lists more than 32 deep.',
  POLICY_YAML_DIRECTIVE: 'A policy file has a YAML directive (%YAML, %TAG).',
  POLICY_YAML_DOCUMENTS: 'A policy file holds more than one YAML document.',
  POLICY_YAML_DUPLICATE_KEY: 'A map of a policy file has the same key twice.',
  POLICY_YAML_MERGE_KEY: 'A policy file uses a YAML merge key (<<); keys are written out.',
  POLICY_YAML_SYNTAX: 'A policy file is not valid YAML.',
  POLICY_YAML_TAG: 'A policy file uses a YAML tag; plain values need none.',
  RULES_NOT_WRITTEN: 'The file named by `rules --out` could not be written.',
  RUN_LOCKED: 'Another virtslad holds the one-writer lock of this host.',
  STATE_DIRECTORY: 'The state or run directory cannot be made.',
  STATE_TRUST: 'The state directory, or one above it, could be changed by someone other than its owner.',
  SOCKET_FORBIDDEN: 'The control socket of the daemon belongs to another user.',
  SOCKET_LISTEN_FAILED: 'The daemon cannot make its control socket in the run directory.',
  SOCKET_PROTOCOL: 'What answers on the control socket is not a virtslad of this version, or it ended meanwhile.',
  SOCKET_TIMEOUT: 'The daemon did not answer on its control socket in time.',
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
