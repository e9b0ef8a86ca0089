/**
 * The order of writes within one domain: parents widen before their children, children narrow before their parents, so
 * that at no step a child's limit is over its parent's (which v1 refuses) or the effective limit under both the old and
 * the new value. Pure.
 */

export interface OrderedWrite {
  readonly depth: number;
  /** The new value allows more than the old. Values without an order (weights) never widen. */
  readonly widens: boolean;
}

/** Widening writes from the top down, then all others from the bottom up. */
export function orderWrites<W extends OrderedWrite>(writes: readonly W[]): W[] {
  const widening = writes.filter(({ widens }) => widens);
  const others = writes.filter(({ widens }) => !widens);
  return [...widening.toSorted((a, b) => a.depth - b.depth), ...others.toSorted((a, b) => b.depth - a.depth)];
}

/** `allows`: how much a text allows, null for texts without an order. */
export function widens(
  from: string | null,
  to: string,
  allows: ((text: string) => number | null) | undefined,
): boolean {
  if (allows === undefined || from === null) return false;
  const [before, after] = [allows(from), allows(to)];
  return before !== null && after !== null && after > before;
}
