/**
 * What the audit of labels found, as the snapshot carries it: plain JSON. Labels are data from the host: whoever shows one
 * escapes it.
 */

import type { SecurityStatus } from '../host/selinux/status.js';

export interface HostSecuritySnapshot {
  readonly model: 'selinux' | 'apparmor' | 'none';
  /** False: permissive. null: no SELinux. */
  readonly enforcing: boolean | null;
  /** Booleans of the host's policy that matter to guests. */
  readonly booleans: Readonly<Record<string, boolean>>;
  /** Why there is no SELinux; null when there is. */
  readonly reason: string | null;
}

export interface ViolationSnapshot {
  /** A code from a fixed list. */
  readonly reason: string;
  readonly severity: 'critical' | 'warning';
  readonly detail: string;
}

/** The way of a guest through save and restore, which puts a new label in force. */
export interface SaveRestoreSnapshot {
  readonly phase: 'waiting' | 'saving' | 'saved' | 'starting' | 'done' | 'refused' | 'failed';
  /** In words, for people. */
  readonly message: string;
  readonly atMs: number;
  /** From the pause of the guest to its next instruction; null while it goes on, or was never paused. */
  readonly downtimeSeconds: number | null;
}

export interface LabelSnapshot {
  /** Of the running process; null when it cannot be read. */
  readonly process: string | null;
  /** What the persistent definition asks for, where that is ours to say. */
  readonly defined: string | null;
  readonly pendingRestart: boolean;
  readonly violations: readonly ViolationSnapshot[];
  /** Suspended by virtslad for a violation, and not resumed since. */
  readonly suspended: boolean;
  readonly saveRestore: SaveRestoreSnapshot | null;
}

export function securityOf(status: SecurityStatus | null): HostSecuritySnapshot | null {
  if (status === null) return null;
  const { model, enforcing, booleans, reason } = status;
  return { model, enforcing, booleans, reason };
}
