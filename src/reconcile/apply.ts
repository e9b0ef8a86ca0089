/**
 * The only writer. Takes a domain's plan whose records are on disk; writes in order, reads back, and gives an outcome
 * for every write. One domain is written without a pause in between, so that no other work sees it half done. What
 * systemd owns is left to `tell.ts`.
 */
import { basename, dirname } from 'node:path';
import type { DomainHandles } from '../domains/handles.js';
import { type WriteResult, writeCpuFile } from '../host/cgroup/write.js';
import { orderWrites, widens } from './order.js';
import type { ControlPlan, DomainPlan, PlannedWrite } from './plan.js';
import type { Outcome } from './types.js';

export interface WriteOutcome {
  readonly control: string;
  readonly write: PlannedWrite;
  readonly outcome: Outcome;
  /** Why not, in words; null when applied. */
  readonly message: string | null;
}

/** `mayWrite` is asked for each control: its record must be on disk and it must not be backed off. */
export function applyDomain(
  plan: DomainPlan,
  handles: DomainHandles,
  mayWrite: (plan: ControlPlan, write: PlannedWrite) => boolean,
): WriteOutcome[] {
  const due = plan.controls.flatMap((control) =>
    control.writes
      .filter((write) => write.writer === 'direct' && mayWrite(control, write))
      .map((write) => ({
        control: control.control.id,
        write,
        depth: write.depth,
        widens: widens(write.from, write.text, control.control.allows),
      })),
  );
  return orderWrites(due).map(({ control, write }) => ({ control, write, ...writeSetting(write, handles) }));
}

function writeSetting(write: PlannedWrite, handles: DomainHandles): Pick<WriteOutcome, 'outcome' | 'message'> {
  const group = handles.group(dirname(write.path));
  if (group === null) return { outcome: 'vanished', message: null };
  return outcomeOf(writeCpuFile(group, basename(write.path), handles.cgroup.version, write.text), write);
}

function outcomeOf(result: WriteResult, write: PlannedWrite): Pick<WriteOutcome, 'outcome' | 'message'> {
  switch (result.kind) {
    case 'written':
      return { outcome: 'applied', message: null };
    case 'vanished':
      return { outcome: 'vanished', message: null };
    case 'differs':
      return {
        outcome: 'failed',
        message: `the kernel took ${write.text} and stands at ${result.actual ?? 'nothing'}`,
      };
    case 'refused':
      return { outcome: 'failed', message: explainErrno(result.errno, result.message) };
  }
}

/** What an errno from a cgroup file means here (reference: kernel/sched/core.c, kernfs). */
function explainErrno(errno: string, message: string): string {
  switch (errno) {
    case 'EINVAL':
      return 'the kernel refused the value (EINVAL): out of range, or over the quota of a group above';
    case 'EACCES':
    case 'EPERM':
      return `not permitted (${errno}): a sandbox or SELinux keeps virtslad from writing cgroup files`;
    case 'EROFS':
      return 'the cgroup tree is mounted read-only (EROFS)';
    default:
      return message;
  }
}
