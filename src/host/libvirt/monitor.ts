/**
 * A guest's monitor, asked through libvirt by virDomainQemuMonitorCommand: QMP command in, its answer out. Synchronous, for
 * a worker thread. The first command taints the domain (custom-monitor) until its next start; whether there has been one is
 * asked of libvirt, which asks nobody. Source: libvirt-qemu.h, virDomainGetMessages; QEMU's qmp-spec.
 */
import { freeMemory, type Pointer, readPointers, readString } from '../ffi.js';
import * as c from './bindings.js';
import type { LibvirtOutcome } from './client.js';
import { type Connection, failed, pointerOf } from './domain-call.js';

/** virDomainTaintMessage; libvirtd says it in its own language. */
const MONITOR_USED = 'custom monitor control commands issued';

let bound: ReturnType<typeof c.bindMonitor> | undefined;

/** Why nobody can be asked on this host; null when somebody can. */
export function monitorProblem(): string | null {
  bound ??= c.bindMonitor();
  return bound.ok ? null : bound.reason;
}

/** Whether anybody has used the monitor of this instance. False also where libvirtd says it in words that are not known here. */
export function isMonitorUsed(connection: Connection, domain: Pointer): LibvirtOutcome<boolean> {
  bound ??= c.bindMonitor();
  if (!bound.ok) return { ok: false, failure: 'refused', message: bound.reason };
  const out = new BigUint64Array(1);
  const count = bound.monitor.virDomainGetMessages(domain, out, c.VIR_DOMAIN_MESSAGE_TAINTING);
  if (count < 0) return failed(connection);
  const array = pointerOf(out);
  let used = false;
  for (const message of readPointers(array, count)) {
    used ||= readString(message).includes(MONITOR_USED);
    freeMemory(message);
  }
  freeMemory(array);
  return { ok: true, value: used };
}

/** Taints the domain. What QEMU refuses is `refused`, with its class and words. */
export function askMonitor(connection: Connection, domain: Pointer, execute: string, args: object | null = null) {
  return send(connection, domain, JSON.stringify(args === null ? { execute } : { execute, arguments: args }));
}

function send(connection: Connection, domain: Pointer, command: string): LibvirtOutcome<unknown> {
  bound ??= c.bindMonitor();
  if (!bound.ok) return refused(bound.reason);
  const out = new BigUint64Array(1);
  if (bound.monitor.virDomainQemuMonitorCommand(domain, command, out, 0) < 0) return failed(connection);
  const text = readString(pointerOf(out));
  freeMemory(pointerOf(out));
  return answerOf(text);
}

/** libvirt passes on no more than 10 MiB (QEMU_MONITOR_MAX_RESPONSE). */
function answerOf(text: string): LibvirtOutcome<unknown> {
  let answer: { readonly return?: unknown; readonly error?: { readonly class?: unknown; readonly desc?: unknown } };
  try {
    answer = JSON.parse(text);
  } catch {
    return refused('QEMU answered what is no JSON');
  }
  if (typeof answer !== 'object' || answer === null) return refused('QEMU answered what is no object');
  if (answer.error === undefined) return { ok: true, value: answer.return };
  const { class: kind, desc } = answer.error ?? {};
  return refused(`QEMU refused: ${String(desc ?? kind ?? 'without a reason').slice(0, 300)}`);
}

function refused(message: string): LibvirtOutcome<never> {
  return { ok: false, failure: 'refused', message };
}
