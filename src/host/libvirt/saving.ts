/**
 * Saving a guest's memory to disk and restoring it: the calls that may take minutes, and what goes with them. Each is made on
 * a thread and a connection of its own, with the deadline that the caller chooses, so that no other guest waits for it. While
 * one of them is under way, or has overrun and not come back, a further one about the same guest is refused `quarantined`,
 * but for `abortJob`; when it has come back after all, `recovered` is emitted.
 *
 * Whatever the outcome, ask then what is true: `list` or `facts` for whether the guest runs, `hasManagedSave` for the image.
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
  readonly deadlineMs: number;
}

/** What the saved image of a guest says of its labels. */
export interface SavedImage {
  readonly seclabels: readonly DomainSeclabel[];
}

export interface LibvirtSaving {
  /**
   * virDomainManagedSave. Outcomes: ok, the guest is off and its image kept; `timeout`, aborted in time or by the signal and
   * running on, unless the message says that it has not come back; else as for any call: `refused` for a guest that cannot
   * be saved, which runs on.
   */
  managedSave(uuid: string, id: number, options: SaveOptions): Promise<LibvirtOutcome<null>>;
  /** virDomainAbortJob, of whoever began it. `refused` when there is none. */
  abortJob(uuid: string): Promise<LibvirtOutcome<null>>;
  hasManagedSave(uuid: string): Promise<LibvirtOutcome<boolean>>;
  /** What the image has; `refused` when there is none, or it cannot be read. */
  managedSaveXml(uuid: string): Promise<LibvirtOutcome<SavedImage>>;
  /** Changes the `<seclabel>` for SELinux in the image and reads it back; `text` as for the TuneCall. */
  managedSaveDefine(uuid: string, text: string): Promise<LibvirtOutcome<null>>;
  /**
   * virDomainCreateWithFlags. @returns libvirt's id of the instance. Refused when the guest runs already. A start that overruns
   * cannot be called off.
   */
  startGuest(uuid: string, options: StartOptions): Promise<LibvirtOutcome<number>>;
  /** virDomainSuspend; ok when it is paused already. */
  suspend(uuid: string, id: number): Promise<LibvirtOutcome<null>>;
  /** virDomainResume; ok when it runs already. */
  resume(uuid: string, id: number): Promise<LibvirtOutcome<null>>;
}
