/** The guests that `release` and `resume` are about: one by name or uuid, or all, and never all by omission. */
import { VirtsladError } from '../errors.js';
import type { ApplyReport, Target } from '../reconcile/types.js';
import { EXIT_DONE, EXIT_ERROR, type FlagSpec, usage, type VerbContext } from './verb.js';

export const ALL: FlagSpec = { name: 'all', summary: 'Every guest, also those that start later' };

export function targetOf(context: VerbContext, verb: string): Target {
  const [domain] = context.arguments;
  const all = context.flags.all === true;
  if (domain !== undefined && !all) return { domain };
  if (domain === undefined && all) return { all: true };
  const message = all ? '--all and a guest were both given' : 'no guest was given';
  throw new VirtsladError(usage(message, `write virtslad ${verb} DOMAIN, or virtslad ${verb} --all for every guest`));
}

/** A failed or stopped write leaves something undone. */
export function exitOf(report: ApplyReport): number {
  const undone = report.stopped !== null || report.outcomes.some(({ outcome }) => outcome === 'failed');
  return undone ? EXIT_ERROR : EXIT_DONE;
}
