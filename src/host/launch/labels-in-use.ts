/**
 * The category sets of all processes that wear some, whoever started them: what no new guest may share. A label that
 * cannot be read is passed over: the process is gone or is a kernel thread.
 */
import { readdirSync } from 'node:fs';
import { CATEGORY_COUNT, type CategorySet } from '../../svirt/categories.js';
import { parseLabel } from '../../svirt/label.js';
import { readProcessLabel } from '../selinux/process-label.js';

/** A process that is cleared for all categories (`s0-s0:c0.c1023`) is no guest, and would leave none to give away. */
export function categoriesInUse(procRoot: string): CategorySet[] {
  const texts = new Set<string>();
  for (const name of readdirSync(procRoot)) {
    if (!/^\d+$/.test(name)) continue;
    const text = readProcessLabel(procRoot, Number(name));
    if (text?.includes(':c')) texts.add(text);
  }
  return [...texts].flatMap((text) => {
    const parsed = parseLabel(text);
    if (!parsed.ok) return [];
    const { low, high, isRange } = parsed.label;
    const levels = isRange ? [low, high] : [high];
    return levels.map(({ categories }) => categories).filter(({ length }) => length > 0 && length < CATEGORY_COUNT);
  });
}
