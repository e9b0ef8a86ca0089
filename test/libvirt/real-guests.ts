/**
 * Small real guests at qemu:///system for tests: no disk, no operating system, software emulation. Every guest is named
 * `libvirt-test-…` and removed at the end. Tests that need them skip, saying why, where there is no libvirt.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadLibrary } from '../../src/host/ffi.js';

export const QEMU_URI = 'qemu:///system';
const EMULATOR = '/usr/bin/qemu-system-x86_64';

/** Why tests without any daemon (test:///default) cannot run; false when they can. */
export function libraryMissing(): string | false {
  const loaded = loadLibrary('libvirt.so.0');
  return loaded.ok ? false : loaded.reason;
}

/** Why tests on real guests cannot run; false when they can. */
export function qemuMissing(): string | false {
  const missing = libraryMissing();
  if (missing) return missing;
  if (process.getuid?.() !== 0) return 'real guests need root';
  try {
    accessSync(EMULATOR);
  } catch {
    return `${EMULATOR} is not installed`;
  }
  try {
    virsh('version', '--daemon');
    return false;
  } catch {
    return `no libvirtd answers at ${QEMU_URI}`;
  }
}

export function virsh(...args: string[]): string {
  return execFileSync('virsh', ['--quiet', '--connect', QEMU_URI, ...args], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

export interface RealGuest {
  readonly name: string;
  readonly uuid: string;
  /** Of the running QEMU process. */
  pid(): number;
  remove(): void;
}

/** Defines and starts a guest; `content` goes in before `<os>`. */
export function startGuest(suffix: string, content = '', vcpus = 1): RealGuest {
  const name = `libvirt-test-${process.pid}-${suffix}`;
  const file = join(tmpdir(), `${name}.xml`);
  writeFileSync(
    file,
    `<domain type='qemu'>
      <name>${name}</name><memory unit='MiB'>16</memory><vcpu>${vcpus}</vcpu>${content}
      <os><type arch='x86_64' machine='pc'>hvm</type></os>
      <devices><emulator>${EMULATOR}</emulator><memballoon model='none'/></devices>
    </domain>`,
  );
  try {
    virsh('define', file);
    virsh('start', name);
  } finally {
    unlinkSync(file);
  }
  return {
    name,
    uuid: virsh('domuuid', name).trim(),
    pid: () => Number(readFileSync(`/run/libvirt/qemu/${name}.pid`, 'utf8')),
    remove: () => {
      ignoringFailure(() => virsh('destroy', name));
      ignoringFailure(() => virsh('undefine', name));
    },
  };
}

function ignoringFailure(action: () => void): void {
  try {
    action();
  } catch {
    // Gone already.
  }
}
