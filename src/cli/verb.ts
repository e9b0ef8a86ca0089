/**
 * What a command of `virtslad` is: its words for help and completion, its flags, and the function that does it. A verb
 * gets everything it may touch from its context, so that tests run it without a process.
 */
import type { Config } from '../config/types.js';
import type { Problem } from '../errors.js';
import type { ProcessLog } from '../log.js';
import type { Reader } from './render/words.js';
import type { Services } from './services.js';

export interface FlagSpec {
  readonly name: string;
  /** One letter, without the dash. */
  readonly short?: string;
  /** What the value looks like, `DURATION`; absent for a switch. */
  readonly value?: string;
  /** The only values accepted. */
  readonly choices?: readonly string[];
  readonly summary: string;
}

export interface ArgumentSpec {
  /** `DOMAIN`; completion knows DOMAIN, PATH, COMMAND and SHELL. */
  readonly name: string;
  readonly summary: string;
  readonly least: number;
  readonly most: number;
}

/** Where text goes. */
export interface Output {
  write(text: string): void;
  readonly color: boolean;
  /** Terminal columns; null when it is no terminal. */
  readonly width: number | null;
}

export interface VerbContext {
  readonly arguments: readonly string[];
  /** Flags as given, without dashes; a switch is `true`. */
  readonly flags: Readonly<Record<string, string | true>>;
  readonly json: boolean;
  /** Read at the first call; throws VirtsladError. */
  config(): Config;
  /** Reads it anew, as a reload does. */
  loadConfig(): Config;
  /** For the daemon (`run`) as configured; for a command that ends, warnings and errors unless `--log.level` is given. */
  log(): Promise<ProcessLog>;
  readonly out: Output;
  readonly err: Output;
  /** How to render text for `out`. */
  readonly reader: Reader;
  readonly workingDirectory: string;
  readonly services: Services;
  /** Aborts when the process is asked to end. */
  readonly signal: AbortSignal;
  /** Calls back at each request to reload (SIGHUP). */
  readonly onReload: (listener: () => void) => void;
}

export interface Verb {
  readonly name: string;
  /** One line for the overview, without a full stop. */
  readonly summary: string;
  /** What it does, in paragraphs. */
  readonly about: readonly string[];
  readonly argument?: ArgumentSpec;
  readonly flags: readonly FlagSpec[];
  /** Takes `--config` and the flags of the configuration's keys. */
  readonly configured: boolean;
  /** Takes `-o text|json`. */
  readonly reads: boolean;
  /** An interrupt lets it come to its own end: it writes, and must not be cut off half way. */
  readonly finishes?: true;
  readonly examples: readonly (readonly [command: string, what: string])[];
  readonly exits: readonly (readonly [code: number, meaning: string])[];
  /** The exit code. Throws VirtsladError for what a user can mend. */
  run(context: VerbContext): Promise<number>;
}

export const EXIT_DONE = 0;
export const EXIT_ERROR = 1;
/** `plan --detailed-exitcode` found something to do. */
export const EXIT_PENDING = 2;
/** sysexits.h EX_CONFIG: `run` or `apply` cannot start for its configuration; systemd does not try again. */
export const EXIT_CONFIG = 78;

/** 128 + SIGINT, as shells have it. */
export const EXIT_INTERRUPTED = 130;

export const USUAL_EXITS: Verb['exits'] = [
  [EXIT_DONE, 'done'],
  [EXIT_ERROR, 'error; stderr says which'],
];

export function usage(message: string, fix: string): Problem {
  return { code: 'CLI_USAGE', message, fix };
}
