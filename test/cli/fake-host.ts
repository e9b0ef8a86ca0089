/** A host for whole commands in one process: what they print is kept, and the services they call are fakes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CommandHost, runCommand } from '../../src/cli/dispatch.js';
import type { DaemonClient, Services } from '../../src/cli/services.js';
import type { Config } from '../../src/config/types.js';
import type { ProcessLog } from '../../src/log.js';
import { FIXTURE_AT_MS, fixtureSnapshot } from '../fixtures/snapshot.js';
import { fixtureApply, fixturePlan } from './fixture-plan.js';

export interface CommandRun {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** What was asked of services, in order. */
  readonly calls: readonly string[];
  readonly config: Config | null;
  readonly logged: readonly string[];
}

export interface FakeOptions {
  /** True: a daemon listens. */
  readonly daemon?: boolean;
  readonly services?: Partial<Services>;
  readonly signal?: AbortSignal;
  readonly onReload?: (listener: () => void) => void;
  readonly defaultConfigFile?: string;
  readonly color?: boolean;
}

export async function command(words: readonly string[], options: FakeOptions = {}): Promise<CommandRun> {
  const calls: string[] = [];
  const logged: string[] = [];
  const printed = { out: '', err: '' };
  let config: Config | null = null;
  const record = (line: string, ...given: unknown[]): void => {
    calls.push([line, ...given.map((value) => JSON.stringify(value))].join(' '));
  };
  const commands = (who: string): DaemonClient => ({
    snapshot: () => fixtureSnapshot(),
    apply: async (what) => {
      record(`${who} apply`, what);
      return { ...fixtureApply(), outcomes: [] };
    },
    release: async (target) => {
      record(`${who} release`, target);
      return { ...fixtureApply(), outcomes: [] };
    },
    resume: async (target) => {
      record(`${who} resume`, target);
      return { ...fixtureApply(), outcomes: [] };
    },
    hold: async (target, forSeconds) => {
      record(`${who} hold`, target, forSeconds);
      const domain = fixtureSnapshot().domains[6];
      if (domain === undefined) throw new Error('the fixture has no held guest');
      return domain;
    },
  });
  const log = (level: string) => (event: string, fields: object) => {
    logged.push(`${level} ${event} ${JSON.stringify(fields)}`);
  };
  const services: Services = {
    async runDaemon(given) {
      config = given;
      record('run');
      return 0;
    },
    async openLocal(given, _log, { write }) {
      config = given;
      record(write ? 'open for writing' : 'open');
      return {
        plan: async () => fixturePlan(),
        commands: { ...commands('local'), snapshot: () => fixtureSnapshot() } as never,
        async close() {
          record('close');
          return true;
        },
      };
    },
    async connectSocket(path) {
      record('connect', path);
      return options.daemon === true ? commands('daemon') : null;
    },
    async loadPolicyDirectory(directory) {
      record('load', directory);
      return { ok: false, problems: [] };
    },
    async loadPolicyPaths(paths) {
      record('load', ...paths);
      return { ok: false, problems: [] };
    },
    policyJsonSchema: async () => ({ type: 'object' }),
    async makeRules(generation, options) {
      record('rules', generation.id, options);
      return { document: { groups: [] }, text: '# rules\n' };
    },
    async replaceOutputFile(path, text) {
      record('write', path, text);
      return true;
    },
    async launchGuest({ className, words }) {
      record('launch', className ?? 'as assigned', ...words);
      const problem = { code: 'LAUNCH_PROGRAM', message: 'there is no such program', fix: 'install QEMU' } as const;
      return { exitCode: 127, problem };
    },
    createLog: async ({ level, format }) => {
      record('log', level, format);
      const made: ProcessLog = {
        debug: log('debug'),
        info: log('info'),
        warn: log('warn'),
        error: log('error'),
        flush() {},
      };
      return made;
    },
    ...options.services,
  };
  const color = options.color ?? false;
  const keep = (stream: 'out' | 'err') => (text: string) => {
    printed[stream] += text;
  };
  const host: CommandHost = {
    out: { write: keep('out'), color, width: null },
    err: { write: keep('err'), color, width: null },
    version: '1.2.3',
    timeZone: 'UTC',
    nowMs: () => FIXTURE_AT_MS,
    workingDirectory: '/here',
    services,
    signal: options.signal ?? new AbortController().signal,
    onReload: options.onReload ?? (() => undefined),
    defaultConfigFile: options.defaultConfigFile ?? '/nonexistent/virtslad.yaml',
  };
  const code = await runCommand(words, host);
  return { code, ...printed, calls, config, logged };
}

/** A directory that is root's or the user's alone, gone after `act`. */
export async function inDirectory<T>(act: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'virtslad-cli-'));
  try {
    return await act(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
