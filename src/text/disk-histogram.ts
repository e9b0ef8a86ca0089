/**
 * The text of a disk's latency histograms by their boundaries, the form in which they are compared, journaled and shown:
 * `none`; `ns=100000,500000` where reads, writes and flushes have the same; `read-ns=… write-ns=… flush-ns=…` where somebody
 * else has set them apart. Nanoseconds, ascending. Source: QEMU's qapi/block-core.json, block-latency-histogram-set.
 */
import type { DiskHistograms } from '../host/libvirt/client.js';

export const NO_HISTOGRAM = 'none';

export function formatHistogram(boundariesNs: readonly number[]): string {
  return `ns=${boundariesNs.join()}`;
}

export function histogramText({ reads, writes, flushes }: DiskHistograms): string {
  const [read, write, flush] = [reads, writes, flushes].map((one) => one?.boundariesNs.join() ?? NO_HISTOGRAM);
  if (read !== write || read !== flush) return `read-ns=${read} write-ns=${write} flush-ns=${flush}`;
  return reads === null ? NO_HISTOGRAM : formatHistogram(reads.boundariesNs);
}

/** Boundaries that all kinds have, null for none; undefined for any other text. */
export function parseHistogram(text: string): readonly number[] | null | undefined {
  if (text === NO_HISTOGRAM) return null;
  if (!text.startsWith('ns=')) return undefined;
  const boundaries = text.slice('ns='.length).split(',').map(Number);
  const valid = boundaries.every((bound, at) => Number.isSafeInteger(bound) && bound > (boundaries[at - 1] ?? 0));
  return valid && formatHistogram(boundaries) === text ? boundaries : undefined;
}
