/**
 * The text of one direction of a network interface's bandwidth, the form in which network limits are compared, journaled
 * and shown: `none`, or `average=1000 peak=2000 burst=512`: kilobytes a second, burst in kilobytes, as in libvirt's
 * `<bandwidth>`, whose kilobyte is 1000 bytes a second for the rates (`kbps` of tc) and 1024 for the burst (`kb` of tc).
 * Source: https://libvirt.org/formatdomain.html, "Quality of service"; virnetdevbandwidth.c.
 */
import type { Bandwidth } from '../domains/types.js';

const NONE = 'none';
const FIELDS = [
  ['average', 'averageKbytes'],
  ['peak', 'peakKbytes'],
  ['burst', 'burstKbytes'],
  ['floor', 'floorKbytes'],
] as const;

/** unsigned int in virDomainSetInterfaceParameters */
const VALUE_MAX = 0xffff_ffff;

export function formatBandwidth(bandwidth: Bandwidth | null): string {
  const words = FIELDS.flatMap(([name, field]) => {
    const value = bandwidth?.[field] ?? 0;
    return value === 0 ? [] : [`${name}=${value}`];
  });
  // libvirt takes a rate without average and floor for none at all.
  return words.some((word) => /^(?:average|floor)=/.test(word)) ? words.join(' ') : NONE;
}

/** Undefined for a text that formatBandwidth does not give. */
export function parseBandwidth(text: string): Bandwidth | null | undefined {
  if (text === NONE) return null;
  const values = new Map(text.split(' ').map((word) => word.split('=') as [string, string]));
  const bandwidth = Object.fromEntries(
    FIELDS.flatMap(([name, field]) => (values.has(name) ? [[field, Number(values.get(name))] as const] : [])),
  );
  const valid = Object.values(bandwidth).every((value) => Number.isInteger(value) && value > 0 && value <= VALUE_MAX);
  const whole: Bandwidth = { averageKbytes: 0, ...bandwidth };
  return valid && formatBandwidth(whole) === text ? whole : undefined;
}
