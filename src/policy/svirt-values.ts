/** Leaf values of the svirt keys: an SELinux type and MCS categories, checked for form; the host decides if they exist. */
import type { z } from 'zod';
import { leafType, malformed, outOfRange, typeReason } from './value-types.js';

const TYPE_FIX = 'write an SELinux type such as svirt_t';
const CATEGORIES_FIX = 'write MCS categories such as c10,c20 or c100.c199';

/** MCS has 1024 categories, c0 to c1023 (refpolicy, mcs_cats). */
const MAX_CATEGORY = 1023;

/** The type part of a label; the user, role and level come from elsewhere. */
export const selinuxType: z.ZodType<string> = leafType(
  (input) => {
    if (typeof input !== 'string') return malformed(typeReason(input), TYPE_FIX);
    if (input.includes(':')) return malformed('is a whole label', 'write its type alone, such as svirt_t');
    if (!/^[A-Za-z_][A-Za-z0-9_.]{0,127}$/.test(input))
      return malformed('is not the name of an SELinux type', TYPE_FIX);
    return { ok: true, value: input };
  },
  { type: 'string', pattern: '^[A-Za-z_][A-Za-z0-9_.]{0,127}$' },
);

/** Ascending category numbers from `c10,c20` and ranges `c100.c199`. */
export const mcsCategories: z.ZodType<readonly number[]> = leafType<readonly number[]>(
  (input) => {
    if (typeof input !== 'string') return malformed(typeReason(input), CATEGORIES_FIX);
    const categories = new Set<number>();
    for (const part of input.split(',')) {
      const range = /^\s*c(\d{1,4})(?:\.c(\d{1,4}))?\s*$/.exec(part);
      if (range === null) return malformed('is not a list of MCS categories', CATEGORIES_FIX);
      const first = Number(range[1]);
      const last = Number(range[2] ?? range[1]);
      if (first > last) return malformed('has a range backwards', `write c${last}.c${first}`);
      if (last > MAX_CATEGORY) return outOfRange(`has c${last}`, `write categories from c0 to c${MAX_CATEGORY}`);
      for (let category = first; category <= last; category++) categories.add(category);
    }
    return { ok: true, value: [...categories].sort((a, b) => a - b) };
  },
  { type: 'string', pattern: '^ *c\\d{1,4}(\\.c\\d{1,4})? *(, *c\\d{1,4}(\\.c\\d{1,4})? *)*$' },
);
