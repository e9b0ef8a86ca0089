/** Sizes as QEMU reads them: a number, decimal with a fraction or hexadecimal, and one of B K M G T P E. Pure. */
const FACTORS: Readonly<Record<string, number>> = {
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
  e: 2 ** 60,
};

/** Bytes; without a unit the number is of `defaultFactor` bytes. Null for what is no size. Source: util/cutils.c. */
export function parseQemuSize(text: string, defaultFactor: number): number | null {
  const [, number = '', unit = ''] = /^\s*(0x[\da-f]{1,16}|\d{1,20}(?:\.\d{1,20})?)([bkmgtpe]?)$/i.exec(text) ?? [];
  if (number === '') return null;
  const bytes = Number(number) * (FACTORS[unit.toLowerCase()] ?? defaultFactor);
  return Number.isSafeInteger(Math.round(bytes)) ? Math.round(bytes) : null;
}
