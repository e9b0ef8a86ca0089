/**
 * Which security module the host runs, and what of SELinux matters to guests: enforcing or permissive, the booleans of
 * the virt policy, the contexts that libvirt gives. Asked every cycle; no descriptor is kept, because an open file would
 * keep selinuxfs from being unmounted. The status page (one read of 20 bytes) tells whether anything has changed; only
 * then, and once a minute, is the rest read. Source: security/selinux/selinuxfs.c and ss/status.c.
 */
import { readSmallFile, type SmallFile } from '../proc/read-small.js';
import { type GuestContexts, readGuestContexts, readPolicyConfig } from './policy-files.js';
import { readProcessLabel } from './process-label.js';

export interface SecurityStatus extends GuestContexts {
  readonly model: 'selinux' | 'apparmor' | 'none';
  /** False: permissive. Null: no SELinux, or it cannot be told. */
  readonly enforcing: boolean | null;
  /** The loaded policy knows levels and categories. */
  readonly mls: boolean;
  /** Those that matter to guests, as far as the policy has them. */
  readonly booleans: Readonly<Record<string, boolean>>;
  /** Why there is no SELinux; null when there is. */
  readonly reason: string | null;
}

export interface SecurityStatusOptions {
  readonly selinuxfs?: string;
  readonly etc?: string;
  readonly securityfs?: string;
  readonly procRoot?: string;
  /** Monotonic, ms. */
  readonly now?: () => number;
}

/** What a guest may do beyond its own files, in the reference policy, Debian's and Fedora's. */
const BOOLEANS = [
  'virt_use_nfs',
  'virt_use_samba',
  'virt_use_fusefs',
  'virt_use_glusterd',
  'virt_use_execmem',
  'allow_execmem',
  'virt_use_sysfs',
  'virt_use_usb',
  'virt_use_comm',
  'virt_use_vfio',
  'virt_use_evdev',
  'virt_use_pcscd',
  'virt_use_rawip',
  'virt_use_sanlock',
  'virt_use_xserver',
  'virt_transition_userdomain',
] as const;

/** A changed file of the policy is not announced by the status page. */
const REREAD_AFTER_MS = 60_000;

/** The label of every process before a policy is loaded. */
const INITIAL_LABEL = 'kernel';

interface StatusPage {
  /** Changes with every change of mode, policy or booleans; odd while one is under way. */
  readonly sequence: number;
  readonly enforcing: boolean;
}

interface ReadAt {
  readonly sequence: number;
  readonly atMs: number;
}

export class SecurityStatusReader {
  readonly #selinuxfs: string;
  readonly #etc: string;
  readonly #securityfs: string;
  readonly #procRoot: string;
  readonly #now: () => number;
  /** Why a file could not be read now; null when all could. */
  #problem: string | null = null;
  #last: SecurityStatus | null = null;
  /** When `#last` was read, and what the status page said; null: it is to be read again. */
  #readAt: ReadAt | null = null;

  constructor(options: SecurityStatusOptions = {}) {
    this.#selinuxfs = options.selinuxfs ?? '/sys/fs/selinux';
    this.#etc = options.etc ?? '/etc/selinux';
    this.#securityfs = options.securityfs ?? '/sys/kernel/security';
    this.#procRoot = options.procRoot ?? '/proc';
    this.#now = options.now ?? (() => performance.now());
  }

