/**
 * network.limit: ceiling of the traffic of each interface, to the guest (in) and from it (out). libvirt sets the kernel's
 * traffic control on the guest's tap: a queue towards it, a policer on what comes from it.
 * Sources: formatdomain.html ("Quality of service"), virDomainSetInterfaceParameters, tc-htb(8), tc-police(8).
 */

import type { Bandwidth, Domain, InterfaceDevice } from '../domains/types.js';
import { type NetworkLimit, networkLimit as schema } from '../policy/network-values.js';
import type { EffectiveClass, Sourced } from '../policy/types.js';
import { formatBandwidth, parseBandwidth } from '../text/bandwidth.js';
import { formatNetworkRate, formatSize } from '../units.js';
import { type Amount, type Control, type Desired, type KeySpec, type Place, type Setting, told } from './control.js';

const DIRECTIONS = ['in', 'out'] as const;
type Direction = (typeof DIRECTIONS)[number];

/** Those for which libvirt sets bandwidth (virNetDevSupportsBandwidth). */
const LIMITED_TYPES = ['bridge', 'network', 'ethernet', 'direct'];
const UNLIMITED: Readonly<Record<string, string>> = {
  user: 'its packets never pass the kernel’s queues',
  vhostuser: 'another process moves its packets',
  hostdev: 'a device of the host is handed through',
  vdpa: 'a device of the host is handed through',
};

/** Bytes in libvirt's kilobyte: of a rate, and of a burst. */
const [RATE_UNIT, BURST_UNIT] = [1000, 1024];
/** tc keeps a burst as the time that it takes at the average rate, in 2^32 ticks of 64 ns, and its size in 32 bits. */
const MOST_BURST_SECONDS = 274;
const MOST_BURST_KBYTES = 2 ** 22 - 1;
/** virDomainSetInterfaceParameters has 32 bits for each. */
const MOST_KBYTES = 2 ** 32 - 1;

const METRIC = 'network_limit_bytes_per_second';

const keySpec = (direction: Direction, summary: string): KeySpec => ({
  key: `network.limit.${direction}`,
  schema,
  summary,
  unit: 'bits or bytes per second',
  range: 'an average of 8kbit/s or more, or { average, peak, burst } with peak at least average and burst a size',
  example: '1Gbit/s',
});

export const networkLimit: Control = {
  id: 'network.limit',
  scope: 'domain',
  built: true,
  summary: 'Ceiling of the traffic of each network interface',
  keys: [
    keySpec('in', 'Traffic to the guest, on each interface'),
    keySpec('out', 'Traffic from the guest, on each interface'),
  ],
  metrics: [
    {
      name: METRIC,
      help: 'Limit of the average traffic of each interface to (in) and from (out) the guest, +Inf without one',
      labels: ['interface', 'direction'],
    },
  ],
  tellsApart: true,

  desired(wanted, domain): Desired {
    const limits = askedOf(wanted);
    const [first] = limits;
    if (first === undefined) return { kind: 'unmanaged' };
    const { asked, askedKey } = first;
    for (const { limit, asked, askedKey } of limits) {
      const reason = impossible(limit);
      if (reason !== null) return { kind: 'refused', reason, asked, askedKey };
    }
    const interfaces = domain.facts?.tuning.interfaces ?? [];
    const settings: Setting[] = [];
    const notes = new Set<string>();
    for (const one of interfaces) {
      const obstacle = obstacleOf(one, domain);
      if (obstacle !== null) notes.add(`${one.device ?? (one.mac || one.type)}: not limited: ${obstacle}`);
      else for (const { direction, limit } of limits) settings.push(settingFor(one, direction, limit));
    }
    const out = limits.find(({ direction }) => direction === 'out');
    if (settings.length > 0 && out?.limit.peakBytesPerSecond !== undefined) {
      notes.add('the kernel does not enforce a peak on what comes from the guest');
    }
    if (settings.length === 0) {
      const reason = interfaces.length === 0 ? 'it has no network interface' : [...notes].join('; ');
      return { kind: 'unsupported', reason, asked, askedKey };
    }
    const texts = new Map(settings.map(({ key, text }) => [key, text]));
    const display = describe(texts, domain);
    return { kind: 'set', asked, askedKey, amounts: amountsOf(texts, domain), display, settings, notes: [...notes] };
  },

  place(key, domain): Place | null {
    const found = interfaceOf(key, domain);
    return found === null || found.one.device === null ? null : placeOf(found.one.device, found.direction);
  },

  amountsOf,

  displayOf: describe,

  fromXml(key, { interfaces }) {
    const { mac, direction } = partsOf(key);
    const one = interfaces.find((other) => other.mac === mac);
    const text = formatBandwidth((direction === 'in' ? one?.inbound : one?.outbound) ?? null);
    return { text, from: text === 'none' ? 'default' : 'xml' };
  },

  tellFor(texts, domain) {
    const calls = new Map<string, Bandwidths>();
    for (const [key, text] of texts) {
      const found = interfaceOf(key, domain);
      const bandwidth = parseBandwidth(text);
      if (found?.one.device == null || bandwidth === undefined) continue;
      const { device } = found.one;
      calls.set(device, { ...calls.get(device), [found.direction === 'in' ? 'inbound' : 'outbound']: bandwidth });
    }
    if (calls.size === 0) return null;
    return told([...calls].map(([device, both]) => ({ call: 'bandwidth', device, ...both })));
  },
};

