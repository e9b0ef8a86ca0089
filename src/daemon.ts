/**
 * The daemon's life: locks, loads, connects, serves, reconciles, and leaves with all limits in place. Also opens the
 * core for a lone command. What it lacks at start (libvirt, policies, a port) it says, and goes on without.
 */
import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { assemble, type Core } from './assemble.js';
import type { Config } from './config/types.js';
import { VirtsladError } from './errors.js';
import { readHostFacts } from './host/host-facts.js';
import { type Lock, makeDirectory, takeLock } from './host/lock.js';
import { notify, watchdogIntervalMs } from './host/systemd/notify.js';
import { createWebServer } from './http/server.js';
import { createControlSocket } from './http/socket.js';
import type { Log } from './log.js';
import { createMetrics, type Metrics } from './metrics/metrics.js';
import { nextMaintenanceBoundary, openMaintenance } from './policy/maintenance.js';
import { nextBoundary, openSchedules } from './policy/schedule.js';
import { watchPolicyDirectory } from './policy/watch.js';
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

type Closer = () => void | Promise<void>;

/** SIGTERM must end the daemon within 5 s: what is still open then is left. */
const STOP_MS = 3_000;
const LISTEN_AGAIN_MS = 30_000;
const READ_AGAIN_MS = 10_000;
/** Policies and the wall clock change under a timer: the next boundary is worked out anew this often. */
const SCHEDULE_CHECK_MS = 500;

/** How the daemon ended: not clean when a thread is stuck in a native call. */
export interface DaemonEnd {
  readonly clean: boolean;
}

