/**
 * Labels of domains in memory: what libvirt makes of a call that sets one, and of a definition when a guest starts. Pure.
 */
import type { DomainSeclabel } from '../../src/domains/types.js';
import { parseSeclabels } from '../../src/host/libvirt/domain-xml.js';
import { editSeclabel } from '../../src/host/libvirt/seclabel-edit.js';

export type AppliedSeclabel =
  | { readonly ok: true; readonly seclabels: readonly DomainSeclabel[] }
  | { readonly ok: false; readonly message: string };

/** The same list when nothing changes. */
export function applySeclabel(seclabels: readonly DomainSeclabel[], text: string): AppliedSeclabel {
  const xml = `<domain>${seclabels.map(seclabelXml).join('')}</domain>`;
  const edited = editSeclabel(xml, text);
  if (!edited.ok) return { ok: false, message: edited.problem };
  return { ok: true, seclabels: edited.xml === xml ? seclabels : parseSeclabels(edited.xml) };
}

/** On a host with SELinux. `range`: two categories of which no other guest has both. */
export function liveSeclabels(asked: readonly DomainSeclabel[], range: () => string): DomainSeclabel[] {
  const ours = asked.find(({ model }) => model === 'selinux');
  const others = asked.filter((each) => each !== ours);
  if (ours?.type === 'none') return [ours, ...others];
  const [user = 'system_u', role = 'system_r', type = 'svirt_t'] = ours?.baselabel?.split(':') ?? [];
  const label = ours?.label ?? `${user}:${role}:${type}:s0:${range()}`;
  const level = label.split(':').slice(3).join(':');
  const live: DomainSeclabel = {
    model: 'selinux',
    type: ours?.type ?? 'dynamic',
    relabel: ours?.relabel ?? true,
    label,
    imagelabel: `system_u:object_r:svirt_image_t:${level}`,
    baselabel: ours?.baselabel ?? null,
  };
  return [live, ...others];
}

/** `static`, `selinux` and a label, or whatever is given. */
export function fakeSeclabel(seclabel: Partial<DomainSeclabel> = {}): DomainSeclabel {
  return {
    model: 'selinux',
    type: seclabel.label === undefined ? 'dynamic' : 'static',
    relabel: true,
    label: null,
    imagelabel: null,
    baselabel: null,
    ...seclabel,
  };
}

function seclabelXml({ model, type, relabel, label, baselabel }: DomainSeclabel): string {
  const named = model === null ? '' : ` model='${model}'`;
  const content = `${element('label', label)}${element('baselabel', baselabel)}`;
  return `<seclabel type='${type}'${named} relabel='${relabel ? 'yes' : 'no'}'>${content}</seclabel>`;
}

function element(name: string, text: string | null): string {
  return text === null ? '' : `<${name}>${text.replace(/&/g, '&amp;').replace(/</g, '&lt;')}</${name}>`;
}
