/**
 * What the kernel says about an interface's traffic control, taken apart: HTB classes and policing filters as libvirt
 * makes them. Everything else (other disciplines, filters that match only some packets or only count) is no limit.
 * Sources: linux/pkt_sched.h (struct tc_htb_opt), linux/pkt_cls.h (struct tc_police, tc_u32_sel).
 */
import { burstBytes, type KernelBandwidth } from './bandwidth.js';
import {
  type Attributes,
  int32,
  type NetlinkMessage,
  parseAttributes,
  parseTcMessage,
  text,
  uint32,
  uint64,
} from './netlink-message.js';

export const RTM_NEWTCLASS = 40;
export const RTM_NEWTFILTER = 44;

const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_STATS = 3;
const TCA_STATS2 = 7;
const TCA_STATS_QUEUE = 3;
const TCA_HTB_PARMS = 1;
const TCA_HTB_RATE64 = 6;
const TCA_HTB_CEIL64 = 7;
const TCA_U32_SEL = 5;
const TCA_U32_POLICE = 6;
const TCA_U32_ACT = 7;
const TCA_MATCHALL_ACT = 2;
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
const TCA_ACT_STATS = 4;
const TCA_POLICE_TBF = 1;
const TCA_POLICE_RATE64 = 8;
const TC_ACT_SHOT = 2;
const ETH_P_ALL = 3;

/** Class 1:1, the one through which libvirt sends everything. */
const LIBVIRT_CLASS = 0x0001_0001;
/** Those that a sysctl or the kernel itself may have put there, with classes or without; libvirt hangs sfq below its own. */
const UNLIMITED_QUEUES = new Set(['mq', 'noqueue', 'pfifo_fast', 'pfifo', 'bfifo', 'fq', 'fq_codel', 'codel', 'sfq']);
/** Offsets in struct tc_htb_opt: two tc_ratespec of 12 bytes whose last word is the rate, then the burst in ticks. */
const HTB_RATE = 8;
const HTB_CEIL = 20;
const HTB_BUFFER = 24;
const TCM_INFO = 16;
/** Offsets in struct tc_police; its tc_ratespec begins at 20. */
const POLICE_ACTION = 4;
const POLICE_BURST = 12;
const POLICE_RATE = 28;
/** Offsets in struct tc_u32_sel, which is 16 bytes, and the size of a key, which begins with its mask. */
const U32_KEY_COUNT = 2;
const U32_KEYS = 16;
const U32_KEY_BYTES = 16;
/** Offsets of the drops in struct tc_stats and struct gnet_stats_queue. */
const STATS_DROPS = 12;
const QUEUE_DROPS = 8;

/** A limit in force, and the packets that it has dropped since it was set (32 bits, which wrap). */
export interface EnforcedBandwidth extends KernelBandwidth {
  readonly droppedPackets: number;
}

/** The limit on what is sent to the device: its HTB class 1:1. Null: there is none. */
export function parseHtbClass(messages: readonly NetlinkMessage[], ifindex: number): EnforcedBandwidth | null {
  for (const { type, payload } of messages) {
    const tc = type === RTM_NEWTCLASS ? parseTcMessage(payload) : null;
    if (tc === null || tc.ifindex !== ifindex || tc.handle !== LIBVIRT_CLASS) continue;
    if (text(tc.attributes.get(TCA_KIND)) !== 'htb') continue;
    const htb = parseAttributes(tc.attributes.get(TCA_OPTIONS));
    const parameters = htb.get(TCA_HTB_PARMS);
    const average = uint64(htb.get(TCA_HTB_RATE64)) ?? uint32(parameters, HTB_RATE);
    const ceil = uint64(htb.get(TCA_HTB_CEIL64)) ?? uint32(parameters, HTB_CEIL);
    const ticks = uint32(parameters, HTB_BUFFER);
    if (average === null || ceil === null || ticks === null) continue;
    return {
      averageBytesPerSecond: average,
      peakBytesPerSecond: ceil === average ? null : ceil,
      burstBytes: burstBytes(average, ticks),
      droppedPackets: queueDrops(tc.attributes.get(TCA_STATS2)),
    };
  }
  return null;
}

/**
 * Kind of a queueing discipline that somebody else has put on the interface; null: there is none but what the kernel puts
 * there by itself, or libvirt. Whoever has libvirt set a limit loses it, and nothing brings it back.
 */
