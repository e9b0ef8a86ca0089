/** The host control's turn, after the guests: what all of them together are guaranteed, on the groups above them. */
import { memoryGuarantee } from '../../controls/memory-guarantee.js';
import type { Domain } from '../../domains/types.js';
import type { Parts } from '../parts.js';
import type { SliceGuest } from './slice-guarantees.js';

export async function settleSlices(parts: Parts): Promise<void> {
  const { generations, inventory, log, slices } = parts;
  const guests = inventory.all().map((domain): SliceGuest => ({ domain, desired: desiredOf(parts, domain) }));
  try {
    // Before libvirt and the policies have been heard nobody knows what may be taken away.
    await slices.settle(guests, { mayLower: inventory.complete && generations.active !== null });
  } catch (error) {
    parts.counters.cycleFailures++;
    log.error('slices.failed', { reason: (error as Error).message });
  }
}

function desiredOf(parts: Parts, domain: Domain): SliceGuest['desired'] {
  if (domain.facts === null || parts.generations.active === null) return null;
  const effective = parts.classOf(domain);
  if (effective === null) return { kind: 'unmanaged' };
  return memoryGuarantee.desired(effective, domain, parts.host, parts.inventory.sight(domain.uuid));
}
