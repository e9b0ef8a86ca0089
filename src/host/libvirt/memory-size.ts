/**
 * A memory size in domain XML, `<memory unit='MiB'>512</memory>`: takes the element, gives whole KiB or bytes. Pure.
 * Units as in https://libvirt.org/formatdomain.html#memory-allocation and virScaleInteger: KiB without one, `k` and `KiB`
 * are 1024, `KB` is 1000, in any case of letters. libvirt itself writes KiB, and rounds bytes up to them.
 */
import { attribute, integer, text, type XmlNode } from './xml-tree.js';

const LETTERS = 'kmgtpe';

/** Undefined for an absent element and for what is no size. */
export function memoryBytes(element: XmlNode | undefined): number | undefined {
  const amount = element === undefined ? undefined : integer(text(element));
  const unit = unitBytes((attribute(element, 'unit') ?? 'KiB').trim().toLowerCase());
  return amount === undefined || amount < 0 || unit === undefined ? undefined : amount * unit;
}

/** Rounded up. */
export function memoryKib(element: XmlNode | undefined): number | undefined {
  const bytes = memoryBytes(element);
  return bytes === undefined ? undefined : Math.ceil(bytes / 1024);
}

function unitBytes(unit: string): number | undefined {
  if (unit === 'b' || unit === 'byte' || unit === 'bytes') return 1;
  const [, letter = '', suffix = ''] = /^([kmgtpe])(|ib|b)$/.exec(unit) ?? [];
  const power = letter === '' ? 0 : LETTERS.indexOf(letter) + 1;
  if (power === 0) return undefined;
  return (suffix === 'b' ? 1000 : 1024) ** power;
}