export function foreignQueue(messages: readonly NetlinkMessage[], ifindex: number): string | null {
  for (const { type, payload } of messages) {
    const tc = type === RTM_NEWTCLASS ? parseTcMessage(payload) : null;
    if (tc === null || tc.ifindex !== ifindex) continue;
    const kind = text(tc.attributes.get(TCA_KIND));
    if (kind === 'htb' ? tc.handle >>> 16 !== LIBVIRT_CLASS >>> 16 : !UNLIMITED_QUEUES.has(kind)) return kind;
  }
  return null;
}

/** The limit on what comes from the device: the first filter that polices every packet and drops the rest. */
export function parsePolice(messages: readonly NetlinkMessage[], ifindex: number): EnforcedBandwidth | null {
  for (const { type, payload } of messages) {
    const tc = type === RTM_NEWTFILTER ? parseTcMessage(payload) : null;
    if (tc === null || tc.ifindex !== ifindex || !matchesAllProtocols(payload)) continue;
    const policer = policerOf(text(tc.attributes.get(TCA_KIND)), parseAttributes(tc.attributes.get(TCA_OPTIONS)));
    const parameters = policer?.police.get(TCA_POLICE_TBF);
    if (int32(parameters, POLICE_ACTION) !== TC_ACT_SHOT) continue;
    const average = uint64(policer?.police.get(TCA_POLICE_RATE64)) ?? uint32(parameters, POLICE_RATE);
    const ticks = uint32(parameters, POLICE_BURST);
    // A policer without a rate limits packets per second, or their size.
    if (average === null || average === 0 || ticks === null) continue;
    return {
      averageBytesPerSecond: average,
      peakBytesPerSecond: null,
      burstBytes: burstBytes(average, ticks),
      droppedPackets:
        policer?.stats === undefined
          ? (uint32(tc.attributes.get(TCA_STATS), STATS_DROPS) ?? 0)
          : queueDrops(policer.stats),
    };
  }
  return null;
}

interface Policer {
  readonly police: Attributes;
  /** Its own statistics; a policer in the old form has those of the filter. */
  readonly stats?: DataView | undefined;
}

/** The policer of a filter that matches every packet. */
function policerOf(kind: string, filter: Attributes): Policer | null {
  if (kind === 'matchall') return policeAction(filter.get(TCA_MATCHALL_ACT));
  if (kind !== 'u32' || !matchesAllPackets(filter.get(TCA_U32_SEL))) return null;
  const police = filter.get(TCA_U32_POLICE);
  return police === undefined ? policeAction(filter.get(TCA_U32_ACT)) : { police: parseAttributes(police) };
}

/** The form `action police …`: a list of actions by number, of which only the first sees every packet. */
function policeAction(actions: DataView | undefined): Policer | null {
  const [first] = [...parseAttributes(actions)].sort(([one], [other]) => one - other);
  const action = parseAttributes(first?.[1]);
  if (text(action.get(TCA_ACT_KIND)) !== 'police') return null;
  return { police: parseAttributes(action.get(TCA_ACT_OPTIONS)), stats: action.get(TCA_ACT_STATS) };
}

/** Drops in an attribute of the newer form of statistics. */
function queueDrops(stats: DataView | undefined): number {
  return uint32(parseAttributes(stats).get(TCA_STATS_QUEUE), QUEUE_DROPS) ?? 0;
}

/** A selector whose every key has an empty mask. Masks of zero look the same in every byte order. */
function matchesAllPackets(selector: DataView | undefined): boolean {
  if (selector === undefined || selector.byteLength < U32_KEYS) return false;
  const keys = selector.getUint8(U32_KEY_COUNT);
  for (let key = 0; key < keys; key++) {
    if (uint32(selector, U32_KEYS + key * U32_KEY_BYTES) !== 0) return false;
  }
  return true;
}

/** tcm_info holds the priority above, the protocol in network byte order below. */
function matchesAllProtocols(payload: DataView): boolean {
  const protocol = (uint32(payload, TCM_INFO) ?? 0) & 0xffff;
  return protocol === ETH_P_ALL || ((protocol >> 8) | ((protocol & 0xff) << 8)) === ETH_P_ALL;
}
