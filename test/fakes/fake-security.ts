/**
 * Security labels in memory: what the host's security module, its processes and its files say, settable, with faults.
 * The same ports as src/host/selinux answers from the kernel.
 *
 *     const host = new FakeSecurity();                       // SELinux, enforcing
 *     host.setProcessLabel(4711, 'system_u:system_r:svirt_t:s0:c1,c2');
 *     host.files.set('/images/a.img', 'system_u:object_r:svirt_image_t:s0:c1,c2');
 *     host.files.setProblem('/nfs/b.img', 'timeout');
 *     host.security.read(); host.processLabel(4711); await host.files.read(['/images/a.img']);
 */
import type { FileLabel, FileLabelProblem } from '../../src/host/selinux/file-labels.js';
import type {
  FileLabelReader,
  FileLabelStatus,
  ImageRelabeler,
  ProcessLabelReader,
  SecurityReader,
} from '../../src/host/selinux/ports.js';
import type { RelabelFailure, RelabelOutcome, RelabelRequest } from '../../src/host/selinux/relabel-image.js';
import type { SecurityStatus } from '../../src/host/selinux/status.js';

/** SELinux enforcing, with the types and some booleans of the reference policy. */
export const ENFORCING: SecurityStatus = {
  model: 'selinux',
  enforcing: true,
  mls: true,
  booleans: { virt_use_nfs: false, virt_use_samba: false, virt_use_execmem: true },
  guestContext: 'system_u:system_r:svirt_t:s0',
  guestTypes: ['svirt_t', 'svirt_tcg_t'],
  imageTypes: ['svirt_image_t', 'virt_content_t'],
  reason: null,
};

export const NO_SELINUX: SecurityStatus = {
  model: 'none',
  enforcing: null,
  mls: false,
  booleans: {},
  guestContext: null,
  guestTypes: [],
  imageTypes: [],
  reason: 'this host has no SELinux',
};

export const APPARMOR: SecurityStatus = {
  ...NO_SELINUX,
  model: 'apparmor',
  reason: 'AppArmor is the active security module',
};

export class FakeSecurity {
  readonly files = new FakeFileLabels();
  readonly pidsAsked: number[] = [];
  readonly #labels = new Map<number, string>();
  #status: SecurityStatus;

  constructor(status: SecurityStatus = ENFORCING) {
    this.#status = status;
  }

  readonly security: SecurityReader = { read: () => this.#status };

  readonly processLabel: ProcessLabelReader = (pid) => {
    this.pidsAsked.push(pid);
    return this.#labels.get(pid) ?? null;
  };

  setStatus(change: Partial<SecurityStatus>): void {
    this.#status = { ...this.#status, ...change };
  }

  /** Null: the process has gone, or no module answers. */
  setProcessLabel(pid: number, label: string | null): void {
    if (label === null) this.#labels.delete(pid);
    else this.#labels.set(pid, label);
  }
}

export class FakeFileLabels implements FileLabelReader, ImageRelabeler {
  /** One entry per read(). */
  readonly reads: (readonly string[])[] = [];
  readonly relabels: RelabelRequest[] = [];
  closed = false;
  /** What is said of files that nobody has set. */
  others: FileLabelProblem = 'missing';
  readonly #files = new Map<string, Omit<FileLabel, 'path'>>();
  readonly #faults = new Map<string, { readonly outcome: RelabelOutcome; times: number }>();
  #held: Promise<void> = Promise.resolve();

  /** Null: the file is there and wears no label. */
  set(path: string, label: string | null): void {
    this.#files.set(path, { label, problem: null });
  }

  setProblem(path: string, problem: FileLabelProblem): void {
    this.#files.set(path, { label: null, problem });
  }

  remove(path: string): void {
    this.#files.delete(path);
  }

  labelOf(path: string): string | null {
    return this.#files.get(path)?.label ?? null;
  }

  /** The next `times` relabels of this path fail so, and change nothing. */
  failRelabel(path: string, code: RelabelFailure, times = 1): void {
    this.#faults.set(path, { outcome: { ok: false, code, reason: `scripted: ${code}` }, times });
  }

  /** What is asked from now on waits until the function given back is called. */
  hold(): () => void {
    let release: () => void = () => undefined;
    this.#held = new Promise((resolve) => {
      release = resolve;
    });
    return release;
  }

  async read(paths: readonly string[]): Promise<readonly FileLabel[]> {
    this.reads.push(paths);
    await this.#held;
    return paths.map((path) => ({ path, ...(this.#files.get(path) ?? { label: null, problem: this.others }) }));
  }

  async relabel(request: RelabelRequest): Promise<RelabelOutcome> {
    this.relabels.push(request);
    await this.#held;
    const { path, label, allowedTypes, expected } = request;
    const fault = this.#faults.get(path);
    if (fault !== undefined && fault.times-- > 0) return fault.outcome;
    const { label: from = null, problem = 'missing' } = this.#files.get(path) ?? {};
    if (problem !== null) return failure(problem === 'unreadable' ? 'failed' : problem, `${path}: ${problem}`);
    if (from === null) return failure('refused', `${path} wears no label`);
    const foreign = [from, label].find((text) => !allowedTypes.includes(text.split(':')[2] ?? ''));
    if (foreign !== undefined) return failure('refused', `${foreign} is of a type that is not allowed`);
    if (expected !== undefined && expected !== from) return failure('refused', `${path} wears ${from}`);
    this.set(path, label);
    return { ok: true, from, to: label };
  }

  status(): FileLabelStatus {
    const hung = [...this.#files].filter(([, { problem }]) => problem === 'timeout').map(([path]) => path);
    return { abandoned: Math.min(hung.length, 4), hung };
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

function failure(code: RelabelFailure, reason: string): RelabelOutcome {
  return { ok: false, code, reason };
}
