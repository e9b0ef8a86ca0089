/**
 * memory.high: the use above which the kernel slows the guest down and reclaims from it, for as long as it stays there.
 * Set only where a class writes it in so many words: without swap it can hold a guest still for hours and never ends it.
 * Sources: cgroup-v2.rst (memory.high); libvirt's soft_limit is this file on v2 (vircgroupv2.c). v1 has nothing like it.
 */
import type { Domain } from '../domains/types.js';
import { type MemoryAmount, memoryLimit as schema } from '../policy/memory-values.js';
import type { Amount, Control, Desired, Place } from './control.js';
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

const FILE = 'memory.high';
const NONE = 'none';

export const memoryHigh: Control = {
  id: 'memory.high',
  scope: 'domain',
  built: true,
  summary: 'Memory above which the guest is slowed down and reclaimed from',
  keys: [
    {
      key: 'memory.high',
      schema,
      summary: 'Memory above which the guest is slowed down and reclaimed from',
      unit: 'none, size, or % of the guest memory',
      range: 'none, or more than 0 and at most 1000%; at most memory.limit where both have the same unit',
      example: '110%',
    },
  ],
  metrics: [
    { name: 'memory_high_bytes', help: 'Memory above which the guest is slowed down, +Inf without', labels: [] },
  ],

  desired(wanted, domain, host): Desired {
    const asked = wanted.values.get('memory.high');
    if (asked === undefined) return { kind: 'unmanaged' };
    const unsupported = (reason: string): Desired => ({ kind: 'unsupported', reason, asked });
    const obstacle = memoryObstacle(domain);
    const place = placeOf(domain);
    if (obstacle !== null) return unsupported(obstacle);
    if (place === null) return unsupported('cgroup v1 has no memory.high');
    if (domain.facts === null) return unsupported('its memory is not known yet');
    const { hardware } = domain.facts;
    const amount = asked.value as 'none' | MemoryAmount;
    const pinned = amount === 'none' ? null : pinnedMemory(hardware);
    if (pinned !== null) {
      const reason = `nothing can be reclaimed from it: ${pinned}`;
      return { kind: 'unsupported', reason, asked, giveBack: true };
    }
    const bytes = amount === 'none' ? null : amountBytes(amount, hardware, host.pageBytes);
    if (bytes === 0) return { kind: 'refused', reason: `${asked.text} is less than a page of memory`, asked };
    const text = bytes === null ? NO_LIMIT : String(bytes);
    const notes = text === NO_LIMIT ? [] : ['above this the guest is slowed down, without end where it has no swap'];
    const display = sizeWords(text, NONE);
    return { kind: 'set', asked, amounts: amounts(text), display, settings: [{ ...place, key: FILE, text }], notes };
  },

  place: (key, domain) => (key === FILE ? placeOf(domain) : null),

  amountsOf: (texts) => amounts(texts.get(FILE) ?? null),

  displayOf: (texts) => sizeWords(texts.get(FILE) ?? null, NONE),

  fromXml(_key, { memory: { softLimitKib } }) {
    if (softLimitKib === undefined) return { text: NO_LIMIT, from: 'default' };
    return { text: String(softLimitKib * 1024), from: 'xml' };
  },

  tellFor(texts, domain) {
    const text = texts.get(FILE);
    return text === undefined ? null : memoryTell(FILE, 'soft_limit', text, domain);
  },

  allows: bytesOf,
};

function placeOf(domain: Domain): Place | null {
  return domain.groups.memory?.version === 2 ? memoryPlace(FILE, 1, domain) : null;
}

function amounts(text: string | null): readonly Amount[] {
  const value = figure(text);
  return value === undefined ? [] : [{ metric: 'memory_high_bytes', labels: {}, value }];
}
