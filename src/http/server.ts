/**
 * The web server: metrics, health, the read-only API and the page for people, all from the snapshot. It answers GET and
 * HEAD and nothing else; whoever wants something done uses the control socket.
 */
import { createHash } from 'node:crypto';
import { type FastifyInstance, fastify } from 'fastify';
import { VirtsladError } from '../errors.js';
import type { Log } from '../log.js';
import type { Metrics } from '../metrics/metrics.js';
import { findDomain } from '../snapshot/find-domain.js';
import type { Snapshot } from '../snapshot/types.js';
import { domainsView, notReadyReason, policyView, statusView } from './api.js';
import { bound, fastifyOptions, type HttpLimits, WEB_LIMITS } from './limits.js';
import { parseListenAddress } from './listen-address.js';
import { renderPage } from './page.js';
import { PAGE_STYLE } from './page-style.js';
import { installErrorHandlers, send } from './problems.js';

export interface WebServerOptions {
  /** `host:port`, `[v6]:port` or `:port`. */
  readonly listenAddress: string;
  readonly snapshot: () => Snapshot;
  readonly metrics: Pick<Metrics, 'render'>;
  readonly log: Log;
  readonly limits?: Partial<HttpLimits>;
}

export interface WebServer {
  /** Listens; fails HTTP_LISTEN_ADDRESS or HTTP_LISTEN_FAILED. Stops when `signal` aborts. */
  start(signal: AbortSignal): Promise<void>;
  /** Ends every connection at once. */
  stop(): Promise<void>;
  /** `http://127.0.0.1:19177`; null while it does not listen. */
  url(): string | null;
}

export function createWebServer(options: WebServerOptions): WebServer {
  let app: FastifyInstance | null = null;
  return {
    async start(signal) {
      const { host, port } = parseListenAddress(options.listenAddress);
      if (signal.aborted) return;
      const starting = buildWebApp(options);
      try {
        await listen(starting, host, port);
      } catch (error) {
        await starting.close();
        throw listenFailed(error as NodeJS.ErrnoException, options.listenAddress);
      }
      app = starting;
      if (signal.aborted) return this.stop();
      signal.addEventListener('abort', () => void this.stop(), { once: true });
      options.log.info('http.listening', { url: this.url() });
    },
    async stop() {
      const stopping = app;
      app = null;
      await stopping?.close();
    },
    url() {
      const address = app?.server.address();
      if (address === null || address === undefined || typeof address === 'string') return null;
      return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
    },
  };
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    // Every address, on a host without IPv6.
    if (host !== '::' || (error as NodeJS.ErrnoException).code !== 'EAFNOSUPPORT') throw error;
    await app.listen({ host: '0.0.0.0', port });
  }
}

const LISTEN_FIXES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'stop what listens there (ss -ltnp shows it), or give another port by --web.listen-address',
  EADDRNOTAVAIL: 'give an address of this host by --web.listen-address',
  EACCES: 'give a port from 1024 up by --web.listen-address',
  ENOTFOUND: 'give an address or a name that resolves by --web.listen-address',
};

function listenFailed(error: NodeJS.ErrnoException, address: string): VirtsladError {
  const words = error.code === 'EADDRINUSE' ? 'the port is in use' : error.message;
  const fix = LISTEN_FIXES[error.code ?? ''] ?? 'give another address by --web.listen-address';
  return new VirtsladError({ code: 'HTTP_LISTEN_FAILED', message: `cannot listen on ${address}: ${words}`, fix });
}

/** The routes, not listening yet. */
export function buildWebApp(options: WebServerOptions): FastifyInstance {
  const limits: HttpLimits = { ...WEB_LIMITS, ...options.limits };
  const app: FastifyInstance = fastify(fastifyOptions(limits));
  bound(app, limits);
  protect(app);
  installErrorHandlers(app, options.log);
  app.addHook('onResponse', async (request, reply) => {
    const { method, url } = request;
    options.log.debug('http.answered', {
      method,
      path: url,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
    });
  });

  app.get('/metrics', async (_request, reply) => {
    const { body, contentType } = await options.metrics.render();
    return reply.header('content-type', contentType).send(body);
  });
  app.get('/-/healthy', async (_request, reply) => reply.type('text/plain').send('healthy\n'));
  app.get('/-/ready', async (_request, reply) => {
    const reason = notReadyReason(options.snapshot());
    return reply
      .code(reason === null ? 200 : 503)
      .type('text/plain')
      .send(`${reason ?? 'ready'}\n`);
  });

  const view = (path: string, type: string, render: (snapshot: Snapshot) => string): void => {
    const body = perSnapshot(render);
    app.get(path, async (_request, reply) => reply.type(type).send(body(options.snapshot())));
  };
  const page = perSnapshot(renderPage);
  app.get<{ Querystring: { follow?: string } }>('/', async (request, reply) => {
    if (request.query.follow !== undefined) reply.header('refresh', '10');
    return reply.type('text/html; charset=utf-8').send(page(options.snapshot()));
  });
  view('/api/v1/status', 'application/json; charset=utf-8', (snapshot) => JSON.stringify(statusView(snapshot)));
  view('/api/v1/domains', 'application/json; charset=utf-8', (snapshot) => JSON.stringify(domainsView(snapshot)));
  view('/api/v1/policy', 'application/json; charset=utf-8', (snapshot) => JSON.stringify(policyView(snapshot)));
  app.get<{ Params: { domain: string } }>('/api/v1/domains/:domain', async (request) =>
    findDomain(options.snapshot().domains, request.params.domain),
  );
  return app;
}

/** Renders once for each snapshot, however often it is asked. */
function perSnapshot(render: (snapshot: Snapshot) => string): (snapshot: Snapshot) => string {
  let of: Snapshot | null = null;
  let text = '';
  return (snapshot) => {
    if (snapshot !== of) {
      text = render(snapshot);
      of = snapshot;
    }
    return text;
  };
}

/** Reading only, and nothing in a page but what this server wrote into it. */
function protect(app: FastifyInstance): void {
  const styleHash = createHash('sha256').update(PAGE_STYLE).digest('base64');
  const headers = {
    'content-security-policy': `default-src 'none'; style-src 'sha256-${styleHash}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
  };
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(headers);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      reply.header('allow', 'GET, HEAD');
      send(reply, 405, {
        code: 'HTTP_METHOD',
        message: `${request.method} is not answered here`,
        fix: 'use the virtslad command, which talks to the control socket',
      });
      return reply;
    }
  });
}
