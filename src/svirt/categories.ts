/**
 * Sets of MCS categories, c0 to c1023: text ↔ set, equality, inclusion. A guest has one or two, so a set is its sorted
 * numbers. Source: mls_context_to_sid and mls_sid_to_context of the kernel (security/selinux/ss/mls.c).
 */

/** refpolicy and Fedora both declare c0–c1023 (mcs_num_cats). */
export const CATEGORY_COUNT = 1024;

/** Ascending, without duplicates, each 0–1023. Made by {@link categorySet} and {@link parseCategories} alone. */
export type CategorySet = readonly number[];

export type ParsedCategories =
  | { readonly ok: true; readonly categories: CategorySet }
  /** Continues the sentence «"c9.c1" …». */
  | { readonly ok: false; readonly reason: string };

const ITEM = /^c(0|[1-9]\d{0,3})(?:\.c(0|[1-9]\d{0,3}))?$/;

/** Any whole numbers from 0 to 1023, in any order, as a set. */
export function categorySet(numbers: Iterable<number>): CategorySet {
  return [...new Set(numbers)].sort((a, b) => a - b);
}

/** Comma-separated categories and ranges, `c1,c5.c9`, as the kernel reads them: no blanks, no zeros in front. */
export function parseCategories(text: string): ParsedCategories {
  const items = text.split(',');
  const found: number[] = [];
  // Rises and falls instead of single categories: a thousand overlapping ranges cost no more than a thousand items.
  let depths: Int32Array | null = null;
  for (const item of items) {
    const match = ITEM.exec(item);
    if (match === null) return refused(item === '' ? 'has an empty category' : 'has something that is no category');
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last >= CATEGORY_COUNT || first >= CATEGORY_COUNT) {
      return refused(`has the category c${Math.max(first, last)}, above c${CATEGORY_COUNT - 1}`);
    }
    if (match[2] === undefined) {
      found.push(first);
      continue;
    }
    if (first >= last) return refused(`has the range c${first}.c${last}, which does not ascend`);
    depths ??= new Int32Array(CATEGORY_COUNT + 1);
    depths[first] = (depths[first] ?? 0) + 1;
    depths[last + 1] = (depths[last + 1] ?? 0) - 1;
  }
  if (depths !== null) {
    let depth = 0;
    for (let category = 0; category < CATEGORY_COUNT; category++) {
      depth += depths[category] ?? 0;
      if (depth > 0) found.push(category);
    }
  }
  return { ok: true, categories: categorySet(found) };
}

/** As the kernel prints a set: a run of two is `c1,c2`, one of three or more `c1.c3`; empty for no category. */
export function formatCategories(categories: CategorySet): string {
  const parts: string[] = [];
  for (let i = 0; i < categories.length; ) {
    let end = i;
    while (categories[end + 1] === (categories[end] as number) + 1) end++;
    parts.push(`c${categories[i]}`);
    if (end > i) parts.push(`c${categories[end]}`);
    if (end > i + 1) parts.push(`${parts.splice(-2).join('.')}`);
    i = end + 1;
  }
  return parts.join(',');
}

export function equalCategories(a: CategorySet, b: CategorySet): boolean {
  return a.length === b.length && a.every((category, i) => category === b[i]);
}

/** Whether `a` holds every category of `b`: what MCS calls domination. A set holds itself and the empty one. */
export function includesAll(a: CategorySet, b: CategorySet): boolean {
  if (b.length > a.length) return false;
  let i = 0;
  for (const category of b) {
    while (i < a.length && (a[i] as number) < category) i++;
    if (a[i] !== category) return false;
    i++;
  }
  return true;
}

function refused(reason: string): ParsedCategories {
  return { ok: false, reason };
}
