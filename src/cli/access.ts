/**
 * How a verb reaches the host: through the running daemon if there is one, else by itself. The one-writer rule lives
 * here: whoever wants to write asks the daemon, or takes its lock.
 */
import { join } from 'node:path';
import { CONFIG_KEY_NAMES } from '../config/keys.js';
import type { ControlSnapshot, Snapshot } from '../snapshot/types.js';
import { printable } from '../text/printable.js';
import { styleFor } from './render/style.js';
import type { DaemonClient } from './services.js';
import type { VerbContext } from './verb.js';

/** What can be asked of the daemon's client and of the commands of a local session alike. */
export type Writer = Pick<DaemonClient, 'apply' | 'release' | 'hold' | 'resume' | 'snapshot'>;

export interface View {
  readonly snapshot: Snapshot;
  readonly source: 'daemon' | 'local';
}

/** The daemon's latest snapshot; without a daemon, one taken now, which writes nothing and takes no lock. */
export async function view(context: VerbContext): Promise<View> {
  const daemon = await connect(context);
  if (daemon !== null) {
    warnOfIgnoredFlags(context);
    return { snapshot: await daemon.snapshot(), source: 'daemon' };
  }
  const session = await context.services.openLocal(context.config(), await context.log(), { write: false });
  try {
    const { snapshot } = await session.plan();
    return { snapshot: seenOnce(snapshot), source: 'local' };
  } finally {
    await session.close();
  }
}

/** One look knows no rates, and what is due waits for somebody to write it. */
function seenOnce(snapshot: Snapshot): Snapshot {
  const waits = !snapshot.killSwitch && snapshot.mode === 'enforce';
  const reason = 'no daemon runs; virtslad apply --once writes it';
  const controlSeen = (control: ControlSnapshot): ControlSnapshot =>
    control.status === 'pending' && waits ? { ...control, reason } : control;
  const domains = snapshot.domains.map((domain) => ({
    ...domain,
    cpu: null,
    controls: domain.controls.map(controlSeen),
  }));
  return { ...snapshot, domains };
}

/** Through the daemon if one runs, else as the one writer of this host for as long as `act` takes. */
export async function withWriter<T>(context: VerbContext, act: (writer: Writer) => Promise<T>): Promise<T> {
  const daemon = await connect(context);
  if (daemon !== null) {
    warnOfIgnoredFlags(context);
    return act(daemon);
  }
  const session = await context.services.openLocal(context.config(), await context.log(), { write: true });
  try {
    return await act(session.commands);
  } finally {
    await session.close();
  }
}

/** Says on stderr that libvirt is away, in which case what was shown or done is not the whole; true when it is. */
export function libvirtIsAway(context: VerbContext, { libvirt }: Snapshot): boolean {
  if (libvirt.uri === null || libvirt.connected) return false;
  const reason = libvirt.lastError === null ? '' : `: ${printable(libvirt.lastError, 256)}`;
  const words = `not connected to libvirt at ${printable(libvirt.uri)}${reason}`;
  context.err.write(`${styleFor(context.err.color).red(words)}; its guests were not reached\n`);
  return true;
}

/** Null when no daemon listens in the run directory. */
function connect(context: VerbContext): Promise<DaemonClient | null> {
  return context.services.connectSocket(join(context.config().runDir, 'virtslad.sock'));
}

/** The daemon acts by its own configuration; a flag that seems to change it must not be swallowed in silence. */
function warnOfIgnoredFlags(context: VerbContext): void {
  const own = ['run-dir', 'log.level', 'log.format'];
  const ignored = CONFIG_KEY_NAMES.filter((name) => context.flags[name] !== undefined && !own.includes(name));
  if (ignored.length === 0) return;
  const names = ignored.map((name) => `--${name}`).join(', ');
  context.err.write(`A daemon runs and acts by its own configuration; ignored: ${names}\n`);
}
