/** What the daemon and a lone command have in common: the one-writer locks, the state on disk, and the end. */
import { existsSync, realpathSync } from 'node:fs';
import type { Core } from './assemble.js';
import type { Config } from './config/types.js';
import { type Lock, takeLock } from './host/lock.js';
import { notify } from './host/systemd/notify.js';
import type { Log } from './log.js';

export type Closer = () => void | Promise<void>;

/** SIGTERM must end the daemon within 5 s: what is still open then is left. */
const STOP_MS = 3_000;
/** Of the host and of the state: a run directory that was removed must not let a second writer at the same journal. */
export function takeLocks({ runDir, stateDir }: Config): Lock {
  const host = takeLock(runDir);
  // flock(2) holds against a second descriptor of the same process too.
  if (existsSync(stateDir) && realpathSync(stateDir) === realpathSync(runDir)) return host;
  try {
    const state = takeLock(stateDir);
    return {
      release() {
        state.release();
        host.release();
      },
    };
  } catch (error) {
    host.release();
    throw error;
  }
}

export async function loadState(core: Core, config: Config, log: Log, readOnly = false): Promise<void> {
  const { journal, handsOff, generations, labels } = core.parts;
  for (const [what, load] of [
    ['journal', () => journal.load({ readOnly })],
    ['hands-off list', () => handsOff.load({ readOnly })],
    ['accepted policies', () => generations.loadAccepted()],
    ['label register', () => labels.register.load({ readOnly })],
    ['label actions', () => labels.state.load({ readOnly })],
  ] as const) {
    await load().catch((error: Error) => {
      core.snapshots.lacks.set(what, `${what}: cannot be read from ${config.stateDir}: ${error.message}`);
      log.error('state.unreadable', { what, reason: error.message });
    });
  }
  if (journal.damaged !== null) log.error('journal.damaged', { aside: journal.damaged });
}

/** Limits stay in place. False when a thread is stuck in a native call, for which nothing can wait. */
export async function end(core: Core, lock: Lock | null, log: Log, closers: readonly Closer[] = []): Promise<boolean> {
  notify('STOPPING=1');
  const { parts, reconciler, guests, libvirt, systemd } = core;
  const tidy = (async () => {
    guests.arrivals?.stop();
    await Promise.allSettled([reconciler.stop(), parts.labels.close(), ...closers.map(async (close) => close())]);
    await Promise.all([parts.history.flush(), core.serviceLevels.close()]);
    await Promise.all([libvirt.stop(), systemd.stop()]);
    parts.slices.close();
    parts.ioCost.close();
    guests.close();
  })();
  await Promise.race([tidy, new Promise((resolve) => setTimeout(resolve, STOP_MS).unref())]);
  if (closers.length > 0) log.info('daemon.stop', {}, 'limits stay in place');
  lock?.release();
  return libvirt.status().abandonedWorkers === 0;
}
