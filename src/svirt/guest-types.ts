/**
 * SELinux types that matter to the audit. Sources: refpolicy (policy/modules/services/virt.te and virt.if), Fedora's
 * selinux-policy, container-selinux.
 */

/** Types made for guests: of the attribute virt_domain, constrained by MCS. */
export const GUEST_TYPES: readonly string[] = [
  'svirt_t',
  'svirt_tcg_t',
  'svirt_prot_exec_t',
  'svirt_kvm_net_t',
  'svirt_qemu_net_t',
];

/** Types that a guest may write, if MCS lets it: each guest type of refpolicy comes with one. */
export const IMAGE_TYPES: readonly string[] = ['svirt_image_t', 'svirt_prot_exec_image_t'];

/** Types that a guest may only read. */
export const CONTENT_TYPES: readonly string[] = ['virt_content_t'];

/** One label for all files of a mount: the file system keeps none, booleans such as virt_use_nfs let all guests in. */
const ONE_LABEL_TYPES: ReadonlySet<string> = new Set([
  'nfs_t',
  'cifs_t',
  'fusefs_t',
  'cephfs_t',
  'dosfs_t',
  'iso9660_t',
]);

/**
 * Types that confine no guest: policy lets them do nearly all (those of services and logins that are not confined, of
 * the kernel and of init), or makes them the masters of all guests (those of libvirt), and MCS binds none of them.
 */
const UNCONFINED_TYPES: ReadonlySet<string> = new Set([
  'container_runtime_t',
  'crond_t',
  'init_t',
  'initrc_t',
  'kernel_t',
  'rpm_t',
  'spc_t',
  'sshd_t',
  'staff_t',
  'sysadm_t',
  'system_cronjob_t',
  'unlabeled_t',
  'user_t',
  'virsh_t',
  'virtd_lxc_t',
  'virtd_t',
  'virtlockd_t',
  'virtlogd_t',
  'virtproxyd_t',
  'virtqemud_t',
]);

/** Any `*unconfined*` too: unconfined_t, unconfined_service_t, unconfined_qemu_t. */
export function isUnconfinedType(type: string): boolean {
  return UNCONFINED_TYPES.has(type) || type.includes('unconfined');
}

export function isOneLabelType(type: string): boolean {
  return ONE_LABEL_TYPES.has(type);
}
