/**
 * One network interface of the host: whether a name can be one, which device it is now, and of what kind.
 * Names are reused from guest to guest, numbers are not: the ifindex tells one `vnet0` from the next.
 * Sources: dev_valid_name (net/core/dev.c), Documentation/ABI/testing/sysfs-class-net, drivers/net/tun.c (tun_flags),
 * drivers/net/macvtap.c (a macvtap has a character device of class `macvtap` below it).
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What comes from the guest is received on a tap, and sent on a macvtap. */
export type InterfaceKind = 'tap' | 'macvtap' | 'other';

export type InterfaceIdentity =
  | { readonly state: 'found'; readonly ifindex: number; readonly kind: InterfaceKind }
  | { readonly state: 'vanished' }
  | { readonly state: 'unreadable'; readonly reason: string };

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
  if (!isDeviceName(device)) return { state: 'unreadable', reason: 'not the name of a network interface' };
  const directory = join(sysRoot, 'class', 'net', device);
  try {
    const ifindex = parseIfindex(readFileSync(join(directory, 'ifindex'), 'latin1'));
    if (ifindex === null) return { state: 'unreadable', reason: 'its ifindex is no number' };
    return { state: 'found', ifindex, kind: interfaceKind(directory) };
  } catch (error) {
    return vanishedOrUnreadable(error);
  }
}

/** The kernel counts them from 1; null for anything else. */
export function parseIfindex(text: string): number | null {
  return /^[1-9]\d{0,9}\n?$/.test(text) ? Number(text) : null;
}

/** A device that goes while it is read answers ENOENT, ENODEV, or, for some files, EINVAL. */
export function vanishedOrUnreadable(error: unknown): Exclude<InterfaceIdentity, { state: 'found' }> {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENOTDIR') return { state: 'vanished' };
  return { state: 'unreadable', reason: code ?? message };
}

function interfaceKind(directory: string): InterfaceKind {
  const flags = join(directory, 'tun_flags');
  if (existsSync(flags)) return (Number(readFileSync(flags, 'latin1')) & IFF_TAP) === 0 ? 'other' : 'tap';
  return existsSync(join(directory, 'macvtap')) ? 'macvtap' : 'other';
}
