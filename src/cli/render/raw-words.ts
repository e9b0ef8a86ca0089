/** What raw texts of a control mean, in its own words. Takes planned writes of one control, gives words. */
import { basename, dirname } from 'node:path';
import { sizeWords } from '../../controls/memory-files.js';
import { CONTROLS } from '../../controls/registry.js';
import type { Domain } from '../../domains/types.js';
import { deviceOf, IO_COST_CONTROL, ON } from '../../reconcile/host-controls/plan-io-cost.js';
import { SLICE_CONTROL } from '../../reconcile/host-controls/slice-plan.js';
import type { PlannedChange } from '../../reconcile/types.js';

/** What stands before the writes or after them; null when the control has no words for it. */
export function rawWords(
  writes: readonly [PlannedChange, ...PlannedChange[]],
  side: 'from' | 'to',
  cpuVersion: 1 | 2,
): string | null {
  const [first] = writes;
  if (first.control === SLICE_CONTROL) return groupWords(first, side);
  if (first.control === IO_COST_CONTROL) return switchWords(first, side);
  const control = CONTROLS.find(({ id }) => id === first.control);
  const texts = new Map(writes.map((write) => [write.key, write[side]]));
  return control?.displayOf?.(texts, standIn(first, cpuVersion)) ?? null;
}

/** `machine.slice/memory.low 0B`, and after it `1GiB`. */
function groupWords({ path, from, to }: PlannedChange, side: 'from' | 'to'): string {
  const size = sizeWords(side === 'from' ? from : to, 'all');
  return side === 'to' ? size : `${basename(dirname(path))}/${basename(path)} ${size}`;
}

/** `254:0 off`, and after it `on`. */
function switchWords({ key, from, to }: PlannedChange, side: 'from' | 'to'): string {
  const words = (side === 'from' ? from : to) === ON ? 'on' : 'off';
  return side === 'to' ? words : `${deviceOf(key)} ${words}`;
}

/** The words depend on the guest's cgroup version alone, which is the whole host's. */
function standIn({ uuid, domain, path }: PlannedChange, version: 1 | 2): Domain {
  const cgroup = { version, domainDir: path, weightDir: path, systemdOwned: false, ancestors: [], inode: 0n };
  return {
    uuid,
    name: domain,
    source: 'libvirt',
    state: 'running',
    facts: null,
    process: null,
    cgroup,
    groups: {},
    reasons: {},
    gaps: [],
    vcpuGroups: [],
    vcpuThreads: new Map(),
    hostDevices: new Map(),
    security: null,
    obstacle: null,
  };
}
