/**
 * Leaf value of network.limit.in and network.limit.out: an average rate, or a map of average, peak and burst as libvirt
 * has them (formatdomain, "Quality of service"). Text or map in, {@link NetworkLimit} in bytes out.
 */
import * as z from 'zod';
import { NETWORK_RATE_JSON, networkRate, SIZE_JSON, size, typeReason, type ValueIssueParams } from './value-types.js';

export interface NetworkLimit {
  readonly averageBytesPerSecond: number;
  /** The highest rate while a burst lasts. */
  readonly peakBytesPerSecond?: number;
  /** What may be sent at the peak rate at once. */
  readonly burstBytes?: number;
}

const KEYS = ['average', 'peak', 'burst'] as const;
const FIX = 'write a rate such as 1Gbit/s, or { average: 500Mbit/s, peak: 1Gbit/s, burst: 10MiB }';

type Context = z.core.$RefinementCtx<unknown>;

function readLimit(input: unknown, context: Context): NetworkLimit {
  const refuse = (path: PropertyKey[], message: string, params: ValueIssueParams): never => {
    context.addIssue({ code: 'custom', path, message, params: { ...params } });
    return z.NEVER;
  };
  if (Array.isArray(input)) return refuse([], typeReason(input), { problem: 'POLICY_VALUE_SYNTAX', fix: FIX });
  if (typeof input !== 'object' || input === null) {
    const average = part(networkRate, input, [], context);
    return average === undefined ? z.NEVER : { averageBytesPerSecond: average };
  }
  const given = input as Readonly<Record<string, unknown>>;
  for (const key of Object.keys(given)) {
    if (!KEYS.some((known) => known === key)) {
      const params: ValueIssueParams = { problem: 'POLICY_UNKNOWN_KEY', fix: 'write average, peak or burst' };
      context.addIssue({
        code: 'custom',
        path: [key],
        message: 'is not a key of a network limit',
        params: { ...params },
      });
    }
  }
  if (given.average === undefined) {
    return refuse([], 'has no average', { problem: 'POLICY_MISSING_KEY', fix: 'add average: RATE' });
  }
  const average = part(networkRate, given.average, ['average'], context);
  const peak = given.peak === undefined ? undefined : part(networkRate, given.peak, ['peak'], context);
  const burst = given.burst === undefined ? undefined : part(size, given.burst, ['burst'], context);
  if (average === undefined) return z.NEVER;
  if (peak !== undefined && peak < average) {
    return refuse(['peak'], 'is under the average', {
      problem: 'POLICY_VALUE_RANGE',
      fix: 'write a peak of at least the average, or leave it out',
    });
  }
  return {
    averageBytesPerSecond: average,
    ...(peak === undefined ? {} : { peakBytesPerSecond: peak }),
    ...(burst === undefined ? {} : { burstBytes: burst }),
  };
}

export const networkLimit: z.ZodType<NetworkLimit> = z
  .unknown()
  .transform(readLimit)
  .meta({
    anyOf: [
      NETWORK_RATE_JSON,
      {
        type: 'object',
        properties: { average: NETWORK_RATE_JSON, peak: NETWORK_RATE_JSON, burst: SIZE_JSON },
        required: ['average'],
        additionalProperties: false,
      },
    ],
  });

/** The checked part of the map; its issues go to the whole, at the part's path. */
function part<T>(schema: z.ZodType<T>, input: unknown, path: PropertyKey[], context: Context): T | undefined {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    const params = issue.code === 'custom' ? issue.params : undefined;
    context.addIssue({ code: 'custom', path: [...path], message: issue.message, params });
  }
  return undefined;
}