/** Runs until `signal` aborts. @throws VirtsladError RUN_LOCKED, STATE_DIRECTORY, HTTP_LISTEN_ADDRESS */
export async function runDaemon(config: Config, log: Log, signal: AbortSignal): Promise<DaemonEnd> {
  const version = readVersion();
  makeDirectory(config.stateDir, 0o700);
  const lock = takeLocks(config);
  const metrics = createMetrics({ version });
  const core = assemble({
    config,
    log,
    version,
    write: true,
    watch: true,
    onCycle: (seconds) => {
      metrics.observeCycle(seconds);
      if (watchdogIntervalMs() !== null) notify('WATCHDOG=1');
    },
  });
  log.info('daemon.start', { version, mode: config.mode, policyDir: config.policyDir, stateDir: config.stateDir });
  const closers: Closer[] = [measureEventLoop(core)];
  try {
    await loadState(core, config, log);
    closers.push(...(await serve(core, metrics, config, log, signal)));
    await begin(core, config, log, signal);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } catch (error) {
    await end(core, lock, log, closers);
    throw error;
  }
  return { clean: await end(core, lock, log, closers) };
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

/** Of the host and of the state: a run directory that was removed must not let a second writer at the same journal. */
function takeLocks({ runDir, stateDir }: Config): Lock {
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

async function loadState(core: Core, config: Config, log: Log, readOnly = false): Promise<void> {
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

/** The web server and the socket come first: they say what the rest still lacks. */
async function serve(
  core: Core,
  metrics: Metrics,
  config: Config,
  log: Log,
  signal: AbortSignal,
): Promise<readonly Closer[]> {
  const snapshot = () => core.snapshots.current();
  const render = () => {
    metrics.update(snapshot());
    return metrics.render();
  };
  const web = createWebServer({ listenAddress: config.listenAddress, snapshot, metrics: { render }, log });
  const listen = async (): Promise<void> => {
    try {
      await web.start(signal);
      core.snapshots.lacks.delete('web');
    } catch (error) {
      if (!(error instanceof VirtsladError) || error.code !== 'HTTP_LISTEN_FAILED') throw error;
      core.snapshots.lacks.set('web', `web: ${error.message}`);
      log.error('http.listen_failed', { reason: error.message }, 'enforcing goes on; trying the port again in 30 s');
      setTimeout(() => void listen(), LISTEN_AGAIN_MS).unref();
    }
  };
  await listen();
  const path = join(config.runDir, 'virtslad.sock');
  const socket = createControlSocket({ path, commands: core.operator, log, version: readVersion() });
  await socket.start(signal);
  void readHostFacts().then((facts) => {
    core.snapshots.hostFacts = facts;
  });
  return [() => web.stop(), () => socket.stop()];
}

async function begin(core: Core, config: Config, log: Log, signal: AbortSignal): Promise<void> {
  const { parts, libvirt, events, reconciler, guests } = core;
  let again: NodeJS.Timeout | undefined;
  const reload = async (said: readonly string[] = []): Promise<void> => {
    clearTimeout(again);
    const { generations } = parts;
    const ok = await generations.reload();
    if (ok) log.info('policy.reloaded', { generation: generations.latest?.id ?? null });
    const { problems } = generations;
    for (const problem of problems) if (!said.includes(problem)) log.error('policy.rejected', { problem });
    if (ok) await reconciler.tick();
    // The files will not change because the host was busy: nobody else would have them read again.
    else if (generations.mayPass && !signal.aborted) {
      clearTimeout(again);
      again = setTimeout(() => void reload(problems), READ_AGAIN_MS).unref();
    }
  };
  void core.serviceLevels.start().catch((error: Error) => log.error('slo.restore_failed', { reason: error.message }));
  libvirt.onEvent((event) => {
    core.serviceLevels.onLibvirt(event);
    events.onLibvirt(event);
  });
  guests.arrivals?.start();
  // Watched before it is read, so that no edit in between is lost.
  await watchPolicyDirectory(config.policyDir, () => void reload(), signal);
  reconciler.start();
  await Promise.all([libvirt.start(signal), reload()]);
  await reconciler.resync();
  await reconciler.tick();
  watchSchedules(core, signal);
  const onHangup = (): void => {
    notify(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
    void reload().finally(() => notify('READY=1'));
  };
  process.on('SIGHUP', onHangup);
  signal.addEventListener('abort', () => process.off('SIGHUP', onHangup), { once: true });
  notify('READY=1');
  log.info('daemon.ready', { guests: parts.inventory.all().length, lacks: core.snapshots.build().lacks });
}

/** A cycle at the very moment in which a window of a schedule or of maintenance opens or closes. */
function watchSchedules({ parts, reconciler }: Core, signal: AbortSignal): void {
  let timer: NodeJS.Timeout | undefined;
  let seen = '';
  const look = (): void => {
    const nowMs = parts.clock.nowMs();
    const active = parts.generations.active;
    const open = active === null ? [] : [...openSchedules(active, nowMs), ...openMaintenance(active, nowMs)];
    // By what is open, not by the boundary: one that passed while a new policy came into force counts too.
    const now = `${active?.id} ${open.map(({ name }) => name).join()}`;
    if (now !== seen) void reconciler.tick();
    seen = now;
    const boundaries = active === null ? [] : [nextBoundary(active, nowMs), nextMaintenanceBoundary(active, nowMs)];
    const delay = Math.min(...boundaries.map((one) => (one ?? Number.POSITIVE_INFINITY) - nowMs), SCHEDULE_CHECK_MS);
    timer = setTimeout(look, Math.max(delay, 10));
  };
  look();
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
}

function measureEventLoop(core: Core): () => void {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const timer = setInterval(() => {
    core.snapshots.eventLoopLagSeconds = Math.max(0, delay.max / 1e9 - 0.01);
    delay.reset();
  }, 15_000).unref();
  return () => {
    clearInterval(timer);
    delay.disable();
  };
}

/** Limits stay in place. False when a thread is stuck in a native call, for which nothing can wait. */
async function end(core: Core, lock: Lock | null, log: Log, closers: readonly Closer[] = []): Promise<boolean> {
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
