/**
 * What the kernel of the VM says on its console when something is wrong with it: lines that a sound kernel never writes.
 * Pure: the text of the console in, lines out.
 */

const SURPRISES: readonly RegExp[] = [
  /\bOops\b/,
  /\bBUG:/,
  /\bkernel BUG at\b/,
  /\bWARNING: (?:CPU|possible|suspicious|lock held)/,
  /\bKernel panic\b/,
  /\bgeneral protection fault\b(?!.*\bip:)/,
  /\bunable to handle (?:kernel|page fault)/,
  /\bblocked for more than \d+ seconds\b/,
  /\b(?:soft|hard) lockup\b/i,
  /\bself-detected stall\b/,
  /\bdetected stalls on CPUs\b/,
  /\bInvalid ELF header\b/,
  /\bEXT4-fs (?:error|warning)/,
  /\bI\/O error, dev (?!fd0)/,
  /\baudit: backlog limit exceeded\b/,
];

/** Lines of the kernel (they have its time stamp) that say that something is wrong with it. */
export function kernelSurprises(console: string): string[] {
  return console
    .split(/\r*\n/)
    .filter((line) => /\[ *\d+\.\d{6}\] /.test(line) && SURPRISES.some((pattern) => pattern.test(line)));
}
