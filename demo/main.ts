/**
 * `npm run demo`: three real guests that burn CPU and read disks, first as the host leaves them, then with virtslad and the
 * shipped policies; live tables show before and after. Where libvirt cannot be used, or is not to be, the guests are bare
 * QEMU processes. Takes a signal that ends it at any moment; leaves nothing behind.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { cut } from '../src/cli/render/cell.js';
import type { DomainSnapshot } from '../src/snapshot/types.js';
import { missingControllers } from '../test/support/bare-groups.js';
import { Cleanup } from '../test/support/cleanup.js';
import type { Daemon } from '../test/support/daemon.js';
import { openKvmDevice } from '../test/support/kvm-device.js';
import { ensureSystemLibvirtd, SYSTEM_LIBVIRT } from '../test/support/system-libvirtd.js';
import { waitUntil } from '../test/support/wait.js';
import { type DemoGuest, makeGuests, waitUntilBusy } from './guests.js';
import { DiskMeter, HostMeter, measure, type Rates } from './meters.js';
import { nextWords } from './next.js';
import { Screen } from './screen.js';
import { imageDirOf, makeDaemon, makeDirectory } from './stage.js';
import { View } from './view.js';

const BEFORE_SECONDS = 6;
/** One slice of the live tables. */
const SLICE_SECONDS = 1;
const COMPLIANT_SECONDS = 15;
/** Long enough that the final figures are means and not moments. */
const AFTER_SLICES = 8;

export interface DemoOptions {
  readonly signal: AbortSignal;
  /** Stay, live, until the signal; else end after the final tables. */
  readonly wait: boolean;
  /** Why libvirt is not to be used; null: it is, if it can be. */
  readonly bareBecause: string | null;
}

