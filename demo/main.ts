/**
 * `npm run demo`: three real guests that burn CPU, first as the host leaves them, then with virtslad and the shipped
 * policies; a live table shows before and after. Takes a signal that ends it at any moment; leaves nothing behind.
 */
import { join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cut } from '../src/cli/render/cell.js';
import { wantsColor } from '../src/cli/render/style.js';
import type { ControlSnapshot, DomainSnapshot } from '../src/snapshot/types.js';
import { Cleanup } from '../test/support/cleanup.js';
import { measureCores } from '../test/support/cpu-time.js';
import type { Daemon } from '../test/support/daemon.js';
import type { Guest } from '../test/support/guest.js';
import { openKvmDevice } from '../test/support/kvm-device.js';
import { ROOT } from '../test/support/paths.js';
import { ensureSystemLibvirtd } from '../test/support/system-libvirtd.js';
import { type CpuTimes, type HostShare, hostShareWords, readCpuTimes, shareOf } from './host-cpu.js';
import { Screen } from './screen.js';
import { makeDaemon, makeDirectory, makeGuests, readSettings } from './stage.js';
import { judge, type Row, renderDemoTable, TOLERANCE_CORES } from './table.js';

const BEFORE_SECONDS = 6;
/** One slice of the live table. */
const SLICE_SECONDS = 1;
/** Long enough that the final figures are means and not moments. */
const AFTER_SLICES = 8;

export interface DemoOptions {
  readonly signal: AbortSignal;
  /** Stay, live, until the signal; else end after the final table. */
  readonly wait: boolean;
}

/** True when all limits were seen to hold and everything was put back. */
export async function runDemo({ signal, wait }: DemoOptions): Promise<boolean> {
  const screen = new Screen(process.stdout);
  const cleanup = new Cleanup();
  let kept = false;
  let failure: unknown = null;
  try {
    kept = await play(screen, cleanup, signal, wait);
  } catch (error) {
    if (!signal.aborted) failure = error;
  }
  screen.keep();
  screen.say('');
  screen.say(signal.aborted ? 'Stopping: putting everything back …' : 'Putting everything back …');
  const left = await cleanup.run();
  if (failure !== null)
    screen.say(`\nThe demo failed: ${failure instanceof Error ? failure.message : String(failure)}`);
  for (const error of left) screen.say(`Not put back: ${error.message}`);
  if (left.length === 0) screen.say('All limits are back, and everything that the demo started is gone.');
  return kept && failure === null && left.length === 0;
}

async function play(screen: Screen, cleanup: Cleanup, signal: AbortSignal, wait: boolean): Promise<boolean> {
  const directory = await makeDirectory(cleanup);
  if (await openKvmDevice(cleanup))
    screen.say('▸ Opened /dev/kvm for libvirt while the demo runs (else each start takes 40 s)');
  signal.throwIfAborted();
  screen.say((await ensureSystemLibvirtd(cleanup)) ? '▸ Started libvirtd' : '▸ libvirtd runs already');

  const guests = await makeGuests(directory, cleanup);
  const names = guests.map(({ name }) => name).join(', ');
  screen.say(`▸ Booting ${names}: real QEMU guests under emulation that burn all the CPU they get`);
  for (const guest of guests) {
    signal.throwIfAborted();
    await guest.start();
  }
  const originals = readSettings(guests);
  for (const guest of guests) {
    signal.throwIfAborted();
    await guest.waitUntilBusy({ signal });
  }

  const show = liveTable(screen, guests);
  screen.say(`▸ Before: no policy, measured over ${BEFORE_SECONDS} s\n`);
  const before = await measureCores(pidsOf(guests), BEFORE_SECONDS, signal);
  show({ before, now: [], domains: [] }, { always: true });
  screen.keep();

  const daemon = await makeDaemon(directory, guests, cleanup);
  screen.say('\n▸ Starting virtslad with the shipped policies (policies/*.yaml)');
  // Entered before the daemon can have written anything.
  cleanup.defer('release all limits', () => release(daemon, guests, originals));
  await daemon.start();
  await daemon.waitUntilCompliant(guests);

  screen.say(`▸ After: the same guests, each at what its class is promised\n`);
  const slices: number[][] = [];
  const host = new HostMeter();
  let domains = await readDomains(daemon);
  for (let slice = 0; slice < AFTER_SLICES; slice += 1) {
    slices.push(await measureCores(pidsOf(guests), SLICE_SECONDS, signal));
    domains = await readDomains(daemon);
    show({ before, now: slices.at(-1) ?? [], domains });
  }
  const mean = guests.map((_, index) => slices.reduce((sum, slice) => sum + (slice[index] ?? 0), 0) / slices.length);
  show({ before, now: mean, domains }, { always: true });
  screen.keep();
  const rows = rowsOf(guests, { before, now: mean, domains });
  const kept = rows.every(limitHolds);
  const share = host.share(mean);
  if (rows.every(({ beforeCores, limitCores }) => (beforeCores ?? 0) <= (limitCores ?? Number.POSITIVE_INFINITY))) {
    screen.say('\n  This host is busy with other work: no guest got more than its limit before either.');
  }
  if (rows.some((row) => judge(row) === 'short')) screen.say(`\n  ${hostShareWords(share)}`);
  whatNext(screen, daemon, guests);
  if (!wait) return kept;

  screen.say('\nThe table goes on. Ctrl-C ends the demo and puts everything back.\n');
  while (!signal.aborted) {
    const host = new HostMeter();
    const now = await measureCores(pidsOf(guests), SLICE_SECONDS, signal);
    if (!daemon.running) throw new Error(`the daemon ended${troubles(daemon)}`);
    show({ before, now, domains: await readDomains(daemon), host: host.share(now) });
  }
  return kept;
}