interface Bandwidths {
  readonly inbound?: Bandwidth | null;
  readonly outbound?: Bandwidth | null;
}

interface AskedLimit {
  readonly direction: Direction;
  readonly limit: NetworkLimit;
  readonly asked: Sourced;
  readonly askedKey: string;
}

function askedOf({ values }: EffectiveClass): readonly AskedLimit[] {
  return DIRECTIONS.flatMap((direction) => {
    const askedKey = `network.limit.${direction}`;
    const asked = values.get(askedKey);
    return asked === undefined ? [] : [{ direction, limit: asked.value as NetworkLimit, asked, askedKey }];
  });
}

/** Why an interface cannot be limited; null when it can. */
function obstacleOf(one: InterfaceDevice, { source, facts }: Domain): string | null {
  const { mac, type, device } = one;
  if (source === 'bare') return 'its tap is set up by whoever started it; libvirt would have to be asked';
  if (!LIMITED_TYPES.includes(type))
    return `libvirt limits no interface of type ${type}: ${UNLIMITED[type] ?? 'it has no tap'}`;
  if (device === null) return 'it has no device on this host';
  const first = facts?.tuning.interfaces.find((other) => other.mac === mac);
  return first === one ? null : 'another interface of the guest has the same MAC';
}

function settingFor(one: InterfaceDevice, direction: Direction, limit: NetworkLimit): Setting {
  // What the network promises to the interface is no limit, and stays.
  const floorKbytes = direction === 'in' ? one.inbound?.floorKbytes : undefined;
  const text = formatBandwidth({ ...bandwidthOf(limit), ...(floorKbytes !== undefined && { floorKbytes }) });
  return { ...placeOf(one.device ?? '', direction), key: `${one.mac}/${direction}`, text };
}

/** In libvirt's units, rounded down: a ceiling is never raised. */
function bandwidthOf({ averageBytesPerSecond, peakBytesPerSecond, burstBytes = 0 }: NetworkLimit): Bandwidth {
  const whole = (amount: number, unit: number) => Math.floor(amount / unit);
  return {
    averageKbytes: whole(averageBytesPerSecond, RATE_UNIT),
    ...(peakBytesPerSecond !== undefined && { peakKbytes: whole(peakBytesPerSecond, RATE_UNIT) }),
    ...(burstBytes > 0 && { burstKbytes: Math.max(1, whole(burstBytes, BURST_UNIT)) }),
  };
}

