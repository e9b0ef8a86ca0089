/**
 * The bandwidth of one direction of a guest's interface: as libvirt is asked for it (kB/s and kB) and as the kernel
 * holds it (bytes per second and bytes), and when the two are the same.
 *
 * libvirt hands the figures to tc(8) as `Nkbps`, which is N × 1000 bytes per second, and `Nkb`, which is N × 1024 bytes.
 * What is sent to the device goes through an HTB class (average, peak, burst); what comes from it is policed (average,
 * burst; a peak is accepted and not enforced). The kernel keeps a burst as the time in which the average rate sends it,
 * in ticks of 64 ns; tc cuts it to whole microseconds first (iproute2 6.1), or rounds it up to a tick (since 2025).
 * Sources: virNetDevBandwidthSet (libvirt 9.0), tc_calc_xmittime, q_htb.c, m_police.c (iproute2), pkt_sched.h.
 */
import type { Bandwidth } from '../../domains/types.js';

/** What the kernel limits a direction with. */
export type Shaper = 'htb' | 'police';

export interface KernelBandwidth {
  readonly averageBytesPerSecond: number;
  /** Null when it is the average. */
  readonly peakBytesPerSecond: number | null;
  /** Whole bytes; 0 is what tc makes of less than a microsecond. */
  readonly burstBytes: number;
}

const RATE_KILOBYTE = 1000;
const BURST_KILOBYTE = 1024;
const TICK_NS = 64;
const TICKS_PER_USEC = 1000 / TICK_NS;
/** Both tc's microseconds and the kernel's ticks are 32 bits; on x86 they wrap, with a tc of 2025 they end there. */
const TICKS = 2 ** 32;
/** Largest burst that tc takes: a byte count of 32 bits. */
export const MAX_BURST_KBYTES = 2 ** 22 - 1;
/** What lasts longer at the average rate, 274.9 s, overflows the ticks, and a burst of any length can come of it. */
export const MAX_BURST_SECONDS = (TICKS * TICK_NS) / 1e9;
/** tc's `mtu` of an HTB class, which is its burst too when none is given (plus a byte for each GB/s). */
const HTB_BURST_BYTES = 1600;

/** What the kernel holds once libvirt has set this; null is no limit, and so is an average of 0. */
export function enforcedBandwidth(asked: Bandwidth | null, shaper: Shaper): KernelBandwidth | null {
  if (asked === null || asked.averageKbytes === 0) return null;
  const averageBytesPerSecond = asked.averageKbytes * RATE_KILOBYTE;
  const peakBytesPerSecond = (asked.peakKbytes ?? 0) * RATE_KILOBYTE;
  const usec = Math.floor((askedBurstBytes(asked, shaper) * 1e6) / averageBytesPerSecond) % TICKS;
  return {
    averageBytesPerSecond,
    peakBytesPerSecond:
      shaper === 'police' || peakBytesPerSecond === 0 || peakBytesPerSecond === averageBytesPerSecond
        ? null
        : peakBytesPerSecond,
    burstBytes: burstBytes(averageBytesPerSecond, Math.floor(usec * TICKS_PER_USEC) % TICKS),
  };
}

/** Whether tc can express the burst; one that it cannot makes libvirt fail, or comes out as another. */
export function burstFits({ averageKbytes, burstKbytes = 0 }: Bandwidth): boolean {
  const seconds = (burstKbytes * BURST_KILOBYTE) / (averageKbytes * RATE_KILOBYTE);
  return burstKbytes === 0 || (burstKbytes <= MAX_BURST_KBYTES && seconds < MAX_BURST_SECONDS);
}

/** Whether the kernel holds what libvirt was asked for, whichever way tc has rounded the burst. */
export function holdsBandwidth(kernel: KernelBandwidth | null, asked: Bandwidth | null, shaper: Shaper): boolean {
  const expected = enforcedBandwidth(asked, shaper);
  if (kernel === null || expected === null || asked === null) return kernel === expected;
  return (
    kernel.averageBytesPerSecond === expected.averageBytesPerSecond &&
    kernel.peakBytesPerSecond === expected.peakBytesPerSecond &&
    holdsBurst(kernel.burstBytes, expected, asked, shaper)
  );
}

/**
 * The kernel's value in libvirt's units: `asked` itself where the kernel holds it, so that rounding is never taken for
 * a change; else the nearest figures, a burst left out where it is the one that tc takes by default.
 */
export function inLibvirtUnits(
  kernel: KernelBandwidth | null,
  shaper: Shaper,
  asked: Bandwidth | null = null,
): Bandwidth | null {
  if (holdsBandwidth(kernel, asked, shaper)) return asked;
  if (kernel === null) return null;
  const { averageBytesPerSecond, peakBytesPerSecond } = kernel;
  const plain: Bandwidth = {
    averageKbytes: kilobytes(averageBytesPerSecond, RATE_KILOBYTE),
    ...(peakBytesPerSecond === null ? {} : { peakKbytes: kilobytes(peakBytesPerSecond, RATE_KILOBYTE) }),
  };
  if (holdsBandwidth(kernel, plain, shaper)) return plain;
  return { ...plain, burstKbytes: kilobytes(kernel.burstBytes, BURST_KILOBYTE) };
}

/** Between one rounding and the other, give or take the byte that a count of whole bytes loses. */
function holdsBurst(bytes: number, expected: KernelBandwidth, asked: Bandwidth, shaper: Shaper): boolean {
  const { averageBytesPerSecond, burstBytes: leastBytes } = expected;
  if (!burstFits(asked)) {
    return [leastBytes, burstBytes(averageBytesPerSecond, TICKS - 1)].some((most) => Math.abs(bytes - most) <= 1);
  }
  const mostBytes = askedBurstBytes(asked, shaper) + (averageBytesPerSecond * TICK_NS) / 1e9;
  return bytes >= leastBytes - 1 && bytes <= mostBytes + 1;
}

/** Bytes that the average rate sends in so many of the kernel's ticks. */
export function burstBytes(averageBytesPerSecond: number, ticks: number): number {
  return Math.round((averageBytesPerSecond * ticks * TICK_NS) / 1e9);
}

function askedBurstBytes({ burstKbytes = 0, averageKbytes }: Bandwidth, shaper: Shaper): number {
  if (burstKbytes > 0) return burstKbytes * BURST_KILOBYTE;
  // Where none is given libvirt leaves it to tc for HTB, and takes the average for a policer.
  if (shaper === 'police') return Math.min(averageKbytes, MAX_BURST_KBYTES) * BURST_KILOBYTE;
  return HTB_BURST_BYTES + Math.floor((averageKbytes * RATE_KILOBYTE) / 1e9);
}

/** At least 1: 0 would be none. */
function kilobytes(bytes: number, kilobyte: number): number {
  return Math.max(1, Math.round(bytes / kilobyte));
}
