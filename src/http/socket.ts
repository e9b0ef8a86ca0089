/**
 * The control socket: how commands reach the one writer. Takes `Commands`, serves them as JSON over HTTP on a unix
 * socket that only its owner can open; that file mode is the whole of the access control. `client.ts` is its other end.
 */
import { chmod, lstat, rename, rm } from 'node:fs/promises';
import { type FastifyInstance, fastify } from 'fastify';
import { VirtsladError } from '../errors.js';
import type { Log } from '../log.js';
import type { Commands, Target } from '../reconcile/types.js';
import { APPLY, checkBodies, HOLD, NOTHING, TARGET } from './bodies.js';
import { bound, fastifyOptions, type HttpLimits, SOCKET_LIMITS } from './limits.js';
import { installErrorHandlers } from './problems.js';

export interface ControlSocketOptions {
  /** `/run/virtslad/virtslad.sock`; its directory exists and is ours alone. */
  readonly path: string;
  readonly version: string;
  readonly commands: Commands;
  readonly log: Log;
  readonly limits?: Partial<HttpLimits>;
}

export interface ControlSocket {
  /** Replaces a socket that an earlier daemon left: call it with the one-writer lock held. Fails SOCKET_LISTEN_FAILED. */
  start(signal: AbortSignal): Promise<void>;
  /** Ends every connection and removes the socket if it is still ours. */
  stop(): Promise<void>;
}

/** sun_path of unix(7), less the terminating NUL. */
const PATH_BYTES_MAX = 107;

export function createControlSocket(options: ControlSocketOptions): ControlSocket {
  const { path } = options;
  let app: FastifyInstance | null = null;
  let inode: bigint | null = null;
  let ending: Promise<void> | null = null;
  return {
    async start(signal) {
      if (signal.aborted) return;
      const starting = buildControlApp(options);
      try {
        inode = await listenAt(starting, path);
      } catch (error) {
        await starting.close();
        throw error instanceof VirtsladError ? error : listenFailed(path, (error as Error).message, error);
      }
      app = starting;
      if (signal.aborted) return this.stop();
      signal.addEventListener('abort', () => void this.stop(), { once: true });
    },
    stop() {
      // Whoever asks second waits for the first: the socket must be gone before the process is.
      ending ??= end(app, inode, path);
      return ending;
    },
  };
}

async function end(app: FastifyInstance | null, inode: bigint | null, path: string): Promise<void> {
  if (app === null) return;
  await app.close();
  const found = await lstat(path, { bigint: true }).catch(() => null);
  if (found?.ino === inode) await rm(path, { force: true });
}

/** Listens under a passing name and renames: nobody meets a socket with a wider mode, and there is always one. */
async function listenAt(app: FastifyInstance, path: string): Promise<bigint> {
  const passing = `${path}.${process.pid}`;
  if (Buffer.byteLength(passing) > PATH_BYTES_MAX) throw listenFailed(path, 'the path is too long for a unix socket');
  const there = await lstat(path).catch(() => null);
  if (there !== null && !there.isSocket()) throw listenFailed(path, 'something that is not a socket has that name');
  await rm(passing, { force: true });
  await app.listen({ path: passing });
  await chmod(passing, 0o600);
  const { ino } = await lstat(passing, { bigint: true });
  await rename(passing, path);
  return ino;
}

function listenFailed(path: string, message: string, cause?: unknown): VirtsladError {
  return new VirtsladError(
    {
      code: 'SOCKET_LISTEN_FAILED',
      message: `cannot make the control socket: ${message}`,
      where: path,
      fix: 'give a run directory that is short, writable and not shared, by --run-dir',
    },
    { cause },
  );
}

/** The routes, not listening yet. */
export function buildControlApp({ version, commands, log, limits }: ControlSocketOptions): FastifyInstance {
  const bounds: HttpLimits = { ...SOCKET_LIMITS, ...limits };
  const app: FastifyInstance = fastify(fastifyOptions(bounds));
  bound(app, bounds);
  app.removeContentTypeParser('text/plain');
  installErrorHandlers(app, log);
  checkBodies(app);
  app.addHook('preHandler', async (request) => {
    if (request.method === 'POST') {
      log.info('command.received', { command: request.url.replace('/v1/', ''), ...(request.body as object) });
    }
  });

  app.get('/v1/ping', async () => ({ version }));
  app.get('/v1/snapshot', async () => commands.snapshot());
  app.get<{ Params: { domain: string } }>('/v1/domains/:domain', async (request) =>
    commands.domain(request.params.domain),
  );
  const inTime = <T>(work: Promise<T>): Promise<T> => withDeadline(work, bounds.handlerTimeoutMs);
  app.post<{ Body: { acknowledge: string | null } }>('/v1/apply', { schema: { body: APPLY } }, ({ body }) =>
    inTime(commands.apply({ acknowledge: body.acknowledge })),
  );
  app.post<{ Body: Target }>('/v1/release', { schema: { body: TARGET } }, ({ body }) => inTime(commands.release(body)));
  app.post<{ Body: Target }>('/v1/resume', { schema: { body: TARGET } }, ({ body }) => inTime(commands.resume(body)));
  app.post<{ Body: { domain: string; forSeconds: number | null } }>(
    '/v1/hold',
    { schema: { body: HOLD } },
    ({ body }) => inTime(commands.hold({ domain: body.domain }, body.forSeconds)),
  );
  app.post('/v1/reload', { schema: { body: NOTHING } }, () => inTime(commands.reload()));
  return app;
}

/** fastify's own handlerTimeout ends with the request's body, so that it bounds a GET only. The work itself goes on. */
async function withDeadline<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const message = `the command is not done after ${deadlineMs / 1000} s`;
      reject(
        new VirtsladError({ code: 'HTTP_OVERLOADED', message, fix: 'it goes on; virtslad status shows what it did' }),
      );
    }, deadlineMs);
  });
  try {
    return await Promise.race([work, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
