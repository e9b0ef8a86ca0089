/**
 * The guest that a VM test runs in, seen from inside: its systemd, its libvirtd, the installed daemon, and guests of its own
 * that need no operating system. For tests of the real thing: nothing here is private to a test, so files run one by one.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execute, output } from '../../support/command.js';
import { parseMetrics, type Sample, sumOf } from '../../support/metrics.js';
import { waitUntil } from '../../support/wait.js';

export const POLICY_DIR = '/etc/virtslad/policies.d';
export const METRICS_URL = 'http://127.0.0.1:19177/metrics';
/** virt_image_t in Debian's policy: libvirt relabels what is in it. */
export const IMAGE_DIR = '/var/lib/libvirt/images';
/** The system's own libvirtd, for `new Guest(SYSTEM_LIBVIRT, IMAGE_DIR, …)`. */
export const SYSTEM_LIBVIRT = { uri: 'qemu:///system', runDir: '/run/libvirt' };
/** Under emulation things take their time. */
export const PATIENCE_SECONDS = 180;

export async function systemctl(...args: readonly string[]): Promise<string> {
  return (await output('systemctl', args, { timeoutSeconds: 120 })).trim();
}

/** Standard output of virsh on the system's libvirtd. */
export function virsh(...args: readonly string[]): Promise<string> {
  return output('virsh', ['-q', '-c', 'qemu:///system', ...args], { timeoutSeconds: 120 });
}

/** The full context that a process wears. */
export function labelOf(pid: number): string {
  return readFileSync(`/proc/${pid}/attr/current`, 'utf8').replace(/[\0\n]+$/, '');
}

/** The same of a file. */
export async function fileLabel(path: string): Promise<string> {
  return (await output('stat', ['--format=%C', path])).trim();
}

/** Directory of a process's group in the one cgroup tree. */
export function cgroupOf(pid: number): string {
  const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1] ?? '';
  return join('/sys/fs/cgroup', path);
}

/** Replaces the policies of the installed daemon. It reads them by itself. */
export function writePolicies(policies: Readonly<Record<string, string>>): void {
  mkdirSync(POLICY_DIR, { recursive: true });
  for (const [name, text] of Object.entries(policies)) writeFileSync(join(POLICY_DIR, name), text, { mode: 0o644 });
}

export function removePolicy(name: string): void {
  rmSync(join(POLICY_DIR, name), { force: true });
}

export async function scrape(): Promise<readonly Sample[]> {
  const response = await fetch(METRICS_URL, { signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`/metrics answered ${response.status}`);
  return parseMetrics(await response.text());
}

/** Sum of a metric's samples with those labels; null when there is none. */
export async function metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number | null> {
  return sumOf(await scrape(), name, labels);
}

/** The installed command as an operator runs it. */
export function virtslad(...args: readonly string[]) {
  return execute('virtslad', args, { timeoutSeconds: 120 });
}

/** Restarts the installed daemon and waits until it is ready. */
export async function restartDaemon(): Promise<void> {
  await systemctl('restart', 'virtslad.service');
}

export async function waitUntilCompliant(uuid: string, seconds = PATIENCE_SECONDS): Promise<void> {
  const compliant = async (): Promise<boolean> => (await metric('virtsla_domain_compliant', { uuid })) === 1;
  await waitUntil(`guest ${uuid} to be compliant`, compliant, { seconds, everyMs: 500 });
}
