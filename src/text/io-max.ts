/**
 * The text of one device's line of `io.max` without the device, the form in which such limits are compared, journaled
 * and shown on both cgroup versions: `rbps=max wbps=1048576 riops=100 wiops=max`.
 * Source: Documentation/admin-guide/cgroup-v2.rst, section io.max.
 */

/** Per second; null: no limit. */
export interface IoMax {
  readonly readBytes: number | null;
  readonly writeBytes: number | null;
  readonly readOperations: number | null;
  readonly writeOperations: number | null;
}

export const NO_IO_LIMIT = 'rbps=max wbps=max riops=max wiops=max';

export function formatIoMax({ readBytes, writeBytes, readOperations, writeOperations }: IoMax): string {
  const [rbps, wbps, riops, wiops] = [readBytes, writeBytes, readOperations, writeOperations].map(
    (amount) => amount ?? 'max',
  );
  return `rbps=${rbps} wbps=${wbps} riops=${riops} wiops=${wiops}`;
}

/** Null for a text that is no such line. */
export function parseIoMax(text: string): IoMax | null {
  const match = /^rbps=(max|\d+) wbps=(max|\d+) riops=(max|\d+) wiops=(max|\d+)$/.exec(text);
  if (match === null) return null;
  const [readBytes = null, writeBytes = null, readOperations = null, writeOperations = null] = match
    .slice(1)
    .map((amount) => (amount === 'max' ? null : Number(amount)));
  return { readBytes, writeBytes, readOperations, writeOperations };
}
