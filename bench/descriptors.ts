/**
 * Descriptors that the benchmark keeps for its own needs: a subject that uses up all that a process may have must not
 * keep it from starting a reference or removing what it made. What the subject can have is smaller by these.
 */
import { closeSync, openSync } from 'node:fs';

const RESERVED = 128;
let reserved: number[] = [];

export function reserveDescriptors(): void {
  while (reserved.length < RESERVED) reserved.push(openSync('/dev/null', 'r'));
}

/** Runs `work`, which must not wait for anything, with the reserve free for it. */
export function withReserve<T>(work: () => T): T {
  const held = reserved.length > 0;
  for (const fd of reserved) closeSync(fd);
  reserved = [];
  try {
    return work();
  } finally {
    if (held) reserveDescriptors();
  }
}
