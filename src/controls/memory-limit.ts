/**
 * memory.limit: hard ceiling of the memory that the guest's QEMU process uses. Over it the kernel kills, so one under the
 * safe floor is refused with the figures, and never raised in silence. Guests whose memory is pinned have none.
 * Sources: cgroup-v2.rst (memory.max), memory.rst of v1 (memory.limit_in_bytes), virDomainSetMemoryParameters (hard_limit).
 */
import type { Domain } from '../domains/types.js';
import { type MemoryAmount, memoryLimit as schema } from '../policy/memory-values.js';
import type { Sourced } from '../policy/types.js';
import { formatSize, roundedSize } from '../units.js';
import { type Amount, type Control, type Desired, type Place, type Sight, told } from './control.js';
import {
  amountBytes,
  bytesOf,
  figure,
  memoryObstacle,
  memoryPlace,
  NO_LIMIT,
  pinnedMemory,
  sizeWords,
  unitTell,
} from './memory-files.js';
import { type Floor, hardwareFloor, usageFloors } from './memory-overhead.js';

const FILE = 'memory.max';
const NONE = 'no limit';
/** VIR_DOMAIN_MEMORY_PARAM_UNLIMITED */
const UNLIMITED_KIB = 9_007_199_254_740_991n;

export const memoryLimit: Control = {
  id: 'memory.limit',
  scope: 'domain',
  built: true,
  summary: 'Hard ceiling of memory; refused where it would kill the guest',
  keys: [
    {
      key: 'memory.limit',
      schema,
      summary: 'Hard ceiling of memory; refused where it would kill the guest',
      unit: 'none, size, or % of the guest memory',
      range: 'none, or more than 0 and at most 1000%',
      example: 'none',
    },
  ],
  metrics: [{ name: 'memory_limit_bytes', help: 'Memory limit, +Inf without one', labels: [] }],

  desired(wanted, domain, host, sight): Desired {
    const asked = wanted.values.get('memory.limit');
    if (asked === undefined) return { kind: 'unmanaged' };
    const obstacle = memoryObstacle(domain);
    const place = placeOf(domain);
    if (obstacle !== null || place === null || domain.facts === null)
      return { kind: 'unsupported', reason: obstacle ?? 'its memory is not known yet', asked };
    const amount = asked.value as 'none' | MemoryAmount;
    if (amount === 'none') return set(asked, place, NO_LIMIT);
    const [gap] = domain.gaps;
    if (gap !== undefined) return { kind: 'unsupported', reason: `how much it may need is not known: ${gap}`, asked };
    const { hardware, vcpusMax } = domain.facts;
    const pinned = pinnedMemory(hardware);
    if (pinned !== null) return { kind: 'unsupported', reason: `no limit is set on it: ${pinned}`, asked };
    const text = String(amountBytes(amount, hardware, host.pageBytes));
    // What stands already was judged when it was set; since then it may have come near its limit, as it may.
    const stands = sight.read(place) === text;
    const floors = [hardwareFloor(hardware, vcpusMax), ...(stands ? [] : usage(domain, sight))];
    const highest = floors.reduce((one, other) => (other.bytes > one.bytes ? other : one));
    if (Number(text) < highest.bytes) return { kind: 'refused', reason: refusal(Number(text), highest), asked };
    return set(asked, place, text);
  },

  place: (key, domain) => (key === FILE ? placeOf(domain) : null),

  amountsOf: (texts) => amounts(texts.get(FILE) ?? null),

  displayOf: (texts) => sizeWords(texts.get(FILE) ?? null, NONE),

  fromXml(_key, { memory: { hardLimitKib } }) {
    if (hardLimitKib === undefined) return { text: NO_LIMIT, from: 'default' };
    return { text: String(hardLimitKib * 1024), from: 'xml' };
  },

  tellFor(texts, domain) {
    const text = texts.get(FILE);
    const bytes = bytesOf(text ?? null);
    const group = domain.groups.memory;
    if (text === undefined || bytes === null || group === undefined) return null;
    if (placeOf(domain)?.writer === 'systemd') return unitTell(group.domainDir, [[FILE, text]]);
    if (domain.source !== 'libvirt') return null;
    const hard_limit = bytes === Number.POSITIVE_INFINITY ? UNLIMITED_KIB : BigInt(Math.floor(bytes / 1024));
    return told([{ call: 'memory', parameters: { hard_limit } }]);
  },

  allows: bytesOf,
};

function set(asked: Sourced, place: Place, text: string): Desired {
  const display = sizeWords(text, NONE);
  return { kind: 'set', asked, amounts: amounts(text), display, settings: [{ ...place, key: FILE, text }], notes: [] };
}

function placeOf({ groups }: Domain): Place | null {
  // Below memory and swap together, which v1 wants to be the higher.
  return groups.memory === undefined ? null : memoryPlace(FILE, 1, groups.memory);
}

function usage({ groups }: Domain, { read }: Sight): readonly Floor[] {
  if (groups.memory === undefined) return [];
  const at = (file: string) => bytesOf(read({ path: `${groups.memory?.domainDir}/${file}` }));
  return usageFloors(at('memory.peak'), at('memory.current'));
}

function refusal(bytes: number, floor: Floor): string {
  const needed = roundedSize(floor.bytes);
  return `${formatSize(bytes)} is under the ${needed} that it may need: ${floor.because}`;
}

function amounts(text: string | null): readonly Amount[] {
  const value = figure(text);
  return value === undefined ? [] : [{ metric: 'memory_limit_bytes', labels: {}, value }];
}
