/** Labels as the audit of a host would find them, and a source of random numbers that is the same in every run. */
import type { GuestLabel, ImageLabel } from '../../src/svirt/judge.js';

export const PROCESS = 'system_u:system_r:svirt_t';
export const IMAGE = 'system_u:object_r:svirt_image_t';

export function someGuest(name: string, level: string | null, more: Partial<GuestLabel> = {}): GuestLabel {
  return {
    uuid: `uuid-${name}`,
    name,
    raw: level === null ? null : `${PROCESS}:${level}`,
    allowedTypes: ['svirt_t', 'svirt_tcg_t'],
    wanted: null,
    images: [],
    ...more,
  };
}

export function someImage(level: string, more: Partial<ImageLabel> = {}): ImageLabel {
  return {
    target: 'vda',
    path: '/images/a.qcow2',
    raw: `${IMAGE}:${level}`,
    problem: null,
    readOnly: false,
    shareable: false,
    managed: true,
    ...more,
  };
}

/** mulberry32: whole numbers from 0 to below − 1. */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Microseconds of processor time, the least of a few runs: other processes of the machine count for little. */
export function cpuUsec(run: () => void, runs = 5): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs; i++) {
    const start = process.cpuUsage();
    run();
    least = Math.min(least, process.cpuUsage(start).user);
  }
  return Math.max(1, least);
}
