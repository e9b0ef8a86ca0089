/**
 * The journal's records of one domain as an element of its live metadata, so that they travel with a migration or a
 * saved image. Pure; what comes back in is data from outside and is read with care.
 */
import { XMLParser } from 'fast-xml-parser';
import type { JournaledSetting, JournalRecord } from './journal-format.js';

export const ORIGINALS_NAMESPACE = 'https://virtslad.dev/xmlns/originals/1';

/** control → setting key → what is recorded. */
export type Originals = Readonly<Record<string, Readonly<Record<string, JournaledSetting>>>>;

/** Null when there is nothing to record: the element is to be removed. */
export function formatOriginalsXml(records: readonly JournalRecord[]): string | null {
  const lines: string[] = [];
  for (const record of records) {
    for (const [key, { original, written }] of Object.entries(record.settings)) {
      const ours = written.map((text) => `<written>${escapeXml(text)}</written>`).join('');
      lines.push(
        `<setting control="${escapeXml(record.control)}" key="${escapeXml(key)}" original="${escapeXml(original.text)}">${ours}</setting>`,
      );
    }
  }
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
  if (xml === null || xml.length > 65_536) return {};
  const originals: Record<string, Record<string, JournaledSetting>> = Object.create(null);
  try {
    const settings: unknown = parser.parse(xml)?.originals?.setting;
    if (!Array.isArray(settings)) return {};
    for (const one of settings as Record<string, unknown>[]) {
      const { control, key, original, written } = one;
      if (typeof control !== 'string' || typeof key !== 'string' || typeof original !== 'string') continue;
      const texts = Array.isArray(written) ? written.filter((text) => typeof text === 'string') : [];
      originals[control] ??= Object.create(null) as Record<string, JournaledSetting>;
      (originals[control] as Record<string, JournaledSetting>)[key] = {
        original: { text: original, from: 'metadata' },
        written: texts,
      };
    }
    return originals;
  } catch {
    return {};
  }
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
