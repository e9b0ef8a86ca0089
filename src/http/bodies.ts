/**
 * What the commands on the control socket take: a body is what its schema says, or refused; nothing is converted, dropped
 * or filled in.
 */
import type { FastifyInstance } from 'fastify';
import * as z from 'zod';

const NAME = z.string().min(1).max(4096);
/** Ten years. */
const HOLD_SECONDS_MAX = 315_360_000;

export const NOTHING = z.strictObject({});
export const TARGET = z.union([z.strictObject({ domain: NAME }), z.strictObject({ all: z.literal(true) })]);
export const HOLD = z.strictObject({
  domain: NAME,
  forSeconds: z.number().positive().max(HOLD_SECONDS_MAX).nullable(),
});
export const APPLY = z.strictObject({ acknowledge: z.string().min(1).max(64).nullable() });

/** In place of fastify's own validator, whose start takes longer than the rest of the server's. */
export function checkBodies(app: FastifyInstance): void {
  app.setValidatorCompiler<z.ZodType>(({ schema }) => (body) => {
    const { error } = schema.safeParse(body);
    return error === undefined ? { value: body } : { error: new Error(worded(error)) };
  });
}

function worded({ issues }: z.ZodError): string {
  return issues.map(({ path, message }) => `${['body', ...path].join('.')}: ${message}`).join('; ');
}