/** Why nobody could set this limit on any interface; null when it can be. */
function impossible(limit: NetworkLimit): string | null {
  const { averageKbytes, peakKbytes = 0, burstKbytes = 0 } = bandwidthOf(limit);
  const { averageBytesPerSecond, peakBytesPerSecond = 0, burstBytes = 0 } = limit;
  if (averageKbytes < 1)
    return `${formatNetworkRate(averageBytesPerSecond)} is under 8kbit/s, the least that libvirt sets`;
  if (Math.max(averageKbytes, peakKbytes) > MOST_KBYTES) {
    const most = Math.max(averageBytesPerSecond, peakBytesPerSecond);
    return `${formatNetworkRate(most)} is more than libvirt sets, ${formatNetworkRate(MOST_KBYTES * RATE_UNIT)}`;
  }
  const seconds = (burstKbytes * BURST_UNIT) / (averageKbytes * RATE_UNIT);
  if (burstKbytes <= MOST_BURST_KBYTES && seconds <= MOST_BURST_SECONDS) return null;
  return `a burst of ${formatSize(burstBytes)} is more than the kernel can keep at that average`;
}

function placeOf(device: string, direction: Direction): Place {
  return { path: `tap:${device}/${direction}`, writer: 'libvirt', depth: 1 };
}

function partsOf(key: string): { readonly mac: string; readonly direction: Direction } {
  const at = key.lastIndexOf('/');
  return { mac: key.slice(0, at), direction: key.slice(at + 1) === 'in' ? 'in' : 'out' };
}

function interfaceOf(
  key: string,
  { facts }: Domain,
): { readonly one: InterfaceDevice; readonly direction: Direction } | null {
  const { mac, direction } = partsOf(key);
  const one = facts?.tuning.interfaces.find((other) => other.mac === mac);
  return one === undefined ? null : { one, direction };
}

function amountsOf(texts: ReadonlyMap<string, string | null>, domain: Domain): readonly Amount[] {
  return [...texts].flatMap(([key, text]) => {
    const bandwidth = text === null ? undefined : parseBandwidth(text);
    if (bandwidth === undefined) return [];
    const { mac, direction } = partsOf(key);
    const labels = { interface: interfaceOf(key, domain)?.one.device ?? mac, direction };
    return [{ metric: METRIC, labels, value: bandwidth === null ? null : bandwidth.averageKbytes * RATE_UNIT }];
  });
}

/** `in 1Gbit/s, out 500Mbit/s on vnet0, vnet1` */
function describe(texts: ReadonlyMap<string, string | null>, domain: Domain): string {
  const byInterface = new Map<string, string[]>();
  for (const [key, text] of texts) {
    const { mac, direction } = partsOf(key);
    const name = interfaceOf(key, domain)?.one.device ?? mac;
    byInterface.set(name, [...(byInterface.get(name) ?? []), `${direction} ${words(text)}`]);
  }
  const alike = new Map<string, string[]>();
  for (const [name, said] of byInterface) alike.set(said.join(', '), [...(alike.get(said.join(', ')) ?? []), name]);
  return [...alike].map(([said, names]) => `${names.join(', ')}: ${said}`).join('; ');
}

function words(text: string | null): string {
  const bandwidth = text === null ? undefined : parseBandwidth(text);
  if (bandwidth === undefined) return 'not known';
  if (bandwidth === null) return 'no limit';
  const { averageKbytes, peakKbytes, burstKbytes } = bandwidth;
  const peak = peakKbytes === undefined ? '' : `, peak ${formatNetworkRate(peakKbytes * RATE_UNIT)}`;
  const burst = burstKbytes === undefined ? '' : ` for ${formatSize(burstKbytes * BURST_UNIT)}`;
  return `${formatNetworkRate(averageKbytes * RATE_UNIT)}${peak}${burst}`;
}
