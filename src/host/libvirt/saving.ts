/**
 * Saving a guest's memory to disk and restoring it: the calls that may take minutes, and what goes with them. Each is made on
 * a thread and a connection of its own, with the deadline that the caller chooses, so that no other guest waits for it. While
 * one of them is under way, or has overrun and not come back, a further one about the same guest is refused `quarantined`,
 * but for `abortJob`; when it has come back after all, `recovered` is emitted. A tune of the guest waits for the save, and is
 * itself a `timeout` then: leave it alone for that time. Facts, and calls about its definition, do not wait.
 *
 * What libvirt does, as seen with libvirt 9.0 and QEMU 7.2:
 * - The guest stands still from the beginning of the save (event `suspended`), and is gone at its end (`stopped`, detail 4).
 *   A start that restores says `started` with detail 2; one that boots, detail 0.
 * - The image is `/var/lib/libvirt/qemu/save/NAME.save`, root's alone, as large as the memory that is not zeros. libvirt takes
 *   it away when the guest runs again, and keeps it whenever a start fails: a label that the host refuses, a disk that is not
 *   there, an image cut short, QEMU killed, libvirtd killed (QEMU goes with it). The same start may be made again.
 * - It has labels of its own, which count at the restore: the definition's do not. It names a static label, a baselabel or
 *   none; nothing stands for a plain dynamic one, which is then picked anew.
 * - A save that is aborted, or finds no space, leaves no image and lets the guest go on. So it is with one whose storage hangs,
 *   only that neither the abort nor the save comes back until the storage does, and the guest stands still for as long.
 * - Is libvirtd killed in the middle of a save, the guest stands still until it is back, and goes on then. A part of an image
 *   stays: `hasManagedSave` says that there is one, `managedSaveXml` that it is incomplete. A start takes no notice of
 *   such an image and boots: the memory is lost if the guest was off. So a start is told whether to restore only.
 * - Who else starts the guest (`virsh start`, autostart after a boot of the host) restores it too, with the label that the image
 *   has then. To undefine or rename it is refused while there is an image. `virsh start --force-boot` and
 *   `managedsave-remove` throw the memory away.
 *
 * Whatever the outcome, ask then what is true: `list` or `facts` for whether the guest runs, `managedSaveXml` for the image.
 */
import type { DomainSeclabel } from '../../domains/types.js';
import type { LibvirtOutcome } from './client.js';

export interface SaveOptions {
  /** True: the guest is restored paused, whatever it was. False: it is restored as it was. */
  readonly paused: boolean;
  /**
   * After this the job is aborted and the guest goes on where it was. The guest stands still from the beginning, so that this
   * bounds half of its downtime.
   */
  readonly abortAfterMs: number;
  /** Aborts it before that. */
  readonly signal?: AbortSignal;
}

export interface StartOptions {
  /** It does not run until somebody resumes it. */
  readonly paused: boolean;
  /** Only if there is a whole image to restore; otherwise `refused`, and the guest stays off. */
  readonly restoreOnly?: boolean;
  readonly deadlineMs: number;
}

/** What the saved image of a guest says of its labels. */
export interface SavedImage {
  readonly seclabels: readonly DomainSeclabel[];
}

export interface LibvirtSaving {
  /**
   * virDomainManagedSave. Outcomes: ok, the guest is off and its image kept; `timeout`, aborted because it overran or by the
   * signal, and the guest goes on, unless `status().quarantined` has it: then it has not come back yet; `refused` for a guest
   * that cannot be saved, which goes on; `vanished` for one that ended meanwhile.
   */
  managedSave(uuid: string, id: number, options: SaveOptions): Promise<LibvirtOutcome<null>>;
  /** virDomainAbortJob, whoever began it: a save is called off, a start cannot be. `refused` when there is none. */
  abortJob(uuid: string): Promise<LibvirtOutcome<null>>;
  hasManagedSave(uuid: string): Promise<LibvirtOutcome<boolean>>;
  /** What the image has; `refused` when there is none, or it is not whole. Of its memory nothing is looked at. */
  managedSaveXml(uuid: string): Promise<LibvirtOutcome<SavedImage>>;
  /** Changes the `<seclabel>` for SELinux in the image and reads it back; `text` as for the TuneCall. */
  managedSaveDefine(uuid: string, text: string): Promise<LibvirtOutcome<null>>;
  /**
   * virDomainCreateWithFlags: restores what was saved, else boots. Gives libvirt's id of the instance. `refused` when the guest
   * runs already. A start that overruns cannot be called off.
   */
  startGuest(uuid: string, options: StartOptions): Promise<LibvirtOutcome<number>>;
  /** virDomainSuspend; ok when it is paused already. */
  suspend(uuid: string, id: number): Promise<LibvirtOutcome<null>>;
  /** virDomainResume; ok when it runs already. */
  resume(uuid: string, id: number): Promise<LibvirtOutcome<null>>;
}
