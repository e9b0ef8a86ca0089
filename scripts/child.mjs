// Starts commands for the other scripts. Takes a command line; gives its exit code and output. Every child leads a
// process group of its own, so that Ctrl-C reaches it only through `signal`, and then with all its descendants.
import { spawn } from 'node:child_process';

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, signal?: AbortSignal, show?: boolean }} [options]
 *   `show` copies the output to this process's own while it runs.
 * @returns {Promise<{ code: number, output: string }>} `code` is 127 when the command does not exist.
 */
export function run(command, args, { cwd, env, signal, show = false } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const child = spawn(command, args, {
      cwd,
      env: env ?? process.env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const collect = (stream, copyTo) => {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        output += text;
        if (show) copyTo.write(text);
      });
    };
    collect(child.stdout, process.stdout);
    collect(child.stderr, process.stderr);
    const stop = () => killGroup(child.pid, 'SIGTERM');
    signal?.addEventListener('abort', stop, { once: true });
    child.on('error', (error) => {
      signal?.removeEventListener('abort', stop);
      if (error.code === 'ENOENT') resolve({ code: 127, output: `${command}: not found` });
      else reject(error);
    });
    child.on('close', (code) => {
      signal?.removeEventListener('abort', stop);
      if (signal?.aborted) reject(signal.reason);
      else resolve({ code: code ?? 1, output });
    });
  });
}

/** Signals a whole process group; a group that is gone is no error. */
export function killGroup(pid, name) {
  if (pid === undefined) return;
  try {
    process.kill(-pid, name);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** A failure that the person at the terminal can mend: printed without a stack trace. */
export class SetupError extends Error {
  constructor(message, output = '') {
    super(output === '' ? message : `${message}\n${indent(lastLines(output, 30))}`);
    this.name = 'SetupError';
  }
}

export function indent(text, by = '  ') {
  return text.replace(/^(?=.)/gm, by);
}

export function lastLines(text, count) {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}