  /** Never throws. The same object as long as nothing has changed. When it cannot be told now, what was last known. */
  read(): SecurityStatus {
    this.#problem = null;
    const { status, readAt } = this.#look();
    if (this.#problem !== null) {
      this.#readAt = null;
      return this.#last ?? without('none', `cannot be told now: ${this.#problem}`);
    }
    this.#readAt = readAt;
    if (this.#last === null || JSON.stringify(this.#last) !== JSON.stringify(status)) this.#last = status;
    return this.#last;
  }

  #look(): { readonly status: SecurityStatus; readonly readAt: ReadAt | null } {
    const fileSystems = this.#file(`${this.#procRoot}/filesystems`);
    // The kernel has this file system when, and only when, SELinux was not switched off at boot.
    const inKernel = fileSystems.kind === 'text' && /\tselinuxfs$/m.test(fileSystems.text);
    if (!inKernel) return { status: this.#withoutSelinux(), readAt: null };
    const file = this.#file(`${this.#selinuxfs}/status`);
    if (file.kind === 'gone') return { status: without('none', this.#unmountedReason()), readAt: null };
    const page = parsePage(file);
    const atMs = this.#now();
    const fresh = this.#readAt !== null && atMs - this.#readAt.atMs < REREAD_AFTER_MS;
    if (this.#last !== null && fresh && page !== null && page.sequence === this.#readAt?.sequence) {
      return { status: this.#last, readAt: this.#readAt };
    }
    const settled = page !== null && page.sequence % 2 === 0;
    return { status: this.#withSelinux(page), readAt: settled ? { sequence: page.sequence, atMs } : null };
  }

  #withSelinux(page: StatusPage | null): SecurityStatus {
    const config = readPolicyConfig(this.#etc, this.#file);
    if (readProcessLabel(this.#procRoot, 'self') === INITIAL_LABEL) {
      return without('none', config.mode === 'disabled' ? this.#disabledReason() : 'SELinux has no policy loaded');
    }
    return {
      model: 'selinux',
      enforcing: page?.enforcing ?? booleanOf(this.#file(`${this.#selinuxfs}/enforce`)),
      mls: booleanOf(this.#file(`${this.#selinuxfs}/mls`)) ?? false,
      booleans: this.#booleans(),
      ...readGuestContexts(this.#etc, config.policy, this.#file),
      reason: null,
    };
  }

  /** Each file is `current pending`. */
  #booleans(): Readonly<Record<string, boolean>> {
    return Object.fromEntries(
      BOOLEANS.flatMap((name) => {
        const value = booleanOf(this.#file(`${this.#selinuxfs}/booleans/${name}`));
        return value === null ? [] : [[name, value]];
      }),
    );
  }

  #withoutSelinux(): SecurityStatus {
    if (this.#hasAppArmor()) return without('apparmor', 'AppArmor is the active security module');
    const { mode } = readPolicyConfig(this.#etc, this.#file);
    if (mode === null) return without('none', 'this host has no SELinux');
    if (mode === 'disabled') return without('none', this.#disabledReason());
    return without('none', `the kernel runs without SELinux, though ${this.#etc}/config says ${mode}`);
  }

  #hasAppArmor(): boolean {
    const modules = this.#file(`${this.#securityfs}/lsm`);
    if (modules.kind === 'text') return modules.text.trim().split(',').includes('apparmor');
    // securityfs is not mounted: how the label of a process is written tells it too.
    const label = readProcessLabel(this.#procRoot, 'self');
    return label !== null && /^unconfined$| \((?:enforce|complain|mixed|kill|unconfined|user)\)$/.test(label);
  }

  #unmountedReason(): string {
    const disabled = readPolicyConfig(this.#etc, this.#file).mode === 'disabled';
    return disabled ? this.#disabledReason() : `SELinux cannot be read: no selinuxfs is mounted at ${this.#selinuxfs}`;
  }

  #disabledReason(): string {
    return `SELinux is disabled in ${this.#etc}/config`;
  }

  readonly #file = (path: string): SmallFile => {
    const file = readSmallFile(path);
    if (file.kind === 'unknown') this.#problem = file.reason;
    return file;
  };
}

function without(model: 'apparmor' | 'none', reason: string): SecurityStatus {
  const nothing = { guestContext: null, guestTypes: [], imageTypes: [] };
  return { model, enforcing: null, mls: false, booleans: {}, ...nothing, reason };
}

/** Words of 32 bits in the byte order of the host: version, sequence, enforcing, policyload, deny_unknown. */
function parsePage(file: SmallFile): StatusPage | null {
  if (file.kind !== 'text' || file.text.length < 12) return null;
  const bytes = Uint8Array.from(Buffer.from(file.text.slice(0, 12), 'latin1'));
  const [, sequence = 0, enforcing = 0] = new Uint32Array(bytes.buffer);
  return { sequence, enforcing: enforcing !== 0 };
}

function booleanOf(file: SmallFile): boolean | null {
  if (file.kind !== 'text') return null;
  const [word] = file.text.trim().split(/\s+/);
  return word === '1' ? true : word === '0' ? false : null;
}
