/**
 * The bandwidth of one direction of a guest's interface: as libvirt is asked for it (kB/s and kB) and as the kernel
 * holds it (bytes per second and bytes), and when the two are the same.
 *
 * libvirt hands the figures to tc(8) as `Nkbps`, which is N × 1000 bytes per second, and `Nkb`, which is N × 1024 bytes.
 * The queue towards the device becomes an HTB class (average, peak, burst); what comes from the device is policed
 * (average, burst; a peak is accepted and not enforced). The kernel keeps a burst as the time in which the average
 * rate sends it, in ticks of 64 ns; tc before 6.14 cuts it to whole microseconds first, later ones round up to a tick.
 * Sources: virNetDevBandwidthSet (libvirt 9.0), tc_calc_xmittime, q_htb.c, m_police.c (iproute2 6.1), pkt_sched.h.
 */

/** What the kernel limits a direction with. */
export type Shaper = 'htb' | 'police';

/** libvirt's own units, the parameters of virDomainSetInterfaceParameters: each 32 bits unsigned. */
export interface AskedBandwidth {
  readonly averageKilobytesPerSecond: number;
  readonly peakKilobytesPerSecond: number | null;
  readonly burstKilobytes: number | null;
}

export interface Bandwidth {
  readonly averageBytesPerSecond: number;
  /** Null when there is none above the average. */
  readonly peakBytesPerSecond: number | null;
  /** Whole bytes; 0 is what tc makes of less than a microsecond. */
  readonly burstBytes: number;
}

const BYTES_PER_SECOND = 1000;
const BYTES = 1024;
const TICK_NS = 64;
const TICKS_PER_USEC = 1000 / TICK_NS;
/** Both tc's microseconds and the kernel's ticks are 32 bits. */
const TICKS = 2 ** 32;
/** Largest burst that tc takes: a byte count of 32 bits. */
export const MAX_BURST_KILOBYTES = 2 ** 22 - 1;
/** What lasts longer at the average rate, 274.9 s, overflows the ticks, and a burst of any length can come of it. */
export const MAX_BURST_SECONDS = (TICKS * TICK_NS) / 1e9;
/** tc's `mtu` of an HTB class, which is its burst too when none is given (plus a byte for each GB/s). */
const HTB_BURST_BYTES = 1600;
/** What tc and the kernel may lose of a burst, as the time in which it is sent: a microsecond and a tick, rounded up. */
const LOST_USEC = 1.1;

/** What the kernel holds once libvirt has set this. */
export function enforcedBandwidth(asked: AskedBandwidth, shaper: Shaper): Bandwidth {
  const averageBytesPerSecond = asked.averageKilobytesPerSecond * BYTES_PER_SECOND;
  const peakBytesPerSecond = (asked.peakKilobytesPerSecond ?? 0) * BYTES_PER_SECOND;
  const usec = Math.floor((askedBurstBytes(asked, shaper) * 1e6) / averageBytesPerSecond) % TICKS;
  const ticks = Math.floor(usec * TICKS_PER_USEC) % TICKS;
  return {
    averageBytesPerSecond,
    peakBytesPerSecond:
      shaper === 'police' || peakBytesPerSecond === 0 || peakBytesPerSecond === averageBytesPerSecond
        ? null
        : peakBytesPerSecond,
    burstBytes: burstBytes(averageBytesPerSecond, ticks),
  };
}

/** Whether tc can express the burst; one that it cannot makes libvirt fail, or comes out as another. */
export function burstFits({ averageKilobytesPerSecond, burstKilobytes }: AskedBandwidth): boolean {
  if (burstKilobytes === null) return true;
  const seconds = (burstKilobytes * BYTES) / (averageKilobytesPerSecond * BYTES_PER_SECOND);
  return burstKilobytes <= MAX_BURST_KILOBYTES && seconds < MAX_BURST_SECONDS;
}

/** Whether the kernel holds what was asked for; null is no limit. */
export function holdsBandwidth(kernel: Bandwidth | null, asked: AskedBandwidth | null, shaper: Shaper): boolean {
  if (kernel === null || asked === null) return kernel === asked;
  const expected = enforcedBandwidth(asked, shaper);
  const lostBytes = 1 + (expected.averageBytesPerSecond * LOST_USEC) / 1e6;
  return (
    kernel.averageBytesPerSecond === expected.averageBytesPerSecond &&
    kernel.peakBytesPerSecond === expected.peakBytesPerSecond &&
    Math.abs(kernel.burstBytes - expected.burstBytes) <= lostBytes
  );
}

/**
 * The kernel's value in libvirt's units: `asked` itself where the kernel holds it, so that rounding is never taken for
 * a change; else the nearest figures, a burst left out where it is the one that tc takes by default.
 */
export function inLibvirtUnits(
  kernel: Bandwidth | null,
  shaper: Shaper,
  asked: AskedBandwidth | null = null,
): AskedBandwidth | null {
  if (kernel === null || holdsBandwidth(kernel, asked, shaper)) return kernel && asked;
  const plain: AskedBandwidth = {
    averageKilobytesPerSecond: Math.round(kernel.averageBytesPerSecond / BYTES_PER_SECOND),
    peakKilobytesPerSecond:
      kernel.peakBytesPerSecond === null ? null : Math.round(kernel.peakBytesPerSecond / BYTES_PER_SECOND),
    burstKilobytes: null,
  };
  if (holdsBandwidth(kernel, plain, shaper)) return plain;
  return { ...plain, burstKilobytes: Math.max(1, Math.round(kernel.burstBytes / BYTES)) };
}

/** Bytes that the average rate sends in so many of the kernel's ticks. */
export function burstBytes(averageBytesPerSecond: number, ticks: number): number {
  return Math.round((averageBytesPerSecond * ticks * TICK_NS) / 1e9);
}

function askedBurstBytes({ burstKilobytes, averageKilobytesPerSecond }: AskedBandwidth, shaper: Shaper): number {
  // 0 is none: libvirt leaves the argument out.
  if (burstKilobytes !== null && burstKilobytes > 0) return burstKilobytes * BYTES;
  if (shaper === 'police') return Math.min(averageKilobytesPerSecond, MAX_BURST_KILOBYTES) * BYTES;
  return HTB_BURST_BYTES + Math.floor((averageKilobytesPerSecond * BYTES_PER_SECOND) / 1e9);
}
