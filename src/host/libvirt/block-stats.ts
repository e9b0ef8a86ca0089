/**
 * QEMU's answer to `query-blockstats` → the latency histograms of each disk. Pure. The answer is QEMU's, and QEMU may be
 * the guest's by now: whatever is not as QEMU's schema has it (qapi/block-core.json, BlockLatencyHistogramInfo) is left out.
 */
import type { DiskHistograms, LatencyHistogram } from './client.js';
import { attribute, child, children, parseXml } from './xml-tree.js';

/** The device that a guest's disk is, and what QEMU has counted of it. */
export interface BlockStats {
  /** Path of the device in QEMU, or its id; what `block-latency-histogram-set` takes. */
  readonly qdev: string;
  readonly histograms: DiskHistograms;
}

/** More than anybody sets. */
const BOUNDARIES_MAX = 256;

/** The disk with that alias in libvirt's XML; null when QEMU has none. */
export function blockStatsOf(answer: unknown, alias: string): BlockStats | null {
  if (!Array.isArray(answer)) return null;
  for (const entry of answer as readonly unknown[]) {
    const qdev = field(entry, 'qdev');
    if (typeof qdev !== 'string' || !isDevice(qdev, alias)) continue;
    const stats = field(entry, 'stats');
    const histograms = {
      reads: histogramOf(stats, 'rd'),
      writes: histogramOf(stats, 'wr'),
      flushes: histogramOf(stats, 'flush'),
    };
    return { qdev, histograms };
  }
  return null;
}

/** Target → alias, `vda` → `virtio-disk0`, of a guest that runs. */
export function diskAliases(liveXml: string): ReadonlyMap<string, string> {
  const [domain] = parseXml(liveXml);
  const aliases = new Map<string, string>();
  for (const disk of children(child(domain, 'devices'), 'disk')) {
    const target = attribute(child(disk, 'target'), 'dev');
    const alias = attribute(child(disk, 'alias'), 'name');
    if (target !== undefined && alias !== undefined && alias !== '') aliases.set(target, alias);
  }
  return aliases;
}

/** `virtio-disk0`, `/machine/peripheral/virtio-disk0` or something within that: virtio's back end has a path of its own. */
function isDevice(qdev: string, alias: string): boolean {
  const path = `/machine/peripheral/${alias}`;
  return qdev === alias || qdev === path || qdev.startsWith(`${path}/`);
}

function histogramOf(stats: unknown, kind: 'rd' | 'wr' | 'flush'): LatencyHistogram | null {
  const info = field(stats, `${kind}_latency_histogram`);
  const boundariesNs = counts(field(info, 'boundaries'));
  const bins = counts(field(info, 'bins'));
  if (boundariesNs === null || bins === null || bins.length !== boundariesNs.length + 1) return null;
  if (boundariesNs.some((bound, at) => bound <= (boundariesNs[at - 1] ?? 0))) return null;
  const totalNs = field(stats, `${kind}_total_time_ns`);
  return { boundariesNs, bins, totalNs: isCount(totalNs) ? totalNs : 0 };
}

function counts(value: unknown): readonly number[] | null {
  if (!Array.isArray(value) || value.length > BOUNDARIES_MAX + 1) return null;
  return value.every(isCount) ? value : null;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Own fields alone: names come from outside. */
function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}
