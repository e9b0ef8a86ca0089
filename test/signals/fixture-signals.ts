/** Signals of an imaginary guest, for the tests of what shows them; give what differs. */
import type { DiskSignals, InterfaceSignals, MemorySignals, PressureSignals } from '../../src/snapshot/signals.js';

export function fixtureMemory(changes: Partial<MemorySignals> = {}): MemorySignals {
  return {
    usedBytes: 3_221_225_472,
    peakBytes: 4_294_967_296,
    anonBytes: 3_000_000_000,
    fileBytes: 200_000_000,
    sharedBytes: 0,
    swapBytes: 52_428_800,
    reclaimedBytes: 734_003_200,
    refaultedBytes: 4_096_000,
    majorFaults: 1234,
    highEvents: 0,
    limitEvents: 7,
    oomKills: 0,
    rates: { reclaimedBytesPerSecond: 0, refaultedBytesPerSecond: 0, majorFaultsPerSecond: 0 },
    ...changes,
  };
}

export function fixtureDisk(target: string, atMs: number, changes: Partial<DiskSignals> = {}): DiskSignals {
  return {
    target,
    atMs,
    counters: {
      readRequests: 120_000,
      readBytes: 983_040_000,
      readSeconds: 48.5,
      writeRequests: 30_000,
      writeBytes: 245_760_000,
      writeSeconds: 30.25,
      flushRequests: 500,
      flushSeconds: 2.5,
    },
    rates: {
      overSeconds: 60,
      readIops: 800,
      writeIops: 120.4,
      flushIops: 2,
      readBytesPerSecond: 6_553_600,
      writeBytesPerSecond: 983_040,
      readLatencySeconds: 0.000_42,
      writeLatencySeconds: 0.0031,
      flushLatencySeconds: 0.012,
    },
    limited: false,
    ...changes,
  };
}

export function fixtureInterface(device: string, changes: Partial<InterfaceSignals> = {}): InterfaceSignals {
  return {
    mac: '52:54:00:00:00:01',
    device,
    counters: {
      receivedBytes: 1_500_000_000,
      receivedPackets: 1_200_000,
      receivedDropped: 3,
      sentBytes: 700_000_000,
      sentPackets: 900_000,
      sentDropped: 0,
    },
    rates: {
      receivedBytesPerSecond: 1_250_000,
      receivedPacketsPerSecond: 1000,
      receivedDroppedPerSecond: 0,
      sentBytesPerSecond: 62_500,
      sentPacketsPerSecond: 400,
      sentDroppedPerSecond: 0,
    },
    ...changes,
  };
}

export function fixturePressure(changes: Partial<PressureSignals> = {}): PressureSignals {
  return {
    cpu: { someSeconds: 340.5, fullSeconds: 120.25, someShare: 0.123, fullShare: 0.04 },
    memory: { someSeconds: 1.5, fullSeconds: 0.5, someShare: 0, fullShare: 0 },
    io: { someSeconds: 66.125, fullSeconds: 60.5, someShare: 0.3, fullShare: 0.28 },
    ...changes,
  };
}
