/**
 * Labels in the VM: what the installed daemon says of them, what virsh says of definitions, and guests whose memory tells
 * whether they were booted anew.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StatusView } from '../../../src/http/api.js';
import type { DomainSnapshot } from '../../../src/snapshot/types.js';
import { TICKS_ADDRESS } from '../../support/boot-sector.js';
import { output } from '../../support/command.js';
import type { Guest } from '../../support/guest.js';
import { waitUntil } from '../../support/wait.js';
import { IMAGE_DIR, METRICS_URL, PATIENCE_SECONDS, virsh } from './system.js';

export type Picture = DomainSnapshot;
export type LabelPicture = NonNullable<DomainSnapshot['label']>;

/** How long the daemon took to say what was waited for. */
export interface Waited {
  readonly domain: Picture;
  readonly seconds: number;
  /** Begun since; the one that was under way may have looked already. */
  readonly cycles: number;
}

const MEBIBYTE = 1024 ** 2;

export async function statusOf(): Promise<StatusView> {
  return (await get('status')) as StatusView;
}

/** The daemon may have been restarted by who ran before. */
export async function whenUp(): Promise<void> {
  const up = async (): Promise<boolean> => {
    const status = await statusOf().catch(() => null);
    return status?.libvirt.connected === true;
  };
  await waitUntil('the daemon to be up', up, { seconds: PATIENCE_SECONDS, everyMs: 500 });
}

/** Null: virtslad does not know it. */
export async function pictureOf(uuid: string): Promise<Picture | null> {
  return (await get(`domains/${uuid}`)) as Picture | null;
}

/** Waits until the daemon says so of the guest. */
export async function whenSeen(what: string, uuid: string, probe: (domain: Picture) => boolean): Promise<Waited> {
  const [began, before] = [performance.now(), await statusOf()];
  let last: Picture | null = null;
  const seen = async (): Promise<Picture | null> => {
    last = await pictureOf(uuid).catch(() => null);
    return last !== null && probe(last) ? last : null;
  };
  try {
    const domain = await waitUntil(what, seen, { seconds: PATIENCE_SECONDS, everyMs: 200 });
    const seconds = (performance.now() - began) / 1000;
    return { domain, seconds, cycles: (await statusOf()).counters.cycles - before.counters.cycles };
  } catch (error) {
    throw new Error(`${(error as Error).message}; it says ${told(last)}`);
  }
}

export function reasonsOf({ label }: Picture): string[] {
  return (label?.violations ?? []).map(({ reason }) => reason).sort();
}

export function controlOf({ controls }: Picture): string {
  const control = controls.find(({ id }) => id === 'svirt.label');
  return control === undefined ? 'none' : control.status;
}

export function imageOf({ uuid }: Guest): string {
  return join(IMAGE_DIR, `${uuid}.img`);
}

/** Categories as in the label, `c7,c9`. */
export function categoriesOf(label: string): string {
  return label.split(':').slice(4).join(':');
}

/** Byte for byte what libvirt has on disk of the guest. */
export function definitionOf({ uuid }: Guest): Promise<string> {
  return virsh('dumpxml', '--inactive', '--security-info', uuid);
}

/** The same text without the `<seclabel>` elements for SELinux. */
export function withoutLabel(definition: string): string {
  return definition.replace(/\n\s*<seclabel [^>]*model='selinux'[^>]*(?:\/>|>[\s\S]*?<\/seclabel>)/g, '');
}

/** Answer of QEMU's monitor as it stands. */
export function monitor({ uuid }: Guest, command: string, args: object): Promise<string> {
  return virsh('qemu-monitor-command', uuid, JSON.stringify({ execute: command, arguments: args }));
}

/** Of a guest with the program `keep`: how often its clock has ticked since its boot; 0 until its memory is filled. */
export async function ticksOf({ uuid }: Guest): Promise<number> {
  const text = await virsh('qemu-monitor-command', uuid, '--hmp', `xp /1wx 0x${TICKS_ADDRESS.toString(16)}`);
  return Number(/: (0x[0-9a-f]{8})/.exec(text)?.[1] ?? Number.NaN);
}

export async function whenKept(guest: Guest): Promise<void> {
  const ticking = async (): Promise<boolean> => (await ticksOf(guest)) > 0;
  await waitUntil(`${guest.name} to fill its memory`, ticking, { seconds: PATIENCE_SECONDS, everyMs: 500 });
}

/** Of what the program `keep` has written. QEMU writes it to a file that every guest of the host may write to. */
export async function memoryOf({ uuid }: Guest, toBytes: number): Promise<string> {
  const path = join(IMAGE_DIR, 'vm-svirt-memory');
  writeFileSync(path, '');
  chmodSync(path, 0o666);
  try {
    await output('chcon', ['system_u:object_r:svirt_image_t:s0', path]);
    const size = toBytes - MEBIBYTE;
    await virsh('qemu-monitor-command', uuid, '--hmp', `pmemsave ${MEBIBYTE} ${size} "${path}"`);
    const memory = readFileSync(path);
    assert.equal(memory.length, size);
    assert.notEqual(memory.readUInt32LE(0), memory.readUInt32LE(4), 'it has written there');
    return createHash('sha256').update(memory).digest('hex');
  } finally {
    rmSync(path);
  }
}

async function get(path: string): Promise<unknown> {
  const response = await fetch(new URL(`/api/v1/${path}`, METRICS_URL), { signal: AbortSignal.timeout(30_000) });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`/api/v1/${path} answered ${response.status}`);
  return response.json();
}

function told(domain: Picture | null): string {
  if (domain === null) return 'nothing of it';
  const control = domain.controls.find(({ id }) => id === 'svirt.label');
  const { state, className, obstacle, label } = domain;
  return JSON.stringify({ state, className, obstacle, label, status: control?.status, reason: control?.reason });
}
