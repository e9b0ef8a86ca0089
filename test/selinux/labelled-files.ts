/** Files that wear `security.selinux`, which the kernel keeps for root without SELinux too. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readLabel, writeLabel } from '../../src/host/selinux/xattr.js';

export const IMAGE = 'system_u:object_r:svirt_image_t:s0';

export class LabelledFiles {
  readonly root = mkdtempSync(join(tmpdir(), 'virtslad-labels-'));

  path(name: string): string {
    return join(this.root, name);
  }

  /** Null: without a label. */
  file(name: string, label: string | null): string {
    const path = this.path(name);
    writeFileSync(path, '');
    if (label !== null) {
      const set = writeLabel(path, label);
      if (!set.ok) throw new Error(`${path}: ${set.reason}`);
    }
    return path;
  }

  label(name: string): string | null {
    return readLabel(this.path(name)).label;
  }

  close(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Why labels cannot be set here; false when they can. */
export function whyNoLabels(): string | false {
  if (process.getuid?.() !== 0) return 'security.selinux is set by root alone';
  const files = new LabelledFiles();
  try {
    files.file('probe', IMAGE);
    return false;
  } catch (error) {
    return `no label can be set in ${tmpdir()}: ${(error as Error).message}`;
  } finally {
    files.close();
  }
}
