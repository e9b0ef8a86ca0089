/**
 * available: the guest runs when it should. One that is not meant to run (shut down, saved or paused by someone who may)
 * asks for nothing and is good; so is one that sleeps, which is its own doing (pmsuspended). One that is starting is
 * unknown: it has not run its first instruction yet. Crashed, gone without a wish, or standing still for an I/O error: bad.
 * Takes no bound. Whether the guest's own system is well, nobody sees from here.
 */
import type { Sli, Slice, Verdict } from '../types.js';

export const available = {
  name: 'available',
  bound: 'none',
  unit: 'share',
  help: 'Whether the guest runs when it is meant to. Bad while it does not; who shuts it down or pauses it breaks nothing.',
  judge: verdictOf,
  figure(slice) {
    const verdict = verdictOf(slice);
    return verdict === 'unknown' ? null : Number(verdict === 'good');
  },
} as const satisfies Sli;

function verdictOf({ meantToRun, state }: Slice): Verdict {
  if (!meantToRun || state === 'running' || state === 'pmsuspended') return 'good';
  return state === 'starting' ? 'unknown' : 'bad';
}
