/**
 * The label that a guest is started under, with its pair out of the register that the daemon shares, and what its images
 * need for it.
 */
import { VirtsladError } from './errors.js';
import { categoriesInUse } from './host/launch/labels-in-use.js';
import { FileLabels } from './host/selinux/file-labels.js';
import type { FileLabelReader, ImageRelabeler } from './host/selinux/ports.js';
import { type SecurityStatus, SecurityStatusReader } from './host/selinux/status.js';
import { type ChosenLabel, chooseLabel, classValue, imageLabel, labelWith } from './launch/choose-label.js';
import { writableImages, wrongImage } from './launch/images.js';
import type { LaunchRequest } from './launch/request.js';
import type { EffectiveClass } from './policy/types.js';
import type { LabelRegister, Launched } from './reconcile/labels/register.js';

export interface LabelParts {
  readonly status: () => SecurityStatus;
  readonly inUse: () => ReturnType<typeof categoriesInUse>;
  readonly files: FileLabelReader & ImageRelabeler;
}

export function labelParts(procRoot: string): LabelParts {
  return {
    status: () => new SecurityStatusReader({ procRoot }).read(),
    inUse: () => categoriesInUse(procRoot),
    files: new FileLabels(),
  };
}

export interface GivenLabel {
  /** Null: none, the policy's own choice. */
  readonly label: string | null;
  readonly notes: readonly string[];
}

export interface LabelAsk {
  readonly uuid: string;
  readonly name: string;
  readonly effective: EffectiveClass;
  readonly request: LaunchRequest;
  readonly launched: Launched;
  readonly workingDirectory: string;
}

/** Says in the register who is started, with a pair or without. @throws VirtsladError LAUNCH_LABEL */
export async function giveLabel(
  ask: LabelAsk,
  register: LabelRegister,
  parts: LabelParts,
): Promise<GivenLabel & { readonly chosen: ChosenLabel }> {
  const { uuid, name, effective, request, launched } = ask;
  const chosen = chooseLabel(parts.status(), effective, request.usesKvm);
  if (chosen.kind === 'refused') throw new VirtsladError(chosen.problem);
  if (chosen.kind === 'none') {
    await register.note(uuid, name, { by: 'launch', launched });
    return { label: null, notes: [chosen.note], chosen };
  }
  const { base, pool, lasting, notes } = chosen;
  const assignee = { by: 'launch', type: base.type, launched, lasting } as const;
  const pair = await register.assign(uuid, name, pool, parts.inUse(), assignee);
  if (pair !== null) return { label: labelWith(base, pair), notes, chosen };
  const where = effective.values.get('svirt.categories')?.source;
  throw new VirtsladError({
    code: 'LAUNCH_LABEL',
    message: `class ${effective.name} has no free pair of categories left`,
    ...(where && { where }),
    fix: 'give the class more categories, or end guests that have some',
  });
}

/** @throws VirtsladError LAUNCH_IMAGE */
export async function readyImages(
  ask: LabelAsk,
  given: GivenLabel & { readonly chosen: ChosenLabel },
  register: LabelRegister,
  parts: LabelParts,
): Promise<readonly string[]> {
  const pair = register.pairOf(ask.uuid);
  const paths = writableImages(ask.request.command.disks, ask.workingDirectory);
  const mode = classValue<'verify' | 'relabel'>(ask.effective, 'svirt.images');
  if (given.chosen.kind !== 'label' || given.label === null || pair === null || mode === null || paths.length === 0)
    return [];
  const { imageTypes } = parts.status();
  const wanted = imageLabel(given.chosen.base, imageTypes[0] ?? 'svirt_image_t', pair);
  if (mode === 'relabel') {
    for (const path of paths) await relabel(path, wanted, imageTypes, parts);
    return [];
  }
  const wrong = (await parts.files.read(paths)).flatMap((label) => wrongImage(label, wanted) ?? []);
  const required = classValue<boolean>(ask.effective, 'svirt.required') === true;
  if (wrong.length === 0) return [];
  if (!required) return wrong.map(({ message, fix }) => `${message}; ${fix}`);
  throw new VirtsladError(
    wrong.map(({ message, path, fix }) => ({ code: 'LAUNCH_IMAGE' as const, message, where: path, fix })),
  );
}

/** Types that an image may be given, or taken from: those of guests, and where distributions keep images. */
const STORED = ['svirt_image_t', 'virt_content_t', 'virt_image_t', 'virt_var_lib_t'];

async function relabel(path: string, wanted: string, imageTypes: readonly string[], parts: LabelParts): Promise<void> {
  const allowedTypes = [...new Set([...imageTypes, ...STORED])];
  const outcome = await parts.files.relabel({ path, label: wanted, allowedTypes });
  // A file system without labels is let in or not by a boolean of the policy.
  if (outcome.ok || outcome.code === 'unsupported') return;
  throw new VirtsladError({
    code: 'LAUNCH_IMAGE',
    message: `an image cannot be given the label ${wanted}: ${outcome.reason}`,
    where: path,
    fix: 'put the image where guests keep theirs, named without symbolic links, or choose svirt.images: verify',
  });
}
