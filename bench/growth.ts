/** How costs grow with the number of guests, from what measurements at single sizes gave. Pure. */
import type { Figure, Missing, Result } from './result.js';
import { growthExponent } from './statistics.js';

/** Smaller hosts are ruled by what a cycle costs without any guest. */
const FROM = 600;

interface Growth {
  readonly id: string;
  readonly what: 'cycle' | 'scrape' | 'rss';
  /** Sizes that all have to be there. */
  readonly counts: readonly number[];
  /** What is there without guests does not grow with them. */
  readonly overEmpty: boolean;
}

const GROWTHS: readonly Growth[] = [
  { id: 'growth-cycle', what: 'cycle', counts: [600, 5000], overEmpty: false },
  { id: 'growth-scrape', what: 'scrape', counts: [600, 5000], overEmpty: false },
  { id: 'growth-rss', what: 'rss', counts: [0, 600, 5000], overEmpty: true },
];
/** Sizes of the short run. */
const SHORT: readonly Growth[] = [{ id: 'growth-cycle', what: 'cycle', counts: [200, 800], overEmpty: false }];

export function growthResult(results: readonly Result[], short: boolean): Result {
  const figures: Figure[] = [];
  const missing: Missing[] = [];
  const all = results.flatMap(({ costs = [] }) => costs);
  for (const { id, what, counts, overEmpty } of short ? SHORT : GROWTHS) {
    const costs = all.filter((one) => one.what === what);
    const lacking = counts.filter((count) => !costs.some((one) => one.count === count));
    if (lacking.length > 0) {
      missing.push({ id, reason: `no figure at ${lacking.join(', ')} guests` });
      continue;
    }
    const empty = overEmpty ? (costs.find(({ count }) => count === 0)?.cost ?? 0) : 0;
    const points = costs
      .filter(({ count }) => count >= (short ? 1 : FROM))
      .map(({ count, cost }) => ({ count, cost: cost - empty }));
    const growth = growthExponent(points);
    if (growth === null) missing.push({ id, reason: 'the costs do not grow' });
    else
      figures.push({ id, value: growth, growth, shown: `over ${points.map(({ count }) => count).join(', ')} guests` });
  }
  return { figures, missing, raw: {} };
}
