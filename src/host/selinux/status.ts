/**
 * Which security module the host runs, and what of SELinux matters to guests: enforcing or permissive, the booleans of
 * the virt policy, the contexts that libvirt gives. Asked every cycle, so the whole is read only when the kernel says
 * that something has changed. Source: security/selinux/selinuxfs.c, include/linux/selinux_netlink (status page),
 * libvirt's security_selinux.c.
 */

export interface SecurityStatus {
  readonly model: 'selinux' | 'apparmor' | 'none';
  /** False: permissive. Null: no SELinux, or it cannot be told. */
  readonly enforcing: boolean | null;
  /** The loaded policy knows levels and categories. */
  readonly mls: boolean;
  /** Those that matter to guests, as far as the policy has them. */
  readonly booleans: Readonly<Record<string, boolean>>;
  /** First line of contexts/virtual_domain_context: what libvirt gives a KVM guest. */
  readonly guestContext: string | null;
  /** Types of all its lines. */
  readonly guestTypes: readonly string[];
  /** Types of contexts/virtual_image_context. */
  readonly imageTypes: readonly string[];
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

export class SecurityStatusReader {
  readonly #options: SecurityStatusOptions;

  constructor(options: SecurityStatusOptions = {}) {
    this.#options = options;
  }

  read(): SecurityStatus {
    void this.#options;
    throw new Error('not written yet');
  }
}
