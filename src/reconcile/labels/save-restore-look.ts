/**
 * What is true of a guest on its way through save and restore, by libvirt's own word: asked before and after every step,
 * because a call that overran or lost its connection may have been carried out, and an operator may have come in between.
 */
import type { LibvirtClient } from '../../host/libvirt/client.js';
import { seclabelText } from '../../svirt/seclabel.js';

export type Where =
  /** `label`: seclabel text that it runs under. */
  | { readonly kind: 'runs'; readonly label: string }
  /** A save, a restore, or somebody's wish. */
  | { readonly kind: 'paused'; readonly label: string }
  /** Off, and its memory is there to be restored. */
  | { readonly kind: 'saved' }
  /** Off, and of the image that is there nobody knows whether it is whole. */
  | { readonly kind: 'unreadable'; readonly message: string }
  /** Off, and nothing was saved; or there is no such guest any more. */
  | { readonly kind: 'off' }
  | { readonly kind: 'unknown'; readonly message: string };

export async function whereIs(libvirt: LibvirtClient, uuid: string): Promise<Where> {
  // By name: a list may be empty while libvirtd still loads.
  const facts = await libvirt.facts(uuid);
  if (!facts.ok) return facts.failure === 'vanished' ? { kind: 'off' } : { kind: 'unknown', message: facts.message };
  const { id, managedSave, seclabels, state } = facts.value;
  if (id !== null) {
    const label = seclabelText(seclabels?.find(({ model }) => model === 'selinux') ?? null);
    return { kind: state === 'paused' || state === 'starting' ? 'paused' : 'runs', label };
  }
  if (managedSave !== true) return { kind: 'off' };
  const image = await libvirt.managedSaveXml(uuid);
  if (image.ok) return { kind: 'saved' };
  if (image.failure === 'vanished') return { kind: 'off' };
  return { kind: image.failure === 'refused' ? 'unreadable' : 'unknown', message: image.message };
}
