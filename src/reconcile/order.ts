/**
 * The order of writes within one domain: parents widen before their children, children narrow before their parents, so
 * that at no step a child's limit is over its parent's (which v1 refuses) or the effective limit under both the old and
 * the new value. Pure.
 */
import { coresAllowed } from '../cpu-max-text.js';

export interface OrderedWrite {
  readonly depth: number;
  readonly from: string | null;
  readonly to: string;
}

/** Widening writes from the top down, then all others from the bottom up. */
export function orderWrites<W extends OrderedWrite>(writes: readonly W[]): W[] {
  const widening = writes.filter(widens);
  const others = writes.filter((write) => !widens(write));
  return [...widening.toSorted((a, b) => a.depth - b.depth), ...others.toSorted((a, b) => b.depth - a.depth)];
}

/** True when the new value allows more than the old. Values without an order (weights) never widen. */
export function widens({ from, to }: OrderedWrite): boolean {
  const [before, after] = [coresAllowed(from), coresAllowed(to)];
  return before !== null && after !== null && after > before;
}
