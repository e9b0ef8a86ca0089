/**
 * Every bound that a server of ours keeps, and how fastify and node:http are told them. No client, slow, silent or
 * talkative, may cost the daemon more than these allow.
 */

import type { Server } from 'node:http';
import type { FastifyHttpOptions, FastifyInstance } from 'fastify';
import { sendFrameworkError } from './problems.js';

export interface HttpLimits {
  /** Silence on a connection while a request or an answer is under way. */
  readonly connectionTimeoutMs: number;
  /** From the first byte of a request to the end of its headers, and of all of it. */
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** From a complete request to the answer's first byte, and to the answer's end at the client. */
  readonly handlerTimeoutMs: number;
  readonly responseTimeoutMs: number;
  /** An idle connection; longer than the usual scrape interval of 15 s, so that Prometheus keeps its connection. */
  readonly keepAliveTimeoutMs: number;
  /** How often node:http looks for overdue requests (its default is 30 s). */
  readonly checkIntervalMs: number;
  readonly bodyLimitBytes: number;
  readonly headerLimitBytes: number;
  /** A guest's name, percent-encoded, can be the longest parameter. */
  readonly maxParamLength: number;
  readonly maxRequestsPerSocket: number;
  readonly maxConnections: number;
}

/** The web server takes no bodies at all. */
export const WEB_LIMITS: HttpLimits = {
  connectionTimeoutMs: 15_000,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  handlerTimeoutMs: 10_000,
  responseTimeoutMs: 30_000,
  keepAliveTimeoutMs: 20_000,
  checkIntervalMs: 1_000,
  bodyLimitBytes: 1_024,
  headerLimitBytes: 16_384,
  maxParamLength: 2_048,
  maxRequestsPerSocket: 1_000,
  maxConnections: 64,
};

/** Actions may take their time: a release of every guest waits for libvirt. */
export const SOCKET_LIMITS: HttpLimits = {
  ...WEB_LIMITS,
  connectionTimeoutMs: 90_000,
  handlerTimeoutMs: 60_000,
  responseTimeoutMs: 90_000,
  keepAliveTimeoutMs: 5_000,
  bodyLimitBytes: 65_536,
  maxConnections: 32,
};

export function fastifyOptions(limits: HttpLimits): FastifyHttpOptions<Server> {
  return {
    logger: false,
    connectionTimeout: limits.connectionTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    handlerTimeout: limits.handlerTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    maxRequestsPerSocket: limits.maxRequestsPerSocket,
    bodyLimit: limits.bodyLimitBytes,
    routerOptions: { maxParamLength: limits.maxParamLength },
    // Stopping waits for nobody.
    forceCloseConnections: true,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    frameworkErrors: sendFrameworkError,
    http: {
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
      maxHeaderSize: limits.headerLimitBytes,
    },
  };
}

/** What has no option: the number of connections, and a client that reads its answer a byte at a time. */
export function bound(app: FastifyInstance, limits: HttpLimits): void {
  app.server.maxConnections = limits.maxConnections;
  app.addHook('onRequest', async (_request, reply) => {
    const { raw } = reply;
    const timer = setTimeout(() => raw.destroy(), limits.responseTimeoutMs);
    timer.unref();
    raw.once('close', () => clearTimeout(timer));
  });
}
