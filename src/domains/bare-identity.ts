/**
 * Which bare QEMU process is which guest. Pure. A process is pid and start time; the guest's uuid is what the process
 * claims, if it is the only one to do so, else derived from boot, pid and start time, so that a reused pid is another guest.
 */
import { createHash } from 'node:crypto';
import type { BareCommand } from './bare-command.js';

/** One process that is neither libvirt's nor without a guest. */
export interface BareCandidate {
  readonly pid: number;
  readonly startTicks: bigint;
  readonly parentPid: number;
  readonly threadCount: number;
  readonly command: Pick<BareCommand, 'name' | 'uuid' | 'daemonizes' | 'digest'>;
}

export interface BareIdentity {
  readonly pid: number;
  readonly uuid: string;
  readonly name: string;
  /** Why it must not be acted on; null when it may. */
  readonly obstacle: string | null;
  /** Processes that QEMU itself has split off this one: they are no guests of their own, and no strangers in its group. */
  readonly offshoots: readonly number[];
}

/** A guest of libvirt's; null when it does not run, or nobody knows as what process. */
export type LibvirtGuests = ReadonlyMap<string, number | null>;

/**
 * Of QEMU with `-daemonize` before there is a guest: its main thread and call_rcu. It becomes two other processes in turn,
 * of which the last runs the guest and has a thread for vCPUs; the first waits until then.
 */
const LAUNCHER_THREADS_MAX = 2;

export function identify(
  candidates: readonly BareCandidate[],
  { bootId, libvirtGuests }: { readonly bootId: string; readonly libvirtGuests: LibvirtGuests },
): BareIdentity[] {
  const offshoots = offshootsOf(candidates);
  const splitOff = new Set([...offshoots.values()].flat());
  const guests = candidates.filter((one) => !splitOff.has(one.pid) && !isLauncher(one)).sort(byAge);
  const claimants = groupBy(guests, ({ command }) => command.uuid);
  const ownUuid = ({ pid, startTicks }: BareCandidate): string => derivedUuid(bootId, pid, startTicks);
  const claimsDerived = guests.some(({ command }) => command.uuid !== null && isDerived(command.uuid));
  const wearers = new Map(claimsDerived ? guests.map((guest) => [ownUuid(guest), guest]) : []);
  return guests.map((guest) => {
    const { pid, command } = guest;
    const claim = command.uuid;
    const answer = (uuid: string, obstacle: string | null): BareIdentity => ({
      pid,
      uuid,
      name: command.name ?? `qemu-${pid}`,
      obstacle,
      offshoots: offshoots.get(pid) ?? [],
    });
    if (claim === null) return answer(ownUuid(guest), null);
    if (libvirtGuests.has(claim)) {
      return answer(ownUuid(guest), libvirtObstacle(pid, claim, libvirtGuests.get(claim) ?? null));
    }
    const rivals = claimants.get(claim) ?? [];
    const wearer = wearers.get(claim);
    if (wearer !== undefined && wearer !== guest) return answer(ownUuid(guest), rivalObstacle(claim, [wearer, guest]));
    if (rivals.length === 1) return answer(claim, null);
    // The one that was there first keeps the uuid, so that what is known of it stays in its place.
    return answer(rivals[0] === guest ? claim : ownUuid(guest), rivalObstacle(claim, rivals));
  });
}

/** A uuid of version 8 (RFC 9562, vendor specific) from the process's identity: no secret, and never used twice. */
export function derivedUuid(bootId: string, pid: number, startTicks: bigint): string {
  const hash = createHash('sha256').update(`virtslad bare guest\n${bootId}\n${pid}\n${startTicks}`).digest();
  hash[6] = ((hash[6] as number) & 0x0f) | 0x80;
  hash[8] = ((hash[8] as number) & 0x3f) | 0x80;
  const hex = hash.toString('hex', 0, 16);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** True for what {@link derivedUuid} might have made. */
function isDerived(uuid: string): boolean {
  return uuid[14] === '8';
}

/**
 * Guest's pid → processes with the very same command line that are part of it or only passing: children between fork and
 * exec (for a tap's script), the helper of `-async-teardown`, and the process that called `-daemonize` and waits for it.
 */
function offshootsOf(candidates: readonly BareCandidate[]): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const alike of groupBy(candidates, ({ command }) => command.digest).values()) {
    for (const one of alike) {
      const owner = alike.find((other) => other !== one && isOffshootOf(one, other));
      if (owner === undefined) continue;
      found.set(owner.pid, [...(found.get(owner.pid) ?? []), one.pid]);
    }
  }
  return found;
}

function isOffshootOf(one: BareCandidate, guest: BareCandidate): boolean {
  if (isLauncher(guest)) return false;
  return one.parentPid === guest.pid || (isLauncher(one) && byAge(one, guest) < 0);
}

function isLauncher({ command, threadCount }: BareCandidate): boolean {
  return command.daemonizes && threadCount <= LAUNCHER_THREADS_MAX;
}

function byAge(a: BareCandidate, b: BareCandidate): number {
  return a.startTicks === b.startTicks ? a.pid - b.pid : a.startTicks < b.startTicks ? -1 : 1;
}

function libvirtObstacle(pid: number, uuid: string, libvirtPid: number | null): string {
  const whose = libvirtPid === null ? 'a guest of libvirt' : `libvirt's process ${libvirtPid}`;
  return `process ${pid} says it is guest ${uuid}, which is ${whose}: observed only`;
}

function rivalObstacle(uuid: string, rivals: readonly BareCandidate[]): string {
  const pids = rivals.map(({ pid }) => String(pid));
  const named = pids.length > 5 ? [...pids.slice(0, 5), `${pids.length - 5} more`] : pids;
  const list = `${named.slice(0, -1).join(', ')} and ${named.at(-1)}`;
  return `processes ${list} say that they are guest ${uuid}: observed only`;
}

function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}
