/**
 * `<seclabel>` elements: takes a parsed `<domain>`, gives what they say. Pure.
 * Format: https://libvirt.org/formatdomain.html#security-label
 */
import type { DomainSeclabel } from '../../domains/types.js';
import { attribute, child, children, text, type XmlNode } from './xml-tree.js';

/** Of the domain itself, in the order of the XML; those of its disks are another matter. */
export function readSeclabels(domain: XmlNode): DomainSeclabel[] {
  return children(domain, 'seclabel').map((element) => {
    const written = attribute(element, 'type');
    const type = written === 'static' || written === 'none' ? written : 'dynamic';
    const relabel = attribute(element, 'relabel');
    return {
      model: attribute(element, 'model') || null,
      type,
      // What it is without the attribute, by the documentation; libvirt itself always writes it.
      relabel: relabel === undefined ? type === 'dynamic' : relabel === 'yes',
      label: content(element, 'label'),
      imagelabel: content(element, 'imagelabel'),
      baselabel: content(element, 'baselabel'),
    };
  });
}

function content(element: XmlNode, name: string): string | null {
  const found = child(element, name);
  return found === undefined ? null : text(found).trim() || null;
}
