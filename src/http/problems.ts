/**
 * How an error leaves a server: always `{"problems":[{code,message,where,fix}]}` with a fitting status, never a stack.
 * A defect of ours is logged with its stack and answered with the bare code.
 */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ErrorCode, type Problem, VirtsladError } from '../errors.js';
import type { Log } from '../log.js';
import { printable } from '../text/printable.js';

export interface ProblemsBody {
  readonly problems: readonly Problem[];
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  DOMAIN_AMBIGUOUS: 409,
  DOMAIN_UNKNOWN: 404,
  HTTP_METHOD: 405,
  HTTP_NOT_FOUND: 404,
  HTTP_OVERLOADED: 503,
  INTERNAL: 500,
};

/** 4xx for everything that the one who asks can mend. */
export function statusOf(error: VirtsladError): number {
  return STATUS[error.code] ?? 422;
}

export function installErrorHandlers(app: FastifyInstance, log: Log): void {
  app.setNotFoundHandler((request, reply) => {
    send(reply, 404, {
      code: 'HTTP_NOT_FOUND',
      message: `there is nothing at ${printable(request.url)}`,
      fix: 'look at / for what there is',
    });
  });
  app.setErrorHandler((error: unknown, request, reply) => {
    if (error instanceof VirtsladError) {
      void reply.code(statusOf(error)).send({ problems: error.problems } satisfies ProblemsBody);
      return;
    }
    const { statusCode = 500, code = '', message = '' } = error as Partial<FastifyError>;
    if (code === 'FST_ERR_HANDLER_TIMEOUT') {
      send(reply, 503, {
        code: 'HTTP_OVERLOADED',
        message: 'the answer was not ready in time',
        fix: 'ask again later',
      });
      return;
    }
    if (statusCode >= 400 && statusCode < 500) {
      send(reply, statusCode, badRequest(message));
      return;
    }
    log.error('http.defect', { method: request.method, path: request.url, error }, 'a request met a defect');
    send(reply, 500, {
      code: 'INTERNAL',
      message: 'the request met a defect of virtslad',
      fix: 'report it with the log line http.defect',
    });
  });
}

/** For what fastify refuses before a route is known (a path with a bad escape …). */
export function sendFrameworkError(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  send(reply, error.statusCode ?? 400, badRequest(error.message));
}

export function send(reply: FastifyReply, status: number, problem: Problem): void {
  void reply.code(status).send({ problems: [problem] } satisfies ProblemsBody);
}

function badRequest(message: string): Problem {
  return { code: 'HTTP_BAD_REQUEST', message: printable(message), fix: 'look at docs/reference/http.md for the form' };
}
