#!/usr/bin/env node
/**
 * The entry: gives a command its process (streams, signals, environment) and the process its exit code. The only place
 * with process.exit.
 */
import { type CommandHost, defect, runCommand } from './cli/dispatch.js';
import { renderProblems } from './cli/render/problems.js';
import { wantsColor } from './cli/render/style.js';
import { createServices } from './cli/services.js';
import { EXIT_ERROR, type Output } from './cli/verb.js';
import { readVersion } from './version.js';

/** SIGTERM ends the daemon within 5 s, also when something hangs. */
const STOP_DEADLINE_MS = 4_500;

function outputOf(stream: NodeJS.WriteStream): Output {
  return {
    write: (text) => void stream.write(text),
    color: wantsColor(stream.isTTY === true, process.env),
    width: stream.isTTY === true ? (stream.columns ?? 80) : null,
  };
}

/** Resolves when what was written has been handed over, so that exiting cuts nothing off. */
function drained(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.writableLength === 0 || stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once('drain', resolve);
    stream.once('close', resolve);
  });
}

// `virtslad status | head` closes our stdout: enough has been read, and that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : EXIT_ERROR));
process.stderr.on('error', () => {});

/** Something that should not be. The daemon must not go on in an unknown state; its limits stay in place. */
function onDefect(error: unknown): void {
  // Synchronous on Linux for terminals, files and pipes alike.
  process.stderr.write(renderProblems([defect(error)], 'error', false));
  process.exit(EXIT_ERROR);
}
process.on('uncaughtException', onDefect);
process.on('unhandledRejection', onDefect);

/** process.exit waits for threads, and one that is stuck in a native call never ends. */
async function leaveNow(code: number): Promise<void> {
  const { exitNow } = await import('./host/libc.js');
  exitNow(code);
}

const stop = new AbortController();
function onStop(): void {
  // npm and terminals may send the signal twice; the second is the same wish.
  if (stop.signal.aborted) return;
  stop.abort();
  setTimeout(() => void leaveNow(EXIT_ERROR), STOP_DEADLINE_MS).unref();
}
process.on('SIGTERM', onStop);
process.on('SIGINT', onStop);

const host: CommandHost = {
  out: outputOf(process.stdout),
  err: outputOf(process.stderr),
  version: readVersion(),
  timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  nowMs: Date.now,
  workingDirectory: process.cwd(),
  services: createServices(process.env),
  signal: stop.signal,
  // Only the daemon asks for it; to any other command a hangup is what it always was.
  onReload: (listener) => void process.on('SIGHUP', listener),
};
const code = await runCommand(process.argv.slice(2), host);
await Promise.all([drained(process.stdout), drained(process.stderr)]);
if (host.services.stuck?.() === true) await leaveNow(code);
process.exit(code);
