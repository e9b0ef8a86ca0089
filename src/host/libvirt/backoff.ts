/**
 * When to try again: exponential from `firstMs` to `mostMs`, each with jitter, so that many hosts or threads do not
 * come back at one moment. Starts over once a connection has held for `steadyMs`. Pure: time and chance are passed in.
 */
export interface BackoffOptions {
  readonly firstMs: number;
  readonly mostMs: number;
  readonly steadyMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

export interface Backoff {
  connected(nowMs: number): void;
  /** How long to wait from now before the next attempt: half to all of the current step. */
  next(nowMs: number): number;
}

export function createBackoff(options: BackoffOptions): Backoff {
  let stepMs = options.firstMs;
  let connectedAtMs: number | null = null;
  return {
    connected(nowMs) {
      connectedAtMs = nowMs;
    },
    next(nowMs) {
      if (connectedAtMs !== null && nowMs - connectedAtMs >= options.steadyMs) stepMs = options.firstMs;
      connectedAtMs = null;
      const waitMs = stepMs * (0.5 + options.random() / 2);
      stepMs = Math.min(options.mostMs, stepMs * 2);
      return Math.round(waitMs);
    },
  };
}
