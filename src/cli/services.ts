/**
 * The parts of the program that verbs call on, as functions that load them when first used: `virtslad help` must not
 * load libvirt, and a verb's test gives its own.
 */
import type { Config } from '../config/types.js';
import type { LaunchOptions, NotStarted } from '../launch-guest.js';
import type { Log, LogFormat, LogLevel, ProcessLog } from '../log.js';
import type { LocalSession } from '../lone-command.js';
import type { LoadResult } from '../policy/loader.js';
import type { Generation } from '../policy/types.js';
import type { ApplyReport, Target } from '../reconcile/types.js';
import type { RulesOptions } from '../rules/rule.js';
import type { RulesDocument } from '../rules/rules.js';
import type { DomainSnapshot, Snapshot } from '../snapshot/types.js';

type Awaitable<T> = T | Promise<T>;

/** The running daemon's commands through its socket. */
export interface DaemonClient {
  snapshot(): Awaitable<Snapshot>;
  apply(options: { readonly acknowledge: string | null }): Promise<ApplyReport>;
  release(target: Target): Promise<ApplyReport>;
  hold(target: { readonly domain: string }, forSeconds: number | null): Promise<DomainSnapshot>;
  resume(target: Target): Promise<ApplyReport>;
}

export interface Services {
  runDaemon(config: Config, log: Log, signal: AbortSignal): Promise<number>;
  openLocal(config: Config, log: Log, options: { readonly write: boolean }): Promise<LocalSession>;
  /** Null when nobody listens there. */
  connectSocket(path: string): Promise<DaemonClient | null>;
  loadPolicyDirectory(directory: string): Promise<LoadResult>;
  /** Files and directories, as one set. */
  loadPolicyPaths(paths: readonly string[]): Promise<LoadResult>;
  policyJsonSchema(): Promise<unknown>;
  makeRules(
    generation: Generation,
    options: RulesOptions,
  ): Promise<{ readonly document: RulesDocument; readonly text: string }>;
  /** False when the file has that text already. */
  replaceOutputFile(path: string, text: string): Promise<boolean>;
  /** Comes back only when QEMU was not started. */
  launchGuest(options: LaunchOptions): Promise<NotStarted>;
  /** True once a thread is known to be stuck in a native call: process.exit would wait for it. */
  stuck?(): boolean;
  createLog(options: { readonly level: LogLevel; readonly format: LogFormat }): Promise<ProcessLog>;
}

export function createServices(environment: Readonly<Record<string, string | undefined>>): Services {
  let stuck = false;
  return {
    stuck: () => stuck,
    async runDaemon(config, log, signal) {
      const { runDaemon } = await import('../daemon.js');
      const { clean } = await runDaemon(config, log, signal);
      stuck ||= !clean;
      return 0;
    },
    async openLocal(config, log, options) {
      const { openLocal } = await import('../lone-command.js');
      const session = await openLocal(config, log, options);
      const close = async (): Promise<boolean> => {
        const clean = await session.close();
        stuck ||= !clean;
        return clean;
      };
      return { ...session, close };
    },
    async connectSocket(path) {
      const { connectSocket } = await import('../http/client.js');
      return connectSocket(path);
    },
    async loadPolicyDirectory(directory) {
      const { loadPolicyDirectory } = await import('../policy/loader.js');
      return loadPolicyDirectory(directory);
    },
    async loadPolicyPaths(paths) {
      const { loadPolicyPaths } = await import('../policy/loader.js');
      return loadPolicyPaths(paths);
    },
    async policyJsonSchema() {
      const { policyJsonSchema } = await import('../policy/json-schema.js');
      return policyJsonSchema();
    },
    async makeRules(generation, options) {
      const { renderRules, rulesOf } = await import('../rules/rules.js');
      const document = rulesOf(generation, options);
      return { document, text: renderRules(document) };
    },
    async replaceOutputFile(path, text) {
      const { replaceOutputFile } = await import('../host/output-file.js');
      return replaceOutputFile(path, text);
    },
    async launchGuest(options) {
      const { launchGuest } = await import('../launch-guest.js');
      return launchGuest(options);
    },
    async createLog(options) {
      const { createLog } = await import('../log.js');
      // systemd sets JOURNAL_STREAM for services whose stderr is the journal (systemd.exec(5)).
      return createLog({ ...options, journald: environment.JOURNAL_STREAM !== undefined });
    },
  };
}
