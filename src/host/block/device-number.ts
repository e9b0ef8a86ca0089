/**
 * Numbers of block devices as sysfs and the cgroup files write them: `254:0`, major and minor in decimal. Major 0 is the
 * kernel's mark for a file system without a device of its own. Source: include/linux/kdev_t.h, makedev(3).
 */

/** From st_dev or st_rdev of a stat with bigint. */
export function deviceNumber(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

export function isDeviceNumber(text: string): boolean {
  return /^(?:0|[1-9]\d{0,3}):(?:0|[1-9]\d{0,6})$/.test(text);
}

export function isAnonymous(device: string): boolean {
  return device.startsWith('0:');
}

/** By major, then minor: 8:2 before 8:16. */
export function compareDeviceNumbers(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split(':').map(Number);
  const [majorB = 0, minorB = 0] = b.split(':').map(Number);
  return majorA - majorB || minorA - minorB;
}
