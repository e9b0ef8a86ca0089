/** Opens the core for one command, where no daemon runs or none is to be asked. */
import { assemble } from './assemble.js';
import type { Config } from './config/types.js';
import { end, loadState, takeLocks } from './core-life.js';
import { VirtsladError } from './errors.js';
import { makeDirectory } from './host/lock.js';
import type { Log } from './log.js';
import { planOf } from './reconcile/cycle.js';
import { lookAhead } from './reconcile/operator.js';
import { countReach } from './reconcile/reach.js';
import { changesOf } from './reconcile/settle.js';
import type { Commands, PlanReport } from './reconcile/types.js';
import { readVersion } from './version.js';

/** A core without a daemon around it, for one command. */
export interface LocalSession {
  plan(): Promise<PlanReport>;
  readonly commands: Commands;
  /** False: a thread is stuck in a native call, and the process cannot end the usual way. */
  close(): Promise<boolean>;
}

/** `write: false` takes no lock and writes nothing; `write: true` takes the one-writer lock or fails RUN_LOCKED. */
export async function openLocal(
  config: Config,
  log: Log,
  { write }: { readonly write: boolean },
): Promise<LocalSession> {
  if (write) makeDirectory(config.stateDir, 0o700);
  const lock = write ? takeLocks(config) : null;
  const core = assemble({ config, log, version: readVersion(), write, watch: false, onCycle: () => undefined });
  const abort = new AbortController();
  await loadState(core, config, log, !write);
  await core.libvirt.start(abort.signal);
  const loaded = await core.parts.generations.reload();
  await core.parts.inventory.resync();
  if (!write) await core.parts.generations.preview((from, to) => countReach(core.parts, from, to));
  return {
    commands: core.operator,
    async plan() {
      if (!loaded) throw new VirtsladError(core.parts.generations.rejected);
      const { inventory, generations } = core.parts;
      await core.reconciler.judge();
      await lookAhead(
        core.parts,
        inventory.all().map(({ uuid }) => uuid),
      );
      await core.reconciler.full();
      const plans = inventory.all().map(({ uuid }) => planOf(core.parts, uuid));
      const changes = [
        ...plans.flatMap((plan) => (plan === null ? [] : changesOf(plan))),
        ...core.parts.ioCost.changes(),
        ...core.parts.slices.changes(),
      ];
      return { generation: generations.active?.id ?? null, snapshot: core.snapshots.build(), changes };
    },
    async close() {
      const clean = await end(core, lock, log);
      abort.abort();
      return clean;
    },
  };
}
