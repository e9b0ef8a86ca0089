/**
 * memory.swap: the swap that the guest may use. On v2 a limit of its own; v1 limits memory and swap together, so there it
 * needs a memory.limit, whose sum with it is written.
 * Sources: cgroup-v2.rst (memory.swap.max), memory.rst of v1 (memory.memsw.limit_in_bytes). libvirt's swap_hard_limit is
 * memory and swap by its documentation and swap alone on v2 by its code, so on v2 it is not told.
 */
import type { Domain } from '../domains/types.js';
import { memorySwap as schema } from '../policy/memory-values.js';
import type { Sourced } from '../policy/types.js';
import { type Amount, type Control, type Desired, type Place, told } from './control.js';
import { bytesOf, figure, memoryObstacle, memoryPlace, NO_LIMIT, sizeWords, unitTell } from './memory-files.js';
import { memoryLimit } from './memory-limit.js';

const SWAP = 'memory.swap.max';
const WITH_MEMORY = 'memory.memsw.max';
const NONE = 'no limit';
const UNLIMITED_KIB = 9_007_199_254_740_991n;

export const memorySwap: Control = {
  id: 'memory.swap',
  scope: 'domain',
  built: true,
  summary: 'Swap that the guest may use',
  keys: [
    {
      key: 'memory.swap',
      schema,
      summary: 'Swap that the guest may use; 0 for none at all',
      unit: 'none, or size',
      range: 'none, 0 or more; on cgroup v1 only beside memory.limit',
      example: '0',
    },
  ],
  metrics: [{ name: 'memory_swap_limit_bytes', help: 'Swap limit, +Inf without one', labels: [] }],

  desired(wanted, domain, host, sight): Desired {
    const asked = wanted.values.get('memory.swap');
    if (asked === undefined) return { kind: 'unmanaged' };
    const unsupported = (reason: string): Desired => ({ kind: 'unsupported', reason, asked });
    const obstacle = memoryObstacle(domain);
    const group = domain.groups.memory;
    if (obstacle !== null || group === undefined) return unsupported(obstacle ?? '');
    const key = group.version === 1 ? WITH_MEMORY : SWAP;
    const place = placeOf(key, domain);
    if (place === null || !sight.exists(place)) return unsupported('this kernel does not account swap by group');
    const swap = asked.value as 'none' | number;
    const swapText = swap === 'none' ? NO_LIMIT : String(Math.floor(swap / host.pageBytes) * host.pageBytes);
    if (key === SWAP || swap === 'none') return set(asked, place, key, swapText, swapText);
    const limit = memoryLimit.desired(wanted, domain, host, sight);
    const limitBytes = limit.kind === 'set' ? bytesOf(limit.settings[0]?.text ?? null) : null;
    if (limitBytes === null || limitBytes === Number.POSITIVE_INFINITY) {
      return unsupported('cgroup v1 limits swap only together with memory, and no memory.limit is in force');
    }
    return set(asked, place, key, String(limitBytes + Number(swapText)), swapText);
  },

  place: (key, domain) => placeOf(key, domain),

  amountsOf(texts) {
    const value = figure(texts.get(SWAP) ?? null);
    return value === undefined ? [] : amounts(value);
  },

  displayOf(texts) {
    const together = texts.get(WITH_MEMORY);
    if (together !== undefined) return `${sizeWords(together, NONE)} of memory and swap together`;
    return sizeWords(texts.get(SWAP) ?? null, NONE);
  },

  fromXml(key, { memory: { swapHardLimitKib } }, domain) {
    if (key === WITH_MEMORY && swapHardLimitKib !== undefined) {
      return { text: String(swapHardLimitKib * 1024), from: 'xml' };
    }
    // libvirt says nothing reliable of swap on v2: what it says never differs from what is wanted.
    return { text: NO_LIMIT, from: domain.groups.memory?.version === 1 ? 'default' : 'kernel' };
  },

  tellFor(texts, domain) {
    const group = domain.groups.memory;
    const own = texts.get(SWAP);
    if (group === undefined) return null;
    if (own !== undefined) {
      return placeOf(SWAP, domain)?.writer === 'systemd' ? unitTell(group.domainDir, [[SWAP, own]]) : null;
    }
    const bytes = bytesOf(texts.get(WITH_MEMORY) ?? null);
    if (bytes === null || domain.source !== 'libvirt') return null;
    const swap_hard_limit = bytes === Number.POSITIVE_INFINITY ? UNLIMITED_KIB : BigInt(Math.floor(bytes / 1024));
    return told([{ call: 'memory', parameters: { swap_hard_limit } }]);
  },

  allows: bytesOf,
};

function set(asked: Sourced, place: Place, key: string, text: string, swapText: string): Desired {
  const value = figure(swapText) ?? null;
  const display = `${sizeWords(swapText, NONE)}${key === WITH_MEMORY && text !== NO_LIMIT ? ` (${sizeWords(text, NONE)} with memory)` : ''}`;
  return { kind: 'set', asked, amounts: amounts(value), display, settings: [{ ...place, key, text }], notes: [] };
}

function placeOf(key: string, { groups }: Domain): Place | null {
  if (groups.memory === undefined || key !== (groups.memory.version === 1 ? WITH_MEMORY : SWAP)) return null;
  return memoryPlace(key, 0, groups.memory);
}

function amounts(value: number | null): readonly Amount[] {
  return [{ metric: 'memory_swap_limit_bytes', labels: {}, value }];
}
