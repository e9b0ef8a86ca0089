/**
 * The only writer. Takes a domain's plan whose records are on disk; writes in order, reads back, and gives an outcome
 * for every write. One domain is written without a pause in between, so that no other work sees it half done. What
 * systemd owns is left to `tell.ts`.
 */
import type { DomainHandles } from '../domains/handles.js';
import type { GroupFile } from '../host/cgroup/codec.js';
import { readValue } from '../host/cgroup/files.js';
import { type WriteResult, writeValue, writeValueLater } from '../host/cgroup/write.js';
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
  const at = handles.at(write);
  if (at === null) return { outcome: 'vanished', message: null };
  const result = writeValue(at, write.text);
  if (result.kind === 'refused' || result.kind === 'differs') takeBack(write, at);
  return outcomeOf(result, write);
}

/** Of a value that is several files some may have been taken: half of ours would be nobody's, and stay after a release. */
function takeBack({ from, text }: PlannedWrite, at: GroupFile): void {
  const standing = readValue(at);
  if (from !== null && standing !== null && standing !== from && standing !== text) writeValue(at, from);
}

/** A value of a group that is no guest's. */
export function writeGroupFile(at: GroupFile, text: string): WriteResult {
  return writeValue(at, text);
}

/** One that the kernel may keep waiting. */
export function writeGroupFileLater(at: GroupFile, text: string): Promise<WriteResult> {
  return writeValueLater(at, text);
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
export function explainErrno(errno: string, message: string): string {
  switch (errno) {
    case 'EINVAL':
      return 'the kernel refused the value (EINVAL): out of range, over what a group above allows, or a quota under the burst';
    case 'EBUSY':
      return 'the kernel cannot bring the guest below that (EBUSY): it uses more and nothing can be reclaimed';
    case 'ENODEV':
      return 'the kernel limits no such device (ENODEV): it is no whole disk, or was removed';
    case 'ENOTSUP':
      return 'this kernel does not do that here (ENOTSUP)';
    case 'ENOSPC':
      return 'the group has no CPU left that it could run on (ENOSPC)';
    case 'EACCES':
    case 'EPERM':
      return `not permitted (${errno}): a sandbox or SELinux keeps virtslad from writing cgroup files`;
    case 'EROFS':
      return 'the cgroup tree is mounted read-only (EROFS)';
    default:
      return message;
  }
}
