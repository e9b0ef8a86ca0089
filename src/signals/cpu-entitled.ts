/**
 * What a guest wanted of the CPU over one slice, what of it was guaranteed and what it did not get: pure arithmetic on
 * seconds of its vCPU threads.
 *
 *     activityᵢ = (used + wait + throttled)ᵢ ÷ T, at most 1      active = T × (1 − Π(1 − activityᵢ))
 *     demanded  = Σ (used + wait)ᵢ                               owed   = T × E[min(guaranteed cores, K)]
 *     entitled  = min(owed, Σ min(demandedᵢ, allowedᵢ, usableᵢ))          shortfall = max(0, entitled − Σ usedᵢ)
 *
 * K is the number of vCPUs that want to run at a moment, each with the probability of its activity, independently. As
 * min(g, K) ≤ g·[K ≥ 1], owed is never more than guaranteed cores × active, and it is equal for guarantees up to one
 * core, and for vCPUs that are always busy or always idle: two busy vCPUs of four with a guarantee of two cores are owed two.
 *
 * Throttled time counts as activity, for the thread wanted to run; without it a guest that is throttled in one period
 * and crowded out in the next would be owed too little. It costs nobody anything: in a throttled period the thread got
 * its whole quota. `allowedᵢ` is that quota over the thread's activity, or what it used where that is more: a vCPU that
 * waits for its turn and then gets its whole quota has lost nothing. So a guest that is held by its own limit alone has
 * no shortfall, however unevenly its vCPUs work.
 *
 * Nor is it more than the vCPU could have used: one that slept had done by then all that it wanted to. Had it never waited, it
 * would have slept as long for the same work, so of a slice it could have used at most T × used ÷ (used + asleep): all of
 * it when it never slept, hardly more than it used when it mostly did. So a guest that idles is not charged its latency.
 */

/** One vCPU thread, seconds over the slice. */
export interface VcpuSeconds {
  readonly used: number;
  /** Ready to run and kept from it, without `throttled`. */
  readonly wait: number;
  /** By the limit of the policy. */
  readonly throttled: number;
}

export interface Entitlement {
  readonly activeSeconds: number;
  readonly demandedSeconds: number;
  readonly entitledSeconds: number;
  readonly shortfallSeconds: number;
}

/** `limitPerVcpu`: the policy's quota of each vCPU in cores; null: none. */
export function entitlementOf(
  vcpus: readonly VcpuSeconds[],
  sliceSeconds: number,
  guaranteedCores: number,
  limitPerVcpu: number | null,
): Entitlement {
  let [usedSeconds, demandedSeconds, allowedSeconds, allIdle] = [0, 0, 0, 1];
  const activities: number[] = [];
  for (const { used, wait, throttled } of vcpus) {
    const activity = Math.min(1, (used + wait + throttled) / sliceSeconds);
    activities.push(activity);
    allIdle *= 1 - activity;
    usedSeconds += used;
    demandedSeconds += used + wait;
    const quota = limitPerVcpu === null ? Number.POSITIVE_INFINITY : limitPerVcpu * activity * sliceSeconds;
    allowedSeconds += Math.min(
      used + wait,
      Math.max(used, Math.min(quota, usableSeconds({ used, wait, throttled }, sliceSeconds))),
    );
  }
  const owedSeconds = sliceSeconds * meanOfLesser(guaranteedCores, activities);
  const entitledSeconds = Math.min(demandedSeconds, allowedSeconds, owedSeconds);
  return {
    activeSeconds: sliceSeconds * (1 - allIdle),
    demandedSeconds,
    entitledSeconds,
    shortfallSeconds: Math.max(0, entitledSeconds - usedSeconds),
  };
}

/** Of time not accounted for, so much may be a wait that the kernel has not told yet. */
const NOT_SLEEP_SHARE = 0.02;

function usableSeconds({ used, wait, throttled }: VcpuSeconds, sliceSeconds: number): number {
  // It has not had its turn: how much it wants nobody knows.
  if (used <= 0) return used + wait;
  const asleep = Math.max(0, sliceSeconds * (1 - NOT_SLEEP_SHARE) - used - wait - throttled);
  return (sliceSeconds * used) / (used + asleep);
}

/**
 * E[min(cores, K)], K the number of successes of independent trials with these probabilities. By cores − Σ (cores − k)·P(K = k)
 * over k < cores, so that only those k are worked out.
 */
export function meanOfLesser(cores: number, probabilities: readonly number[]): number {
  if (cores <= 0) return 0;
  if (cores >= probabilities.length) return probabilities.reduce((sum, one) => sum + one, 0);
  const below = new Float64Array(Math.ceil(cores));
  below[0] = 1;
  for (const probability of probabilities) {
    for (let k = below.length - 1; k >= 0; k--) {
      below[k] = (below[k] ?? 0) * (1 - probability) + (k === 0 ? 0 : (below[k - 1] ?? 0) * probability);
    }
  }
  return Math.max(
    0,
    below.reduce((mean, chance, k) => mean - (cores - k) * chance, cores),
  );
}
