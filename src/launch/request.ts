/**
 * What the words given to `virtslad launch` ask for: a guest that QEMU can become in place of this process, or why not.
 * Pure. Nothing of the words is changed; what they say of the guest is read as it will be from the running process.
 */
import { basename } from 'node:path';
import { type BareCommand, parseCommand } from '../domains/bare-command.js';
import { has, merged, parseOptions, type QemuOption, valuesOf } from '../domains/bare-options.js';
import { isGuest, isLibvirtCommand } from '../domains/bare-origin.js';
import type { Problem } from '../errors.js';

export interface LaunchRequest {
  /** The first word: a program's name or path. */
  readonly program: string;
  readonly command: BareCommand;
  readonly usesKvm: boolean;
  /** The daemon will not take it for a guest: it knows QEMU by the name of its program. */
  readonly unrecognised: boolean;
  /** Open descriptors that the words name (`-netdev tap,fd=5`, `-add-fd`, `-incoming fd:7`), ascending. */
  readonly descriptors: readonly number[];
}

export type ReadRequest =
  | { readonly ok: true; readonly request: LaunchRequest }
  | { readonly ok: false; readonly problem: Problem };

/** As src/host/proc/qemu-processes.ts looks for them. */
const QEMU_PROGRAM = /^(?:\.?qemu-system-|qemu-kvm$|kvm$)/;
/** The kernel's bound on descriptors, fs.nr_open. */
const DESCRIPTOR_MAX = 2 ** 20;

export function readRequest(words: readonly string[]): ReadRequest {
  const [program = ''] = words;
  const options = parseOptions(words);
  if (!isGuest(options)) {
    return refused('this command runs no guest', 'run it without virtslad; launch is for guests');
  }
  if (isLibvirtCommand(options)) {
    const fix = 'start it with libvirt, or leave out the parts that are of libvirt (masterKey0, charmonitor)';
    return refused('this is the command of a guest of libvirt, for which it would be taken', fix);
  }
  const command = parseCommand(words, false, options);
  if (command.daemonizes) {
    const fix = 'leave out -daemonize; systemd-run or a service keeps the guest running';
    return refused('with -daemonize QEMU becomes another process than the one that is started here', fix);
  }
  return {
    ok: true,
    request: {
      program,
      command,
      usesKvm: usesKvm(program, options),
      unrecognised: !QEMU_PROGRAM.test(basename(program)),
      descriptors: descriptorsIn(options),
    },
  };
}

/** The accelerator that comes first is tried first; libvirt labels by its kind (virtual_domain_context). */
function usesKvm(program: string, options: readonly QemuOption[]): boolean {
  const machine = merged(valuesOf(options, 'machine', 'M'), 'type').get('accel');
  const [first = machine] = valuesOf(options, 'accel');
  if (first !== undefined) return /^(?:accel=)?kvm(?:[,:]|$)/.test(first);
  return has(options, 'enable-kvm') || /(?:^|\/)(?:qemu-kvm|kvm)$/.test(program);
}

function descriptorsIn(options: readonly QemuOption[]): readonly number[] {
  const found = new Set<number>();
  const named = /(?:^|[,.{\s"])(?:fds?|vhostfds?)"?\s*[=:]\s*"?(\d{1,7}(?::\d{1,7})*)/g;
  for (const { value } of options) {
    for (const [, numbers = ''] of value.matchAll(named)) {
      for (const fd of numbers.split(':').map(Number)) if (fd > 2 && fd <= DESCRIPTOR_MAX) found.add(fd);
    }
  }
  return [...found].sort((a, b) => a - b);
}

function refused(message: string, fix: string): ReadRequest {
  return { ok: false, problem: { code: 'LAUNCH_COMMAND', message, fix } };
}
