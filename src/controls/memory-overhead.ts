/**
 * What a QEMU process needs beside the guest's own memory, estimated part by part, and the floor under which a limit
 * would end in the kernel killing it. No formula is exact (page cache of images, display surfaces, long migrations are
 * in none), so the estimate is taken with a quarter more, and never trusted over what the guest was seen to use. Pure.
 * Parts after KubeVirt's GetMemoryOverhead; what they are is in docs/how-it-works.md.
 */
import type { Hardware } from '../domains/types.js';
import { roundedSize } from '../units.js';

const MIB = 1024 * 1024;

/** Page tables and the kernel's bookkeeping of guest pages: 8 bytes in 4 KiB. */
const PAGE_TABLE_SHARE = 512;
const QEMU_BYTES = 100 * MIB;
const VCPU_BYTES = 8 * MIB;
const IO_THREAD_BYTES = 8 * MIB;
const VIDEO_BYTES = 32 * MIB;
const TPM_BYTES = 53 * MIB;
const ARM_FIRMWARE_BYTES = 128 * MIB;
const ENCRYPTION_BYTES = 256 * MIB;

const ESTIMATE_MARGIN = 1.25;
const PEAK_MARGIN = 1.1;
/** Room over what is used now, so that the write itself reclaims nothing. */
const HEADROOM_BYTES = 64 * MIB;

export function overheadBytes(hardware: Hardware, vcpusMax: number): number {
  const { memoryBytes, ioThreads, videos, tpm, arch, encrypted } = hardware;
  return Math.ceil(
    memoryBytes / PAGE_TABLE_SHARE +
      QEMU_BYTES +
      VCPU_BYTES * vcpusMax +
      IO_THREAD_BYTES * ioThreads +
      VIDEO_BYTES * videos +
      (tpm ? TPM_BYTES : 0) +
      (arch === 'aarch64' ? ARM_FIRMWARE_BYTES : 0) +
      (encrypted ? ENCRYPTION_BYTES : 0),
  );
}

export interface Floor {
  readonly bytes: number;
  /** The figures that it comes from. */
  readonly because: string;
}

/** Of the guest's hardware alone: it may come to need all this at any time. */
export function hardwareFloor(hardware: Hardware, vcpusMax: number): Floor {
  const overhead = Math.ceil(overheadBytes(hardware, vcpusMax) * ESTIMATE_MARGIN);
  const { memoryBytes } = hardware;
  const because = `guest memory ${roundedSize(memoryBytes)} + QEMU's own ${roundedSize(overhead)}`;
  return { bytes: memoryBytes + overhead, because };
}

/** Of what it was seen to use: null where the kernel does not say. */
export function usageFloors(peakBytes: number | null, currentBytes: number | null): readonly Floor[] {
  const floors: Floor[] = [];
  if (peakBytes !== null) {
    floors.push({
      bytes: peakBytes * PEAK_MARGIN,
      because: `${PEAK_MARGIN} × its peak use of ${roundedSize(peakBytes)}, page cache included`,
    });
  }
  if (currentBytes !== null) {
    const because = `its present use of ${roundedSize(currentBytes)}, page cache included, + ${roundedSize(HEADROOM_BYTES)}`;
    floors.push({ bytes: currentBytes + HEADROOM_BYTES, because });
  }
  return floors;
}
