/**
 * memory.guarantee: guest memory that the kernel reclaims only when nothing else is left (memory.low), or with
 * `memory.hard` never (memory.min). A group is protected at most as far as the groups above it are: the scope around the
 * guest is raised with it, the slices above by `reconcile/host-controls/slice-guarantees.ts`.
 * Source: cgroup-v2.rst (memory.low, memory.min). v1 has nothing like it, and neither has libvirt.
 */
import { basename, dirname, join } from 'node:path';
import type { Domain } from '../domains/types.js';
import { type MemoryAmount, memoryGuarantee as schema } from '../policy/memory-values.js';
import { flag } from '../policy/value-types.js';
import { formatSize, roundedSize } from '../units.js';
import type { Amount, Control, Desired, Override, Place, Setting, Tell } from './control.js';
import {
  amountBytes,
  bytesOf,
  figure,
  memoryObstacle,
  memoryPlace,
  scopePlace,
  sizeWords,
  unitTell,
} from './memory-files.js';

const SOFT = 'memory.low';
const HARD = 'memory.min';
/** Before the file's name in the key of the scope around the guest. */
const SCOPE = 'scope/';

export const memoryGuarantee: Control = {
  id: 'memory.guarantee',
  scope: 'domain',
  built: true,
  summary: 'Memory of the guest that the kernel does not reclaim',
  keys: [
    {
      key: 'memory.guarantee',
      schema,
      summary: 'Guest memory that is not reclaimed while other memory can be',
      unit: 'size, or % of the guest memory',
      range: 'more than 0, at most 100%; at most memory.limit where both have the same unit',
      example: '100%',
    },
    {
      key: 'memory.hard',
      schema: flag,
      summary: 'Never reclaim the guarantee, even if another process has to be killed for it',
      unit: 'true or false',
      range: 'true, false',
      example: 'true',
    },
  ],
  metrics: [
    { name: 'memory_guarantee_bytes', help: 'Memory that the kernel does not reclaim from the guest', labels: [] },
  ],
  tellsApart: true,

  desired(wanted, domain, host): Desired {
    const asked = wanted.values.get('memory.guarantee');
    if (asked === undefined) return { kind: 'unmanaged' };
    const unsupported = (reason: string): Desired => ({ kind: 'unsupported', reason, asked });
    const obstacle = memoryObstacle(domain);
    const group = domain.groups.memory;
    if (obstacle !== null || group === undefined) return unsupported(obstacle ?? '');
    if (group.version === 1) return unsupported('cgroup v1 cannot keep memory from being reclaimed');
    if (domain.facts === null) return unsupported('its memory is not known yet');
    const bytes = amountBytes(asked.value as MemoryAmount, domain.facts.hardware, host.pageBytes);
    if (bytes > host.memoryBytes) {
      const reason = `${formatSize(bytes)} is more than this host's memory of ${roundedSize(host.memoryBytes)}`;
      return { kind: 'refused', reason, asked };
    }
    const hard = wanted.values.get('memory.hard')?.value === true;
    const file = hard ? HARD : SOFT;
    const text = String(bytes);
    const settings = [`${SCOPE}${file}`, file].flatMap((key): Setting[] => {
      const place = placeOf(key, domain);
      return place === null ? [] : [{ ...place, key, text }];
    });
    const display = describe(text, hard);
    return { kind: 'set', asked, amounts: amounts(text), display, settings, notes: [] };
  },

  place: placeOf,

  amountsOf(texts) {
    const least = leastOf(texts);
    return least === null ? [] : amounts(least.text);
  },

  displayOf(texts) {
    const least = leastOf(texts);
    return least === null ? 'unreadable' : describe(least.text, least.hard);
  },

  tellFor(texts, domain): Tell | null {
    const owned = [...texts].flatMap(([key, text]) => {
      const place = placeOf(key, domain);
      return place?.writer === 'systemd' ? [{ path: place.path, text }] : [];
    });
    const [first] = owned;
    if (first === undefined) return null;
    // Where there is more than one place of systemd's, all are in the scope.
    return unitTell(
      dirname(first.path),
      owned.map(({ path, text }) => [basename(path), text]),
    );
  },

  allows: bytesOf,

  overriddenBy(desired, { groups }, { read }): Override | null {
    if (desired.kind !== 'set' || groups.memory === undefined) return null;
    const file = desired.settings.some(({ key }) => key === HARD) ? HARD : SOFT;
    const wantedBytes = desired.amounts[0]?.value ?? 0;
    for (const directory of groups.memory.ancestors) {
      const path = join(directory, file);
      const bytes = bytesOf(read({ path }));
      if (bytes === null || bytes >= wantedBytes) continue;
      return { reason: `a group above it is protected only to ${roundedSize(bytes)}`, path };
    }
    return null;
  },
};

function placeOf(key: string, domain: Domain): Place | null {
  const file = key.startsWith(SCOPE) ? key.slice(SCOPE.length) : key;
  const group = domain.groups.memory;
  if ((file !== SOFT && file !== HARD) || group?.version !== 2) return null;
  return key === file ? memoryPlace(file, 1, domain) : scopePlace(file, group);
}

/** The level that is protected least decides. */
function leastOf(texts: ReadonlyMap<string, string | null>): { readonly text: string; readonly hard: boolean } | null {
  let least: { text: string; hard: boolean; bytes: number } | null = null;
  for (const [key, text] of texts) {
    const bytes = bytesOf(text);
    if (bytes === null || text === null) return null;
    if (least === null || bytes < least.bytes) least = { text, hard: key.endsWith(HARD), bytes };
  }
  return least;
}

function describe(text: string, hard: boolean): string {
  return `${sizeWords(text, 'all')}${hard ? ', hard' : ''}`;
}

function amounts(text: string): readonly Amount[] {
  return [{ metric: 'memory_guarantee_bytes', labels: {}, value: figure(text) ?? null }];
}
