/**
 * What kind of host this is, for `virtsla_host_info`: read once at the start, by systeminformation, which runs a score
 * of small programs, some of them synchronously (`hostname -f` asks DNS). So it works in a thread of its own that has a
 * deadline; what it does not tell in time, node:os does or nobody. Never throws.
 */
import os from 'node:os';
import { Worker } from 'node:worker_threads';

export const HOST_FACT_NAMES = [
  'arch',
  'cpu_cores',
  'cpu_model',
  'cpu_sockets',
  'cpu_threads',
  'distro',
  'kernel',
  'machine',
] as const;

export type HostFactName = (typeof HOST_FACT_NAMES)[number];

/** Always all names; empty where the host does not tell. */
export type StaticHostFacts = Readonly<Record<HostFactName, string>>;

/** As much of systeminformation's answers as is used; null for a question that failed. */
export interface SystemAnswers {
  readonly cpu: {
    readonly manufacturer: string;
    readonly brand: string;
    readonly cores: number;
    readonly physicalCores: number;
    readonly processors: number;
  } | null;
  readonly osInfo: { readonly distro: string; readonly release: string } | null;
  readonly system: { readonly manufacturer: string; readonly model: string } | null;
}

export interface HostFactsOptions {
  readonly deadlineMs?: number;
  /** Default: the thread. Aborted at the deadline. */
  readonly ask?: (signal: AbortSignal) => Promise<SystemAnswers>;
}

export async function readHostFacts(options: HostFactsOptions = {}): Promise<StaticHostFacts> {
  const ask = options.ask ?? askInThread;
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), options.deadlineMs ?? 10_000);
  const tooLate = new Promise<null>((resolve) => {
    deadline.signal.addEventListener('abort', () => resolve(null), { once: true });
  });
  try {
    const answers = await Promise.race([ask(deadline.signal).catch(() => null), tooLate]);
    return factsOf(answers);
  } finally {
    clearTimeout(timer);
    deadline.abort();
  }
}

function factsOf(answers: SystemAnswers | null): StaticHostFacts {
  const { cpu, osInfo, system } = answers ?? { cpu: null, osInfo: null, system: null };
  const known = os.cpus();
  return {
    arch: os.machine(),
    cpu_cores: count(cpu?.physicalCores),
    cpu_model: words(cpu?.manufacturer, cpu?.brand) || (known[0]?.model ?? ''),
    cpu_sockets: count(cpu?.processors),
    cpu_threads: count(cpu?.cores) || count(known.length),
    distro: words(osInfo?.distro, osInfo?.release),
    kernel: os.release(),
    machine: words(system?.manufacturer, system?.model),
  };
}

function count(value: number | undefined): string {
  return value !== undefined && Number.isInteger(value) && value > 0 ? String(value) : '';
}

/** Joined, without what is missing, `unknown` or said twice (`Dell Dell R640`). */
function words(...parts: readonly (string | undefined)[]): string {
  const [first = '', second = ''] = parts.map((part) => (part === undefined || part === 'unknown' ? '' : part.trim()));
  return second.startsWith(first) ? second : `${first} ${second}`.trim();
}

function askInThread(signal: AbortSignal): Promise<SystemAnswers> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./host-facts-worker.js', import.meta.url), { stdout: true, stderr: true });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('the thread ended without an answer')));
    // A thread that hangs in a synchronous call must not keep the process alive either.
    worker.unref();
    signal.addEventListener('abort', () => void worker.terminate(), { once: true });
  });
}
