/**
 * Records of guests without libvirt whose process has ended. The group may outlive it, with values of ours in it, and be
 * the next one's: its record is handed on. One whose group is gone, or that was handed on, is removed.
 */
import { lastingGroup } from './originals.js';
import type { Parts } from './parts.js';

export async function removeEnded({ gate, inventory, journal }: Parts): Promise<void> {
  // A lone command that only looks must not write over the daemon's journal.
  if (gate.stop() !== null) return;
  const heirs = new Map<string | null, string>();
  for (const domain of inventory.all()) heirs.set(lastingGroup(domain), domain.uuid);
  const ended = [...journal.lasting()].filter(({ uuid, control, group }) => {
    if (inventory.get(uuid) !== null) return false;
    const heir = heirs.get(group);
    if (heir !== undefined && journal.get(heir, control) !== null) return true;
    const at = group.lastIndexOf(' ');
    return !inventory.standsGroup(group.slice(0, at), BigInt(group.slice(at + 1)));
  });
  if (ended.length > 0) await journal.remove(ended);
}
