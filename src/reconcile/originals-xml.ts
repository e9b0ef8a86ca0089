/**
 * The journal's records of one domain as an element of its live metadata, so that they travel with a migration or a
 * saved image. Pure; what comes back in is data from outside and is read with care.
 */
import { XMLParser } from 'fast-xml-parser';
import type { JournaledSetting, JournalRecord } from './journal-format.js';

export const ORIGINALS_NAMESPACE = 'https://virtslad.dev/xmlns/originals/1';

/** What 512 vCPUs with a pin of each its own need, twice. */
const LENGTH_MAX = 256 * 1024;

/** control → setting key → what is recorded. */
export type Originals = Readonly<Record<string, Readonly<Record<string, JournaledSetting>>>>;

/** Null when there is nothing to record: the element is to be removed. */
export function formatOriginalsXml(records: readonly JournalRecord[]): string | null {
  // Hundreds of vCPUs have the same: one element for all of them.
  const alike = new Map<
    string,
    { readonly control: string; readonly setting: JournaledSetting; readonly keys: string[] }
  >();
  for (const { control, settings } of records) {
    for (const [key, setting] of Object.entries(settings)) {
      const same = JSON.stringify([control, setting.original.text, setting.written]);
      const known = alike.get(same);
      if (known === undefined) alike.set(same, { control, setting, keys: [key] });
      else known.keys.push(key);
    }
  }
  const lines = [...alike.values()].map(({ control, setting: { original, written }, keys }) => {
    const ours = written.map((text) => `<written>${escapeXml(text)}</written>`).join('');
    const key = escapeXml(keys.join(' '));
    return `<setting control="${escapeXml(control)}" key="${key}" original="${escapeXml(original.text)}">${ours}</setting>`;
  });
  return lines.length === 0 ? null : `<originals>${lines.join('')}</originals>`;
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '',
  removeNSPrefix: true,
  parseTagValue: false,
  parseAttributeValue: false,
  isArray: (name) => name === 'setting' || name === 'written',
});

/** Empty for a missing or strange element. */
export function parseOriginalsXml(xml: string | null): Originals {
  if (xml === null || xml.length > LENGTH_MAX) return {};
  const originals: Record<string, Record<string, JournaledSetting>> = Object.create(null);
  try {
    const settings: unknown = parser.parse(xml)?.originals?.setting;
    if (!Array.isArray(settings)) return {};
    for (const one of settings as Record<string, unknown>[]) {
      const { control, key, original, written } = one;
      if (typeof control !== 'string' || typeof key !== 'string' || typeof original !== 'string') continue;
      const texts = Array.isArray(written) ? written.filter((text) => typeof text === 'string') : [];
      originals[control] ??= Object.create(null) as Record<string, JournaledSetting>;
      for (const one of key.split(' ')) {
        (originals[control] as Record<string, JournaledSetting>)[one] = {
          original: { text: original, from: 'metadata' },
          written: texts,
        };
      }
    }
    return originals;
  } catch {
    return {};
  }
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