interface Measured {
  readonly before: readonly number[];
  readonly now: readonly number[];
  readonly domains: readonly DomainSnapshot[];
  /** Given while the table lives: one line under it says why a guest is short. */
  readonly host?: HostShare;
}

/** Where the host's CPU goes from now on. */
class HostMeter {
  readonly #began = performance.now();
  readonly #before: CpuTimes = readCpuTimes();

  share(guestCores: readonly number[]): HostShare {
    const seconds = (performance.now() - this.#began) / 1000;
    const sum = guestCores.reduce((total, cores) => total + cores, 0);
    return shareOf(this.#before, readCpuTimes(), seconds, sum);
  }
}

/** What the daemon logged as wrong, for the message that it has ended. */
function troubles(daemon: Daemon): string {
  const said = daemon.lastWords(Number.POSITIVE_INFINITY).split('\n');
  const wrong = said.filter((line) => /"level":"(?:warn|error|fatal)"|^[^{]/.test(line)).slice(-5);
  return wrong.length === 0 ? ', and had logged nothing that was wrong' : `:\n${wrong.join('\n')}`;
}

function liveTable(screen: Screen, guests: readonly Guest[]) {
  const color = wantsColor(screen.live, process.env);
  return (measured: Measured, options: { readonly always?: boolean } = {}): void => {
    const rows = rowsOf(guests, measured);
    const lines = renderDemoTable(rows, { color, width: screen.width });
    if (measured.host !== undefined) {
      const isShort = rows.some((row) => judge(row) === 'short');
      lines.push(
        '',
        isShort ? cut(`  ${hostShareWords(measured.host)}`, screen.width ?? Number.POSITIVE_INFINITY) : '',
      );
    }
    screen.draw(lines, options);
  };
}

function rowsOf(guests: readonly Guest[], { before, now, domains }: Measured): Row[] {
  return guests.map((guest, index) => {
    const domain = domains.find(({ uuid }) => uuid === guest.uuid);
    return {
      guest: guest.name,
      className: domain?.className ?? null,
      vcpus: guest.vcpus,
      guaranteedCores: domain?.guaranteedCores ?? null,
      limitCores: limitOf(domain?.controls ?? []),
      beforeCores: before[index] ?? null,
      nowCores: now[index] ?? null,
    };
  });
}

function limitOf(controls: readonly Pick<ControlSnapshot, 'id' | 'amounts'>[]): number | null {
  return controls.find(({ id }) => id === 'cpu.limit')?.amounts[0]?.desired ?? null;
}

/** A guest without a limit has none to break. */
function limitHolds({ className, limitCores, nowCores }: Row): boolean {
  if (className === null || nowCores === null) return false;
  return limitCores === null || nowCores <= limitCores + TOLERANCE_CORES;
}

async function readDomains(daemon: Daemon): Promise<readonly DomainSnapshot[]> {
  const response = await fetch(`${daemon.url}/api/v1/domains`, { signal: AbortSignal.timeout(5_000) });
  return ((await response.json()) as { readonly domains: readonly DomainSnapshot[] }).domains;
}

function pidsOf(guests: readonly Guest[]): number[] {
  return guests.map(({ pid }) => pid);
}

/** Releases through the daemon, or without it when it is gone, and compares with what was there at first. */
async function release(daemon: Daemon, guests: readonly Guest[], originals: string): Promise<void> {
  await daemon.virtsladOk('release', '--all');
  for (let tries = 0; tries < 20 && readSettings(guests) !== originals; tries += 1) await delay(100);
  if (readSettings(guests) !== originals) throw new Error('a CPU setting differs from what it was before');
}

function whatNext(screen: Screen, daemon: Daemon, guests: readonly Guest[]): void {
  const virtslad = `node ${relative(process.cwd(), join(ROOT, 'dist', 'main.js'))}`;
  const config = `--config ${daemon.configFile}`;
  const bronze = join(daemon.policyDir, '90-bronze.yaml');
  const [database, , batch] = guests.map(({ name }) => name);
  screen.say(`
What to look at next, in another terminal:
  # what Prometheus sees
  curl -s ${daemon.url}/metrics | grep virtsla_cpu
  # the host and its guests; why each value of one guest is what it is
  ${virtslad} status ${config}
  ${virtslad} explain ${database} ${config}
  # change a policy: ${batch} follows within 2 s
  sed -i 's/limit: 20%/limit: 60%/' ${bronze}
  # lift a limit by hand: it is back at once
  virsh -c qemu:///system schedinfo ${batch} --set vcpu_quota=-1`);
}
