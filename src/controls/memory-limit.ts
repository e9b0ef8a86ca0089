/**
 * memory.limit: hard ceiling of the memory that the guest's QEMU process uses. Over it the kernel kills, so one under the
 * safe floor is refused with the figures, and never raised in silence. Guests whose memory is pinned have none.
 * Sources: cgroup-v2.rst (memory.max), memory.rst of v1 (memory.limit_in_bytes), virDomainSetMemoryParameters (hard_limit).
 */
import { join } from 'node:path';
import type { Domain } from '../domains/types.js';
import { type MemoryAmount, memoryLimit as schema } from '../policy/memory-values.js';
import type { EffectiveClass, Sourced } from '../policy/types.js';
import { formatSize, roundedSize } from '../units.js';
import type { Amount, Control, Desired, Override, Place, Sight } from './control.js';
import {
  amountBytes,
  bytesOf,
  figure,
  memoryObstacle,
  memoryPlace,
  memoryTell,
  NO_LIMIT,
  pinnedMemory,
  sizeWords,
} from './memory-files.js';
import { type Floor, hardwareFloor, usageFloors } from './memory-overhead.js';

const FILE = 'memory.max';
const WITH_SWAP = 'memory.memsw.max';
const NONE = 'no limit';
/** Below memory and swap together, which v1 wants to be the higher. */
const DEPTH = 1;

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
    const place = memoryPlace(FILE, DEPTH, domain);
    if (obstacle !== null || place === null || domain.facts === null)
      return { kind: 'unsupported', reason: obstacle ?? 'its memory is not known yet', asked };
    const amount = asked.value as 'none' | MemoryAmount;
    if (amount === 'none') {
      const over = overBoth(Number.POSITIVE_INFINITY, wanted, domain, sight);
      return over === null ? set(asked, place, NO_LIMIT) : { kind: 'refused', reason: over, asked };
    }
    const [gap] = domain.gaps;
    if (gap !== undefined) return { kind: 'unsupported', reason: `how much it may need is not known: ${gap}`, asked };
    const { hardware, vcpusMax } = domain.facts;
    const pinned = pinnedMemory(hardware);
    if (pinned !== null) {
      return { kind: 'unsupported', reason: `no limit is set on it: ${pinned}`, asked, giveBack: true };
    }
    const bytes = amountBytes(amount, hardware, host.pageBytes);
    const standingBytes = bytesOf(sight.read(place)) ?? Number.POSITIVE_INFINITY;
    const needed = hardwareFloor(hardware, vcpusMax);
    // A limit that is no lower than the one it lives under takes nothing from it, however near that it has come.
    const floors = [needed, ...(bytes < standingBytes ? usage(domain, sight) : [])];
    const highest = floors.reduce((one, other) => (other.bytes > one.bytes ? other : one));
    const over = overBoth(bytes, wanted, domain, sight);
    if (bytes >= highest.bytes) {
      return over === null ? set(asked, place, String(bytes)) : { kind: 'refused', reason: over, asked };
    }
    // Memory was plugged in since: what we set then would have the guest killed now.
    const giveBack = standingBytes < needed.bytes ? ({ giveBack: true } as const) : {};
    return { kind: 'refused', reason: refusal(bytes, highest), asked, ...giveBack };
  },

  place: (key, domain) => (key === FILE ? memoryPlace(FILE, DEPTH, domain) : null),

  amountsOf: (texts) => amounts(texts.get(FILE) ?? null),

  displayOf: (texts) => sizeWords(texts.get(FILE) ?? null, NONE),

  fromXml(_key, { memory: { hardLimitKib } }) {
    if (hardLimitKib === undefined) return { text: NO_LIMIT, from: 'default' };
    return { text: String(hardLimitKib * 1024), from: 'xml' };
  },

  tellFor(texts, domain) {
    const text = texts.get(FILE);
    return text === undefined ? null : memoryTell(FILE, 'hard_limit', text, domain);
  },

  allows: bytesOf,

  overriddenBy(desired, { groups: { memory } }, { read }): Override | null {
    const wantedBytes = desired.kind === 'set' ? (desired.amounts[0]?.value ?? null) : null;
    if (wantedBytes === null || memory === undefined) return null;
    const above = memory.weightDir === memory.domainDir ? memory.ancestors : [memory.weightDir, ...memory.ancestors];
    for (const directory of above) {
      const path = join(directory, FILE);
      const bytes = bytesOf(read({ path }));
      if (bytes === null || bytes >= wantedBytes) continue;
      return { reason: `a group above it is limited to ${roundedSize(bytes)}`, path };
    }
    return null;
  },
};

function set(asked: Sourced, place: Place, text: string): Desired {
  const display = sizeWords(text, NONE);
  return { kind: 'set', asked, amounts: amounts(text), display, settings: [{ ...place, key: FILE, text }], notes: [] };
}

function usage({ groups }: Domain, { read }: Sight): readonly Floor[] {
  if (groups.memory === undefined) return [];
  const at = (file: string) => bytesOf(read({ path: `${groups.memory?.domainDir}/${file}` }));
  return usageFloors(at('memory.peak'), at('memory.current'));
}

/** v1 takes no limit over that of memory and swap together, where memory.swap does not raise that with it. */
function overBoth(bytes: number, { values }: EffectiveClass, { groups }: Domain, { read }: Sight): string | null {
  const swap = values.get('memory.swap')?.value;
  if (groups.memory?.version !== 1 || swap === 'none' || (swap !== undefined && Number.isFinite(bytes))) return null;
  const both = bytesOf(read({ path: `${groups.memory.domainDir}/${WITH_SWAP}` })) ?? Number.POSITIVE_INFINITY;
  if (bytes <= both) return null;
  return `${sizeWords(bytes === Number.POSITIVE_INFINITY ? NO_LIMIT : String(bytes), NONE)} is over the ${formatSize(both)} that memory and swap together are limited to: write memory.swap too`;
}

function refusal(bytes: number, floor: Floor): string {
  const needed = roundedSize(floor.bytes);
  return `${formatSize(bytes)} is under the ${needed} that it may need: ${floor.because}`;
}

function amounts(text: string | null): readonly Amount[] {
  const value = figure(text);
  return value === undefined ? [] : [{ metric: 'memory_limit_bytes', labels: {}, value }];
}
