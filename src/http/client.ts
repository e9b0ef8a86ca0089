/**
 * The other end of the control socket, for the command line: the daemon's `Commands` as promises. Takes the socket's
 * path; gives null when no daemon listens there. Problems arrive as the VirtsladError that the daemon threw.
 */
import { request } from 'node:http';
import { type Problem, VirtsladError } from '../errors.js';
import type { Commands } from '../reconcile/types.js';

/** Every command, answered by the daemon. */
export type RemoteCommands = {
  readonly [Name in keyof Commands]: (
    ...asked: Parameters<Commands[Name]>
  ) => Promise<Awaited<ReturnType<Commands[Name]>>>;
};

export interface SocketClient extends RemoteCommands {
  /** Version of the daemon that answers. */
  readonly version: string;
}

export interface ConnectOptions {
  /** For the first question, whether anyone is there; default 3 s. */
  readonly connectDeadlineMs?: number;
  /** For each command, from the question to the end of the answer; default 75 s, more than the daemon allows itself. */
  readonly deadlineMs?: number;
}

/** A snapshot of thousands of guests stays far below. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;

/** Null: nobody listens. Fails SOCKET_FORBIDDEN, SOCKET_TIMEOUT, SOCKET_PROTOCOL. */
export async function connectSocket(path: string, options: ConnectOptions = {}): Promise<SocketClient | null> {
  const deadlineMs = options.deadlineMs ?? 75_000;
  const get = <T>(route: string): Promise<T> => ask<T>(path, 'GET', route, undefined, deadlineMs);
  const post = <T>(route: string, body: object): Promise<T> => ask<T>(path, 'POST', route, body, deadlineMs);
  let version: string;
  try {
    ({ version } = await ask<{ version: string }>(
      path,
      'GET',
      '/v1/ping',
      undefined,
      options.connectDeadlineMs ?? 3_000,
    ));
  } catch (error) {
    if (error instanceof NobodyListens) return null;
    throw error;
  }
  return {
    version,
    snapshot: () => get('/v1/snapshot'),
    domain: (nameOrUuid) => get(`/v1/domains/${segment(nameOrUuid)}`),
    apply: (what) => post('/v1/apply', what),
    release: (target) => post('/v1/release', target),
    resume: (target) => post('/v1/resume', target),
    hold: (target, forSeconds) => post('/v1/hold', { ...target, forSeconds }),
    reload: () => post('/v1/reload', {}),
  };
}

/** Within this file only: becomes null at the first question, a problem later. */
class NobodyListens extends VirtsladError {}

function ask<T>(path: string, method: string, route: string, body: object | undefined, deadlineMs: number): Promise<T> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers =
    text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
  return new Promise<T>((resolve, reject) => {
    const asking = request(
      { socketPath: path, method, path: route, headers, agent: false, signal: AbortSignal.timeout(deadlineMs) },
      (answer) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        answer.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) asking.destroy(new Error('the answer has no end'));
        });
        answer.on('end', () => {
          try {
            resolve(understand<T>(path, answer.statusCode ?? 0, Buffer.concat(chunks).toString()));
          } catch (error) {
            reject(error);
          }
        });
        // The daemon ended in the middle of its answer, or the deadline passed.
        answer.on('error', (error) => reject(unreachable(path, error, deadlineMs)));
      },
    );
    asking.on('error', (error) => reject(unreachable(path, error, deadlineMs)));
    asking.end(text);
  });
}

/** A name as one segment of a path; what is no text at all (half a surrogate pair) cannot be a guest's name either. */
function segment(name: string): string {
  return encodeURIComponent(Buffer.from(name).toString());
}

function understand<T>(path: string, status: number, text: string): T {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw protocol(path, 'the answer is not JSON');
  }
  if (status >= 200 && status < 300) return answer as T;
  const problems: unknown = (answer as { problems?: unknown } | null)?.problems;
  if (!Array.isArray(problems) || problems.length === 0 || !problems.every(isProblem)) {
    throw protocol(path, `the answer has status ${status} and no problems`);
  }
  throw new VirtsladError(problems);
}

function isProblem(value: unknown): value is Problem {
  const { code, message, fix } = (value ?? {}) as Record<string, unknown>;
  return typeof code === 'string' && typeof message === 'string' && typeof fix === 'string';
}

function unreachable(path: string, error: NodeJS.ErrnoException, deadlineMs: number): VirtsladError {
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
    case 'ENOTSOCK':
      return new NobodyListens({
        code: 'SOCKET_PROTOCOL',
        message: 'the daemon has ended',
        where: path,
        fix: 'start it again: systemctl start virtslad',
      });
    case 'EACCES':
    case 'EPERM':
      return new VirtsladError({
        code: 'SOCKET_FORBIDDEN',
        message: 'the control socket belongs to another user',
        where: path,
        fix: 'run the command as the user that runs the daemon, as a rule root',
      });
    case 'ABORT_ERR':
      return new VirtsladError({
        code: 'SOCKET_TIMEOUT',
        message: `the daemon did not answer within ${deadlineMs / 1000} s`,
        where: path,
        fix: 'look at its log (journalctl -u virtslad); what was asked may still be done',
      });
    case 'ECONNRESET':
    case 'EPIPE':
      return protocol(path, 'the daemon ended before it had answered');
    default:
      return protocol(path, error.message);
  }
}

function protocol(path: string, message: string): VirtsladError {
  return new VirtsladError({
    code: 'SOCKET_PROTOCOL',
    message: `cannot make sense of what listens on the control socket: ${message}`,
    where: path,
    fix: 'check that the daemon and the command are of one version: virtslad --version',
  });
}
