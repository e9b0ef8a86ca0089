/**
 * The turn of the host control for disk weights, before the guests: once the io cost controller is on for a guest's disk,
 * its weight can be set in the same cycle.
 */
import type { Domain } from '../../domains/types.js';
import type { Generation } from '../../policy/types.js';
import type { Parts } from '../parts.js';
import { asksForIoCost, type IoCostGuest } from './plan-io-cost.js';

export async function settleIoCost(parts: Parts): Promise<void> {
  const { generations, inventory, ioCost, log } = parts;
  // Most hosts ask for no such thing: there nobody is looked at for it.
  if (!ioCost.engaged && !maybeAsked(generations.active)) return;
  try {
    const guests = inventory.all().map((domain) => guestOf(parts, domain));
    // Before libvirt and the policies have been heard nobody knows what may be switched off.
    await ioCost.settle(guests, { allKnown: inventory.complete && generations.active !== null });
  } catch (error) {
    parts.counters.cycleFailures++;
    log.error('io_cost.failed', { reason: (error as Error).message });
  }
}

function guestOf(parts: Parts, domain: Domain): IoCostGuest {
  const { handsOff, journal } = parts;
  const { uuid } = domain;
  const weighted = journal.get(uuid, 'disk.weight') !== null;
  return { domain, asked: askedBy(parts, domain), handsOff: handsOff.of(uuid)?.kind ?? null, weighted };
}

function askedBy({ generations, classOf }: Parts, domain: Domain): boolean | null {
  if (domain.process === null) return false;
  if (domain.facts === null || generations.active === null) return null;
  const effective = classOf(domain);
  return effective !== null && asksForIoCost(effective);
}

const maybe = new WeakMap<Generation, boolean>();

function maybeAsked(generation: Generation | null): boolean {
  if (generation === null) return false;
  const known = maybe.get(generation);
  if (known !== undefined) return known;
  const inClass = [...generation.classes.values()].some(({ values }) => values.get('disk.iocost')?.value === true);
  const asked =
    inClass ||
    generation.schedules.some(({ set }) => set.some(({ key, to }) => key === 'disk.iocost' && to.value === true));
  maybe.set(generation, asked);
  return asked;
}
