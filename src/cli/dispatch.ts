/**
 * From the words of the command line to an exit code: finds the verb, gives it its context, and turns every error into
 * words for people. Takes what it touches from its host, so that tests run whole commands without a process.
 */
import { type ConfigSources, loadConfig } from '../config/load.js';
import type { Config } from '../config/types.js';
import { type Problem, VirtsladError } from '../errors.js';
import type { ProcessLog } from '../log.js';
import { type Invocation, parseCommand } from './arguments.js';
import { renderHelp, renderOverview } from './help.js';
import { renderProblems } from './render/problems.js';
import type { Services } from './services.js';
import {
  EXIT_CONFIG,
  EXIT_DONE,
  EXIT_ERROR,
  EXIT_INTERRUPTED,
  type Output,
  type Verb,
  type VerbContext,
} from './verb.js';
import { PLANNED_VERBS, VERBS } from './verbs.js';

export interface CommandHost {
  readonly out: Output;
  readonly err: Output;
  readonly version: string;
  readonly timeZone: string;
  readonly nowMs: () => number;
  readonly workingDirectory: string;
  readonly services: Services;
  readonly signal: AbortSignal;
  /** Calls back at each request to reload (SIGHUP). */
  readonly onReload: (listener: () => void) => void;
  /** Other place of the default configuration file, for tests. */
  readonly defaultConfigFile?: string;
}

/** Runs one command. Never throws; resolves to the exit code. */
export async function runCommand(words: readonly string[], host: CommandHost): Promise<number> {
  const parsed = parseCommand(words, VERBS, PLANNED_VERBS);
  switch (parsed.kind) {
    case 'version':
      host.out.write(`virtslad ${host.version}\n`);
      return EXIT_DONE;
    case 'help': {
      if (parsed.verb !== null) host.out.write(renderHelp(parsed.verb, host.out.color));
      // Asked for, help is an answer; given because nothing was asked, it is an error message.
      else if (words.length > 0) host.out.write(renderOverview(VERBS, host.out.color));
      else host.err.write(renderOverview(VERBS, host.err.color));
      return words.length > 0 ? EXIT_DONE : EXIT_ERROR;
    }
    case 'wrong':
      host.err.write(renderProblems(parsed.problems, 'error', host.err.color));
      return parsed.verb?.name === 'run' ? EXIT_CONFIG : EXIT_ERROR;
    case 'run':
      return runVerb(parsed.invocation, host);
  }
}

async function runVerb(invocation: Invocation, host: CommandHost): Promise<number> {
  const { verb, flags } = invocation;
  let config: Config | null = null;
  const opened: { log?: ProcessLog } = {};
  const context: VerbContext = {
    ...host,
    arguments: invocation.arguments,
    flags,
    json: flags.output === 'json',
    reader: { color: host.out.color, width: host.out.width, timeZone: host.timeZone, nowMs: host.nowMs() },
    loadConfig: () => loadConfig(sourcesOf(flags, host)),
    config: () => {
      config ??= context.loadConfig();
      return config;
    },
    log: async () => {
      const { level, format } = context.config().log;
      // A command that ends says its results on stdout; its log is for what went wrong.
      const quiet = verb.name !== 'run' && flags['log.level'] === undefined;
      opened.log ??= await host.services.createLog({ level: quiet ? 'warn' : level, format });
      return opened.log;
    },
  };
  try {
    if (verb.finishes === true) return await verb.run(context);
    return await Promise.race([verb.run(context), interrupted(host.signal)]);
  } catch (error) {
    const problems = error instanceof VirtsladError ? error.problems : [defect(error)];
    // The stack is for the daemon's log, and for whoever asks for it; never for a user.
    const traced = verb.name === 'run' || flags['log.level'] === 'debug';
    if (traced && !(error instanceof VirtsladError)) opened.log?.error('internal', { verb: verb.name, error });
    opened.log?.flush();
    host.err.write(renderProblems(problems, 'error', host.err.color));
    return exitCodeOf(verb, problems);
  } finally {
    opened.log?.flush();
  }
}

/** Resolves to what a shell makes of SIGINT; a command that only reads has nothing to finish. */
function interrupted(signal: AbortSignal): Promise<number> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(EXIT_INTERRUPTED);
    signal.addEventListener('abort', () => resolve(EXIT_INTERRUPTED), { once: true });
  });
}

/** A thing that should not be: its message only. The stack goes to the log, where there is one. */
export function defect(error: unknown): Problem {
  return {
    code: 'INTERNAL',
    message: error instanceof Error ? error.message : String(error),
    fix: 'this is a defect of virtslad; please report it',
  };
}

/** What is wrong with the configuration, or with the policies that `apply` is to apply, is not mended by trying again. */
function exitCodeOf(verb: Verb, problems: readonly Problem[]): number {
  if (verb.name !== 'run' && verb.name !== 'apply') return EXIT_ERROR;
  const isConfiguration = ({ code }: Problem): boolean => /^(CONFIG|POLICY)_|^HTTP_LISTEN_ADDRESS$/.test(code);
  return problems.some(isConfiguration) ? EXIT_CONFIG : EXIT_ERROR;
}

function sourcesOf(flags: Invocation['flags'], host: CommandHost): ConfigSources {
  const { config: file, ...others } = flags;
  const texts = Object.entries(others).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return {
    file: typeof file === 'string' ? file : null,
    flags: Object.fromEntries(texts),
    workingDirectory: host.workingDirectory,
    ...(host.defaultConfigFile === undefined ? {} : { defaultFile: host.defaultConfigFile }),
  };
}
