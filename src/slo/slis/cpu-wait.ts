/**
 * cpu.wait: of the time in which the guest's vCPUs wanted to run, the share that they waited for a core. Over all vCPUs,
 * used and waited added up, so it lies between 0 and 1 however many there are; against the time in which at least one
 * wanted to run, four waiting vCPUs would come out at four. Not against the clock either: then a guest that seldom asks
 * would look well served however long it waits each time, and that is who this SLI is for. Time that its own limit takes
 * is not in it; no guarantee is needed.
 *
 * Waits of less than 1 % of one core over the slice are none: there, single turns of other threads decide.
 */
import type { Sli, Slice } from '../types.js';
import { NEGLIGIBLE_CORES, staysWithin } from '../verdict.js';

export const cpuWait = {
  name: 'cpu.wait',
  bound: 'at-most-share',
  unit: 'share',
  help:
    'Share of the time its vCPUs wanted to run that they waited for a core, time taken by its own limit left out. Bad above ' +
    '`at-most`, unless it waited less than 1 % of the time of one core.',
  judge(slice, objective) {
    if (slice.cpu === null) return 'unknown';
    const { demandedSeconds, waitSeconds } = slice.cpu;
    if (demandedSeconds === 0 || waitSeconds < NEGLIGIBLE_CORES * slice.seconds) return 'good';
    return staysWithin(shareOf(slice), objective);
  },
  figure: shareOf,
} as const satisfies Sli;

function shareOf({ cpu }: Slice): number | null {
  return cpu === null || cpu.demandedSeconds === 0 ? null : cpu.waitSeconds / cpu.demandedSeconds;
}
