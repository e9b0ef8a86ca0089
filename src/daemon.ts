/**
 * The seam between the command line and the daemon core: how a verb starts the daemon, or does the work of one
 * itself when none runs. Stand-in until the core is wired.
 */
import type { Config } from './config/types.js';
import { VirtsladError } from './errors.js';
import type { Log } from './log.js';
import type { Commands, PlanReport } from './reconcile/types.js';

/** A core without a daemon around it, for one command. */
export interface LocalSession {
  plan(): Promise<PlanReport>;
  readonly commands: Commands;
  close(): Promise<void>;
}

function notWired(): never {
  throw new VirtsladError({ code: 'INTERNAL', message: 'not wired yet', fix: 'use a complete build of virtslad' });
}

/** Runs until `signal` aborts; resolves to the exit code. */
export async function runDaemon(_config: Config, _log: Log, _signal: AbortSignal): Promise<number> {
  return notWired();
}

/** `write: false` takes no lock and writes nothing; `write: true` takes the one-writer lock or fails RUN_LOCKED. */
export async function openLocal(
  _config: Config,
  _log: Log,
  _options: { readonly write: boolean },
): Promise<LocalSession> {
  return notWired();
}
