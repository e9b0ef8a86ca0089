/**
 * disk.histogram: QEMU counts the requests of each virtual disk by how long they took, so that `disk.latency` is judged by
 * the time that 95 % stay within, not by the mean. It is set and read by commands to QEMU's monitor, which mark the guest as
 * tainted (custom-monitor) until its next start: no class has it that does not ask.
 * Sources: QEMU's qapi/block-core.json (block-latency-histogram-set, since 4.0); libvirt-qemu.h.
 */
import type { DiskDevice, Domain } from '../domains/types.js';
import { flag } from '../policy/value-types.js';
import { formatHistogram, NO_HISTOGRAM, parseHistogram } from '../text/disk-histogram.js';
import { formatDuration } from '../units.js';
import { type Control, type Desired, type Place, type Setting, type Sight, told } from './control.js';

const KEY = 'disk.histogram';
const SUFFIX = '/histogram';

/** With the bin above the last, a dozen. No bound of `disk.latency` can be above the last. */
const BOUNDARIES_SECONDS = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 5, 60];

const TAINTS = 'by monitor command, which marks the guest as tainted until its next start';

export const diskHistogram: Control = {
  id: KEY,
  scope: 'domain',
  built: true,
  summary: "QEMU's own latency histogram of each virtual disk",
  keys: [
    {
      key: KEY,
      schema: flag,
      summary: "Measure disk latency by QEMU's histograms (marks the guest as tainted until its next start)",
      unit: 'true or false',
      range: 'true, false',
      example: 'true',
    },
  ],
  metrics: [],
  tellsApart: true,

  desired(wanted, domain, _host, sight): Desired {
    const asked = wanted.values.get(KEY);
    if (asked?.value !== true) return { kind: 'unmanaged' };
    if (domain.source === 'bare') {
      return { kind: 'unsupported', reason: 'QEMU is asked through libvirt, which does not run it', asked };
    }
    const text = formatHistogram(
      boundariesNs((wanted.values.get('disk.latency')?.value as number | undefined) ?? null),
    );
    const disks = (domain.facts?.tuning.disks ?? []).map((disk) => ({ disk, why: whyNot(disk, sight) }));
    const notes = disks.flatMap(({ disk, why }) => (why === null ? [] : [`${disk.target}: no histogram: ${why}`]));
    const settings = disks.flatMap(({ disk, why }): Setting[] =>
      why === null ? [{ ...placeAt(disk.target), key: `${disk.target}${SUFFIX}`, text }] : [],
    );
    if (settings.length === 0) {
      return { kind: 'unsupported', reason: notes.join('; ') || 'it has no disks', asked };
    }
    const display = describe(new Map(settings.map((one) => [one.key, one.text])));
    return { kind: 'set', asked, amounts: [], display, settings, notes };
  },

  place(key, { facts, source }) {
    const target = key.endsWith(SUFFIX) ? key.slice(0, -SUFFIX.length) : null;
    if (target === null || source === 'bare') return null;
    const disk = facts?.tuning.disks.find((one) => one.target === target);
    return disk === undefined || disk.empty ? null : placeAt(target);
  },

  displayOf: describe,

  // libvirt knows nothing of it, and QEMU begins without.
  fromXml: () => ({ text: NO_HISTOGRAM, from: 'kernel' }),

  // One that somebody set for reads or writes alone.
  restoredAs: (original) => (parseHistogram(original) === undefined ? NO_HISTOGRAM : original),

  tellFor(texts, { source }: Domain) {
    if (source === 'bare') return null;
    const calls = [...texts].flatMap(([key, text]) => {
      const boundaries = parseHistogram(text);
      const disk = key.slice(0, -SUFFIX.length);
      return boundaries === undefined ? [] : [{ call: 'histogram', disk, boundariesNs: boundaries } as const];
    });
    return calls.length === 0 ? null : told(calls);
  },
};

/** A bound of the class's own takes the place of the nearest: by it is judged. */
function boundariesNs(boundSeconds: number | null): readonly number[] {
  const bounds = [...BOUNDARIES_SECONDS];
  if (boundSeconds !== null && !bounds.includes(boundSeconds)) {
    const distances = bounds.map((one) => Math.abs(Math.log(one / boundSeconds)));
    bounds[distances.indexOf(Math.min(...distances))] = boundSeconds;
  }
  return bounds.map((seconds) => Math.round(seconds * 1e9));
}

function placeAt(target: string): Place {
  return { path: `qemu-histogram:${target}`, writer: 'libvirt', depth: 1 };
}

function whyNot({ target, empty, sourceType }: DiskDevice, sight: Sight): string | null {
  if (empty) return 'there is no medium in it';
  if (sourceType === 'vhostuser') return 'vhost-user: another process moves its data';
  return sight.problem({ path: placeAt(target).path });
}

/** `vda, vdb: 12 bins to 1m, by monitor command, …`; `vda: none`. */
function describe(texts: ReadonlyMap<string, string | null>): string {
  const alike = new Map<string, string[]>();
  for (const [key, text] of texts) {
    const words = wordsOf(text);
    alike.set(words, [...(alike.get(words) ?? []), key.slice(0, -SUFFIX.length)]);
  }
  return [...alike].map(([words, targets]) => `${targets.join(', ')}: ${words}`).join('; ');
}

function wordsOf(text: string | null): string {
  if (text === null) return 'not known yet';
  const boundaries = parseHistogram(text);
  if (boundaries === null) return 'none';
  if (boundaries === undefined) return "somebody else's, not alike for reads and writes";
  const last = formatDuration((boundaries.at(-1) ?? 0) / 1e9);
  return `${boundaries.length + 1} bins to ${last}, ${TAINTS}`;
}
