/** Items by key, in the order in which the keys first appear (Map.groupBy needs a newer Node). Pure. */
export function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, readonly [T, ...T[]]> {
  const groups = new Map<string, [T, ...T[]]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
