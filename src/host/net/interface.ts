/**
 * One network interface of the host: whether a name can be one, which device it is now, and of what kind.
 * Names are reused from guest to guest, numbers are not: the ifindex tells one `vnet0` from the next.
 * Sources: dev_valid_name (net/core/dev.c), Documentation/ABI/testing/sysfs-class-net, drivers/net/tun.c (tun_flags),
 * drivers/net/macvtap.c (a macvtap has a character device of class `macvtap` below it).
 */
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { readText } from '../cgroup/group.js';

/** What comes from the guest is received on a tap, and sent on a macvtap. */
export type InterfaceKind = 'tap' | 'macvtap' | 'other';

/** An interface that cannot be read: gone, or a reason. */
export type Unread = { readonly state: 'vanished' } | { readonly state: 'unreadable'; readonly reason: string };

export type InterfaceNumber = { readonly state: 'found'; readonly ifindex: number } | Unread;

export type InterfaceIdentity =
  | { readonly state: 'found'; readonly ifindex: number; readonly kind: InterfaceKind }
  | Unread;

/** if_tun.h */
const IFF_TAP = 0x2;

/**
 * The kernel's own rules (1 to 15 bytes, no `/`, no `:`, no space, neither `.` nor `..`), and ASCII only: what comes
 * from a guest's XML becomes part of a path.
 */
export function isDeviceName(name: string): boolean {
  return /^[!-.0-9;-~]{1,15}$/.test(name) && name !== '.' && name !== '..';
}

export function interfaceIdentity(device: string, sysRoot = '/sys'): InterfaceIdentity {
  const number = interfaceNumber(device, sysRoot);
  if (number.state !== 'found') return number;
  try {
    return { ...number, kind: interfaceKind(join(sysRoot, 'class', 'net', device)) };
  } catch (error) {
    return unreadBecause(error);
  }
}

/** Read from sysfs, because the system call that translates names starts modprobe for one that is not there. */
export function interfaceNumber(device: string, sysRoot = '/sys'): InterfaceNumber {
  if (!isDeviceName(device)) return { state: 'unreadable', reason: 'not the name of a network interface' };
  try {
    const text = readWhole(join(sysRoot, 'class', 'net', device, 'ifindex'));
    if (/^[1-9]\d{0,9}$/.test(text)) return { state: 'found', ifindex: Number(text) };
    return { state: 'unreadable', reason: 'its ifindex is no number' };
  } catch (error) {
    return unreadBecause(error);
  }
}

/** What the error of a file of an interface says about it. */
export function unreadBecause(error: unknown): Unread {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENOTDIR') return { state: 'vanished' };
  return { state: 'unreadable', reason: code ?? message };
}

function interfaceKind(directory: string): InterfaceKind {
  const flags = join(directory, 'tun_flags');
  if (existsSync(flags)) return (Number(readWhole(flags)) & IFF_TAP) === 0 ? 'other' : 'tap';
  return existsSync(join(directory, 'macvtap')) ? 'macvtap' : 'other';
}

function readWhole(path: string): string {
  const fd = openSync(path, 'r');
  try {
    return readText(fd);
  } finally {
    closeSync(fd);
  }
}
