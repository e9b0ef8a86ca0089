/**
 * Every value that virtslad knows in cgroup directories, by v2's name. Other files can be read as they are and never
 * written.
 */
import { type Codec, type GroupFile, setting, statistic } from './codec.js';
import { CPU_FILES } from './cpu-files.js';
import { IO_FILES } from './io-files.js';
import { MEMORY_FILES } from './memory-files.js';

/** CPU lists as the kernel prints them, `0-3,8`; nothing stands for those of the group above. A write of nothing is none. */
const CPUSET_FILES: Readonly<Record<string, Codec>> = {
  'cpuset.cpus': withEmpty(
    setting({
      names: { v1: 'cpuset.cpus', v2: 'cpuset.cpus' },
      isValue: (text) => /^(?:\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)?$/.test(text),
    }),
  ),
  'cpuset.cpus.effective': statistic({ v1: 'cpuset.effective_cpus', v2: 'cpuset.cpus.effective' }),
};

function withEmpty(codec: Codec): Codec {
  return {
    ...codec,
    steps: (at, text) => codec.steps?.(at, text)?.map((step) => ({ ...step, text: step.text || '\n' })) ?? null,
  };
}

const CODECS: ReadonlyMap<string, Codec> = new Map(
  Object.entries({ ...CPU_FILES, ...MEMORY_FILES, ...IO_FILES, ...CPUSET_FILES }),
);

export function codecOf(file: string): Codec | null {
  return CODECS.get(file) ?? null;
}

/** Canonical text; null when it cannot be read, or this version has no such value. */
export function readValue(at: GroupFile): string | null {
  const codec = CODECS.get(at.file);
  return codec === undefined ? at.group.readOnce(at.file) : codec.read(at);
}

/** The kernel's files in which a value stands; none where the version has no such value. */
export function kernelFiles(file: string, version: 1 | 2): readonly string[] {
  return CODECS.get(file)?.kernelFiles(version) ?? [file];
}

/** False only when the group is there and the kernel offers no such value in it. */
export function offersValue({ group, file, version }: GroupFile): boolean {
  const names = kernelFiles(file, version);
  return names.length > 0 && names.every((name) => group.offers(name));
}
