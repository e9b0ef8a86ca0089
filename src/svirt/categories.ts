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

/** Any whole numbers from 0 to 1023, in any order, as a set. */
export function categorySet(numbers: Iterable<number>): CategorySet {
  const list = [...numbers];
  const ascending = list.every((category, i) => i === 0 || (list[i - 1] as number) < category);
  return ascending ? list : [...new Set(list)].sort((a, b) => a - b);
}

/** Comma-separated categories and ranges, `c1,c5.c9`, as the kernel reads them: no blanks, no zeros in front. */
export function parseCategories(text: string): ParsedCategories {
  const found: number[] = [];
  // The kernel prints them ascending. Else they are marked: overlapping ranges must not grow into a million numbers.
  let marks: Uint8Array | null = null;
  let highest = -1;
  let at = 0;
  while (at <= text.length) {
    const end = nameEnd(text, at);
    if (end < 0) return refused('has something that is no category');
    const first = numberOf(text, at, end);
    at = end;
    let last = first;
    if (text[at] === '.') {
      const rangeEnd = nameEnd(text, at + 1);
      if (rangeEnd < 0) return refused('has something that is no category');
      last = numberOf(text, at + 1, rangeEnd);
      at = rangeEnd;
      if (first >= last) return refused(`has the range c${first}.c${last}, which does not ascend`);
    }
    if (last >= CATEGORY_COUNT) return refused(`has the category c${last}, above c${CATEGORY_COUNT - 1}`);
    if (at < text.length && text[at] !== ',') return refused('has something that is no category');
    at++;
    if (marks === null && first <= highest) {
      marks = new Uint8Array(CATEGORY_COUNT);
      for (const category of found) marks[category] = 1;
    }
    if (marks !== null) marks.fill(1, first, last + 1);
    else for (let category = first; category <= last; category++) found.push(category);
    highest = last;
  }
  return { ok: true, categories: marks === null ? found : marked(marks) };
}

/** Where the name of a category ends that starts at `at`, `c17`; negative: none starts there. */
function nameEnd(text: string, at: number): number {
  if (text[at] !== 'c') return -1;
  let end = at + 1;
  while (end < text.length && end <= at + 4 && isDigit(text, end)) end++;
  if (end === at + 1 || isDigit(text, end)) return -1;
  return text[at + 1] === '0' && end > at + 2 ? -1 : end;
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 48 && code <= 57;
}

function numberOf(text: string, at: number, end: number): number {
  let value = 0;
  for (let i = at + 1; i < end; i++) value = value * 10 + text.charCodeAt(i) - 48;
  return value;
}

function marked(marks: Uint8Array): CategorySet {
  const found: number[] = [];
  for (let category = 0; category < marks.length; category++) if (marks[category] === 1) found.push(category);
  return found;
}

/** As the kernel prints a set: a run of two is `c1,c2`, one of three or more `c1.c3`; empty for no category. */
export function formatCategories(categories: CategorySet): string {
  const parts: string[] = [];
  for (let i = 0; i < categories.length; ) {
    let end = i;
    while (categories[end + 1] === (categories[end] as number) + 1) end++;
    const [first, last] = [`c${categories[i]}`, `c${categories[end]}`];
    if (end === i) parts.push(first);
    else parts.push(end === i + 1 ? `${first},${last}` : `${first}.${last}`);
    i = end + 1;
  }
  return parts.join(',');
}

export function equalCategories(a: CategorySet, b: CategorySet): boolean {
  return a === b || (a.length === b.length && a.every((category, i) => category === b[i]));
}

/** Whether `a` holds every category of `b`: what MCS calls domination. A set holds itself and the empty one. */
export function includesAll(a: CategorySet, b: CategorySet): boolean {
  if (a === b) return true;
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
