/**
 * How the kernel reads what is written to cgroup files: lib/kstrtox.c, lib/cmdline.c (memparse), lib/vsprintf.c (sscanf)
 * and lib/bitmap-str.c (CPU lists), with their errno.
 */

const U64 = 2n ** 64n;
const SPACE = /[\s]/;

export interface KernelError extends Error {
  readonly code: string;
}

export function kernelError(code: string, doing = 'write'): KernelError {
  return Object.assign(new Error(`${code}: the emulated kernel refused, ${doing}`), { code, syscall: doing });
}

export function strip(text: string): string {
  return text.replace(/^\s+|\s+$/g, '');
}

/** kstrtoull(text, 0): a `+`, digits of one base, one line feed at most. */
export function strictUnsigned(text: string): bigint {
  return strictDigits(text.startsWith('+') ? text.slice(1) : text);
}

/** kstrtoll(text, 0). */
export function strictSigned(text: string): bigint {
  const negative = text.startsWith('-');
  const value = negative ? strictDigits(text.slice(1)) : strictUnsigned(text);
  if (value > 2n ** 63n - (negative ? 0n : 1n)) throw kernelError('ERANGE');
  return negative ? -value : value;
}

function strictDigits(text: string): bigint {
  const match = /^(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)\n?$/.exec(text);
  if (match === null) throw kernelError('EINVAL');
  const value = numberOf(strip(text));
  if (value >= U64) throw kernelError('ERANGE');
  return value;
}

function numberOf(digits: string): bigint {
  return BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
}

/** memparse: digits, or none for 0, and one of K, M, G, T, P, E; null when more follows. What is too large wraps. */
export function memorySize(text: string): bigint | null {
  const match = /^(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*|)([kKmMgGtTpPeE]?)$/.exec(text);
  if (match === null) return null;
  const power = 'kmgtpe'.indexOf((match[2] ?? '').toLowerCase() || '-') + 1;
  return ((numberOf(match[1] || '0') % U64) * 1024n ** BigInt(power)) % U64;
}

/** sscanf's `%llu`: the value, and what follows it; null when there is no digit. What is too large wraps. */
export function scanUnsigned(text: string): { readonly value: bigint; readonly rest: string } | null {
  const match = /^\s*(\d+)/.exec(text);
  if (match === null) return null;
  return { value: BigInt(match[1] ?? '0') % U64, rest: text.slice(match[0].length) };
}

/** sscanf's `%Ns`: up to N characters that are no blanks, and what follows; null when there are none. */
export function scanWord(text: string, most: number): { readonly word: string; readonly rest: string } | null {
  const start = text.length - text.trimStart().length;
  let end = start;
  while (end < text.length && end - start < most && !SPACE.test(text[end] ?? ' ')) end++;
  return end === start ? null : { word: text.slice(start, end), rest: text.slice(end) };
}

/** bitmap_parselist: `0-3,8`, `0-7:1/2`, `N` for the last one, `all`. */
export function cpuList(text: string, cpus: number): Set<number> {
  const found = new Set<number>();
  for (const region of text.split(/[\s,]+/).filter(Boolean)) {
    const match = /^(?:all|(\d+|N)(?:-(\d+|N))?)(?::(\d+)\/(\d+))?$/.exec(region);
    if (match === null) throw kernelError('EINVAL');
    const number = (digits: string): number => {
      if (digits === 'N') return cpus - 1;
      if (BigInt(digits) >= 2n ** 32n) throw kernelError('EOVERFLOW');
      return Number(digits);
    };
    const first = region.startsWith('all') ? 0 : number(match[1] ?? '');
    const last = region.startsWith('all') ? cpus - 1 : number(match[2] ?? match[1] ?? '');
    const used = match[3] === undefined ? 1 : number(match[3]);
    const group = match[4] === undefined ? 1 : number(match[4]);
    if (first > last || group === 0 || used > group) throw kernelError('EINVAL');
    if (last >= cpus) throw kernelError('ERANGE');
    for (let cpu = first; cpu <= last; cpu++) if ((cpu - first) % group < used) found.add(cpu);
  }
  return found;
}

/** `%*pbl`: ranges in ascending order. */
export function printCpuList(cpus: ReadonlySet<number>): string {
  const ranges: string[] = [];
  for (const cpu of [...cpus].sort((a, b) => a - b)) {
    if (cpus.has(cpu - 1)) continue;
    let last = cpu;
    while (cpus.has(last + 1)) last++;
    ranges.push(last === cpu ? String(cpu) : `${cpu}-${last}`);
  }
  return ranges.join(',');
}
