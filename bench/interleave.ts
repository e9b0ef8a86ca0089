/**
 * Subject and reference in turn, ABAB, so that whatever else the machine does meets both alike. The first rounds warm
 * caches and compilers and are not counted.
 */

export interface Contestant {
  readonly name: string;
  /** One round. Gives what it cost, in the unit of the comparison. */
  round(): Promise<number>;
}

/** Name → the cost of each counted round, in order. */
export type Rounds = Readonly<Record<string, readonly number[]>>;

export interface InterleaveOptions {
  /** Counted rounds of each. */
  readonly rounds: number;
  readonly warmups: number;
  /** Before each round of each: a fresh state of the host, the same for all. */
  before?(): void | Promise<void>;
}

export async function interleave(contestants: readonly Contestant[], options: InterleaveOptions): Promise<Rounds> {
  const rounds: Record<string, number[]> = Object.fromEntries(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round < options.warmups + options.rounds; round++) {
    for (const contestant of contestants) {
      await options.before?.();
      const cost = await contestant.round();
      if (round >= options.warmups) rounds[contestant.name]?.push(cost);
    }
  }
  return rounds;
}
