/**
 * What the installed policy says about guests, from /etc/selinux: its mode and name from `config`, the contexts that
 * libvirt gives guests and images from `contexts/`. Source: selinux_config(5), selinux_virtual_domain_context_path(3),
 * libvirt's security_selinux.c.
 */
import type { SmallFile } from '../proc/read-small.js';

export type ReadFile = (path: string) => SmallFile;

export interface PolicyConfig {
  /** `enforcing`, `permissive`, `disabled`: what is wanted at the next boot. Null: no such file or line. */
  readonly mode: string | null;
  /** `default`, `targeted`: the folder of the policy. */
  readonly policy: string;
}

export interface GuestContexts {
  /** First line of virtual_domain_context: what libvirt gives a KVM guest. */
  readonly guestContext: string | null;
  /** Types of all its lines. */
  readonly guestTypes: readonly string[];
  /** Types of virtual_image_context. */
  readonly imageTypes: readonly string[];
}

/** What libselinux takes when the file names none. */
const POLICY_DEFAULT = 'targeted';

export function readPolicyConfig(etc: string, read: ReadFile): PolicyConfig {
  const text = textOf(read(`${etc}/config`));
  const mode = /^[ \t]*SELINUX[ \t]*=[ \t]*(\w+)/m.exec(text)?.[1]?.toLowerCase() ?? null;
  const policy = /^[ \t]*SELINUXTYPE[ \t]*=[ \t]*(\S+)/m.exec(text)?.[1] ?? POLICY_DEFAULT;
  // It becomes part of a path.
  return { mode, policy: /^\w[\w.-]*$/.test(policy) ? policy : POLICY_DEFAULT };
}

export function readGuestContexts(etc: string, policy: string, read: ReadFile): GuestContexts {
  const guests = contextsOf(textOf(read(`${etc}/${policy}/contexts/virtual_domain_context`)));
  const images = contextsOf(textOf(read(`${etc}/${policy}/contexts/virtual_image_context`)));
  return {
    guestContext: guests[0]?.text ?? null,
    guestTypes: [...new Set(guests.map(({ type }) => type))],
    imageTypes: [...new Set(images.map(({ type }) => type))],
  };
}

/** One `user:role:type[:range]` a line; what is none is left out. */
function contextsOf(text: string): { readonly text: string; readonly type: string }[] {
  return text.split('\n').flatMap((line) => {
    const [context, type] = /^[\w.-]+:[\w.-]+:([\w.-]+)(?::\S+)?$/.exec(line.trim()) ?? [];
    return context === undefined || type === undefined ? [] : [{ text: context, type }];
  });
}

function textOf(file: SmallFile): string {
  return file.kind === 'text' ? file.text : '';
}
