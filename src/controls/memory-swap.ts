/**
 * memory.swap: the swap that the guest may use. On v2 a limit of its own; v1 limits memory and swap together, so there it
 * needs a memory.limit, whose sum with it is written.
 * Sources: cgroup-v2.rst (memory.swap.max), memory.rst of v1 (memory.memsw.limit_in_bytes). libvirt's swap_hard_limit is
 * memory and swap by its documentation and swap alone on v2 by its code, so on v2 it is not told.
 */
import type { Domain } from '../domains/types.js';
import { memorySwap as schema } from '../policy/memory-values.js';
import type { Sourced } from '../policy/types.js';
import type { Amount, Control, Desired, Place } from './control.js';
import {
  bytesOf,
  figure,
  memoryObstacle,
  memoryPlace,
  memoryTell,
  NO_LIMIT,
  sizeWords,
  unitTell,
} from './memory-files.js';
import { memoryLimit } from './memory-limit.js';

const SWAP = 'memory.swap.max';
const WITH_MEMORY = 'memory.memsw.max';
const NONE = 'no limit';

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
    if (place === null) return unsupported('systemd owns its group and has no property for swap on cgroup v1');
    if (!sight.exists(place)) return unsupported('this kernel does not account swap by group');
    const swap = asked.value as 'none' | number;
    const swapText = swap === 'none' ? NO_LIMIT : String(Math.floor(swap / host.pageBytes) * host.pageBytes);
    if (key === SWAP || swap === 'none') return set(asked, place, key, swapText, swapText);
    const limit = memoryLimit.desired(wanted, domain, host, sight);
    const limitBytes = limit.kind === 'set' ? bytesOf(limit.settings[0]?.text ?? null) : null;
    if (limitBytes === null || limitBytes === Number.POSITIVE_INFINITY) {
      const why = limit.kind === 'refused' || limit.kind === 'unsupported' ? `: ${limit.reason}` : '';
      const reason = `cgroup v1 limits swap only together with memory, and no memory.limit is in force${why}`;
      // v1 takes no memory limit over the one of both together: that must not outlive it.
      return { kind: 'unsupported', reason, asked, giveBack: true };
    }
    return set(asked, place, key, String(limitBytes + Number(swapText)), swapText);
  },

  place: placeOf,

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
    const [own, together] = [texts.get(SWAP), texts.get(WITH_MEMORY)];
    if (together !== undefined) return memoryTell(WITH_MEMORY, 'swap_hard_limit', together, domain);
    if (group === undefined || own === undefined || placeOf(SWAP, domain)?.writer !== 'systemd') return null;
    return unitTell(group.domainDir, [[SWAP, own]]);
  },

  allows: bytesOf,
};

function set(asked: Sourced, place: Place, key: string, text: string, swapText: string): Desired {
  const value = figure(swapText) ?? null;
  const display = `${sizeWords(swapText, NONE)}${key === WITH_MEMORY && text !== NO_LIMIT ? ` (${sizeWords(text, NONE)} with memory)` : ''}`;
  return { kind: 'set', asked, amounts: amounts(value), display, settings: [{ ...place, key, text }], notes: [] };
}

function placeOf(key: string, domain: Domain): Place | null {
  return key === (domain.groups.memory?.version === 1 ? WITH_MEMORY : SWAP) ? memoryPlace(key, 0, domain) : null;
}

function amounts(value: number | null): readonly Amount[] {
  return [{ metric: 'memory_swap_limit_bytes', labels: {}, value }];
}