/** True when all limits were seen to hold and everything was put back. */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  const { signal } = options;
  const screen = new Screen(process.stdout);
  const cleanup = new Cleanup();
  let kept = false;
  let failure: unknown = null;
  try {
    kept = await play(screen, cleanup, options);
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

async function play(screen: Screen, cleanup: Cleanup, { signal, wait, bareBecause }: DemoOptions): Promise<boolean> {
  const directory = await makeDirectory(cleanup);
  const reason = bareBecause ?? (await libvirtObstacle(screen, cleanup, signal));
  signal.throwIfAborted();
  if (reason !== null) {
    screen.say(oneLine(`▸ Bare QEMU in cgroups of its own, without libvirt: ${reason}`, screen.width));
  }

  const guests = await makeGuests(reason !== null, imageDirOf(directory), cleanup);
  const names = guests.map(({ name }) => name).join(', ');
  screen.say(`▸ Booting ${names}: real QEMU guests under emulation, busy with all the CPU and disk they get`);
  for (const guest of guests) {
    signal.throwIfAborted();
    await guest.start();
    // The same for all of them.
    if (guest === guests[0] && guest.groups !== null) sayMissing(screen, guest.groups);
  }
  const originals = await readAll(guests);
  for (const guest of guests) await waitUntilBusy(guest, signal);

  const view = new View(screen, guests);
  screen.say(`▸ Before: no policy, measured over ${BEFORE_SECONDS} s\n`);
  const before = await measure(guests, BEFORE_SECONDS, signal);
  view.draw({ before, now: null, domains: [] }, { always: true });
  screen.keep();

  const daemon = await makeDaemon(directory, guests, reason === null ? SYSTEM_LIBVIRT.uri : 'none', cleanup);
  screen.say('\n▸ Starting virtslad with the shipped policies (policies/*.yaml)');
  // Entered before the daemon can have written anything.
  cleanup.defer('release all limits', () => release(daemon, guests, originals));
  await daemon.start();
  const compliant = await becomeCompliant(daemon, guests, signal);
  signal.throwIfAborted();
  if (!compliant) screen.say('▸ Not everything that the policies ask for is held, see below');

  screen.say('▸ After: the same guests, each at what its class is promised\n');
  const after = await measureAfter(daemon, guests, before, view, signal);
  const kept = view.conclude(after) && compliant;
  screen.say(nextWords(daemon, guests, after.domains));
  if (!wait) return kept;

  screen.say('\nThe tables go on. Ctrl-C ends the demo and puts everything back.\n');
  while (!signal.aborted) {
    const host = new HostMeter();
    const now = await measure(guests, SLICE_SECONDS, signal);
    if (!daemon.running) throw new Error(`the daemon ended${troubles(daemon)}`);
    view.draw({ before, now, domains: await readDomains(daemon, guests), host: host.share(now.cores) });
  }
  return kept;
}

/** Opens /dev/kvm and starts libvirtd where it has to be. Why libvirt cannot be used; null: it can. */
async function libvirtObstacle(screen: Screen, cleanup: Cleanup, signal: AbortSignal): Promise<string | null> {
  if (await openKvmDevice(cleanup))
    screen.say('▸ Opened /dev/kvm for libvirt while the demo runs (else each start takes 40 s)');
  signal.throwIfAborted();
  const libvirtd = await ensureSystemLibvirtd(cleanup, signal);
  if (!libvirtd.usable) return libvirtd.reason;
  screen.say(libvirtd.started ? '▸ Started libvirtd' : '▸ libvirtd runs already');
  return null;
}

/** Without the cpu controller there is nothing to show; what else is missing is said. */
function sayMissing(screen: Screen, groups: ReadonlyMap<string, string>): void {
  const missing = missingControllers(groups);
  const cpu = missing.get('cpu');
  if (cpu !== undefined) throw new Error(`the guests cannot have CPU limits here: ${cpu}`);
  for (const [controller, why] of missing) {
    screen.say(oneLine(`▸ Their cgroups are without ${controller}: ${why}`, screen.width));
  }
}

/** What does not hold is listed at the end, with the reason. */
async function becomeCompliant(daemon: Daemon, guests: readonly DemoGuest[], signal: AbortSignal): Promise<boolean> {
  const areCompliant = async (): Promise<boolean> => {
    const domains = await readDomains(daemon, guests);
    return domains.length === guests.length && domains.every(({ compliant }) => compliant);
  };
  try {
    return await waitUntil('all limits to hold', areCompliant, { seconds: COMPLIANT_SECONDS, everyMs: 100, signal });
  } catch (error) {
    signal.throwIfAborted();
    if (!daemon.running) throw error;
    return false;
  }
}

/** Live slice by slice; gives the means. */
async function measureAfter(
  daemon: Daemon,
  guests: readonly DemoGuest[],
  before: Rates,
  view: View,
  signal: AbortSignal,
) {
  const slices: Rates[] = [];
  const host = new HostMeter();
  const disks = await DiskMeter.begin(guests);
  let domains = await readDomains(daemon, guests);
  for (let slice = 0; slice < AFTER_SLICES; slice += 1) {
    const now = await measure(guests, SLICE_SECONDS, signal);
    slices.push(now);
    domains = await readDomains(daemon, guests);
    view.draw({ before, now, domains });
  }
  const mean = (index: number) => slices.reduce((sum, { cores }) => sum + (cores[index] ?? 0), 0) / slices.length;
  const now = { cores: guests.map((_, index) => mean(index)), readsPerSecond: await disks.rates() };
  return { before, now, domains, host: host.share(now.cores) };
}

/** What the daemon logged as wrong, for the message that it has ended. */
function troubles(daemon: Daemon): string {
  const said = daemon.lastWords(Number.POSITIVE_INFINITY).split('\n');
  const wrong = said.filter((line) => /"level":"(?:warn|error|fatal)"|^[^{]/.test(line)).slice(-5);
  return wrong.length === 0 ? ', and had logged nothing that was wrong' : `:\n${wrong.join('\n')}`;
}

/** Of the demo's guests, in their order; one that the daemon does not know yet is left out. */
async function readDomains(daemon: Daemon, guests: readonly DemoGuest[]): Promise<readonly DomainSnapshot[]> {
  const answers = guests.map(async ({ uuid }) => {
    const response = await fetch(`${daemon.url}/api/v1/domains/${uuid}`, { signal: AbortSignal.timeout(5_000) });
    if (response.ok) return [(await response.json()) as DomainSnapshot];
    if (response.status === 404) return [];
    throw new Error(`the daemon answered ${response.status}: ${(await response.text()).slice(0, 200)}`);
  });
  return (await Promise.all(answers)).flat();
}

async function readAll(guests: readonly DemoGuest[]): Promise<string> {
  return JSON.stringify(await Promise.all(guests.map((guest) => guest.settings())));
}

/** Releases through the daemon, or without it when it is gone, and compares with what was there at first. */
async function release(daemon: Daemon, guests: readonly DemoGuest[], originals: string): Promise<void> {
  await daemon.virtsladOk('release', '--all');
  for (let tries = 0; tries < 20 && (await readAll(guests)) !== originals; tries += 1) await delay(100);
  if ((await readAll(guests)) !== originals) throw new Error('a setting differs from what it was before');
}

function oneLine(text: string, width: number | null): string {
  return cut(text.replace(/\s+/g, ' ').trim(), width ?? Number.POSITIVE_INFINITY);
}
