/**
 * The daemon's life: locks, loads, connects, serves, reconciles, and leaves with all limits in place. What it
 * lacks at start (libvirt, policies, a port) it says, and goes on without.
 */
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { assemble, type Core } from './assemble.js';
import type { Config } from './config/types.js';
import { type Closer, end, loadState, takeLocks } from './core-life.js';
import { VirtsladError } from './errors.js';
import { readHostFacts } from './host/host-facts.js';
import { makeDirectory } from './host/lock.js';
import { notify, watchdogIntervalMs } from './host/systemd/notify.js';
import { createWebServer } from './http/server.js';
import { createControlSocket } from './http/socket.js';
import type { Log } from './log.js';
import { createMetrics, type Metrics } from './metrics/metrics.js';
import { nextMaintenanceBoundary, openMaintenance } from './policy/maintenance.js';
import { nextBoundary, openSchedules } from './policy/schedule.js';
import { watchPolicyDirectory } from './policy/watch.js';
import { readVersion } from './version.js';

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
  // It starts programs, which can wait until the guests have what they were promised.
  void readHostFacts().then((facts) => {
    core.snapshots.hostFacts = facts;
  });
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
