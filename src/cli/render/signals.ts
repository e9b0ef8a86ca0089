/**
 * What kernel and QEMU say of one guest now, in words: memory, each disk, each network interface, waiting. Takes one
 * domain of a snapshot, gives labelled lines for `status DOMAIN` and `explain`. What the host cannot tell is not there.
 */

import { PRESSURE_RESOURCES } from '../../signals/pressure.js';
import type {
  DiskRates,
  DiskSignals,
  InterfaceSignals,
  MemorySignals,
  PressureResource,
  PressureSignals,
} from '../../snapshot/signals.js';
import type { DomainSnapshot } from '../../snapshot/types.js';
import { printable } from '../../text/printable.js';
import { roundedSize } from '../../units.js';
import type { Row } from './domain.js';
import type { Style } from './style.js';
import { plural, span } from './words.js';

export function signalRows(domain: DomainSnapshot, nowMs: number, style: Style): Row[] {
  return [
    ...memoryRows(domain.memory, style),
    ...domain.disks.map((disk) => diskRow(disk, nowMs, style)),
    ...domain.interfaces.map(interfaceRow),
    ...pressureRows(domain.pressure),
  ];
}

function memoryRows(memory: MemorySignals | null, style: Style): Row[] {
  if (memory === null) return [];
  const words = [`uses ${roundedSize(memory.usedBytes)}`];
  if (memory.fileBytes !== null) words.push(`${roundedSize(memory.fileBytes)} of it page cache`);
  if (memory.peakBytes !== null) words.push(`${roundedSize(memory.peakBytes)} at its peak`);
  if (memory.swapBytes !== null)
    words.push(memory.swapBytes === 0 ? 'none in swap' : `${roundedSize(memory.swapBytes)} in swap`);
  const reclaimed = memory.rates?.reclaimedBytesPerSecond ?? 0;
  if (reclaimed >= 1) words.push(`${roundedSize(reclaimed)}/s taken back now`);
  const refaulted = memory.rates?.refaultedBytesPerSecond ?? 0;
  if (refaulted >= 1) words.push(`${roundedSize(refaulted)}/s needed again`);
  const { highEvents, limitEvents, oomKills } = memory;
  if (highEvents !== null && highEvents > 0) words.push(`throttled by memory.high ${plural(highEvents, 'time')}`);
  if (limitEvents !== null && limitEvents > 0) words.push(`ran into its limit ${plural(limitEvents, 'time')}`);
  if (oomKills === null || oomKills === 0) return [['memory', words.join(', ')]];
  words.push(`killed for want of memory ${plural(oomKills, 'time')}`);
  return [['memory', words.join(', '), style.red]];
}

function diskRow({ target, rates, atMs, limited }: DiskSignals, nowMs: number, style: Style): Row {
  const label = `disk ${printable(target)}`;
  const ago = `${span(nowMs - atMs)} ago`;
  if (rates === null) return [label, `first read ${ago}; how busy it is shows after the next round`];
  const busy = diskWords(rates);
  const words = `${busy === '' ? 'idle' : busy}; mean of ${span(rates.overSeconds * 1000)} until ${ago}`;
  return limited === true ? [label, `at its limit: ${words}`, style.yellow] : [label, words];
}

function diskWords(rates: DiskRates): string {
  const parts: string[] = [];
  const add = (verb: string, iops: number, bytesPerSecond: number | null, latencySeconds: number | null): void => {
    if (iops === 0) return;
    const size = bytesPerSecond === null ? [] : [`${roundedSize(bytesPerSecond)}/s`];
    const time = latencySeconds === null ? [] : [`${latency(latencySeconds)} each`];
    parts.push(`${verb} ${rounded(iops)}/s (${[...size, ...time].join(', ')})`);
  };
  add('reads', rates.readIops, rates.readBytesPerSecond, rates.readLatencySeconds);
  add('writes', rates.writeIops, rates.writeBytesPerSecond, rates.writeLatencySeconds);
  add('flushes', rates.flushIops, null, rates.flushLatencySeconds);
  return parts.join(', ');
}

function interfaceRow({ mac, device, counters, rates }: InterfaceSignals): Row {
  const dropped = counters.receivedDropped + counters.sentDropped;
  const words: string[] = [];
  if (rates !== null) {
    words.push(`receives ${bits(rates.receivedBytesPerSecond)} (${rounded(rates.receivedPacketsPerSecond)} packets/s)`);
    words.push(`sends ${bits(rates.sentBytesPerSecond)} (${rounded(rates.sentPacketsPerSecond)} packets/s)`);
  }
  words.push(dropped === 0 ? 'none dropped' : `${plural(dropped, 'packet')} dropped so far`);
  return [`network ${printable(device)}`, `${printable(mac)}: ${words.join(', ')}`];
}

const RESOURCE: Readonly<Record<PressureResource, string>> = { cpu: 'CPU', memory: 'memory', io: 'disks' };

function pressureRows(pressure: PressureSignals | null): Row[] {
  const shares = (key: 'someShare' | 'fullShare'): string =>
    PRESSURE_RESOURCES.flatMap((resource) => {
      const share = pressure?.[resource]?.[key] ?? null;
      return share === null ? [] : [`for ${RESOURCE[resource]} ${Math.round(share * 100)} %`];
    }).join(', ');
  const [some, full] = [shares('someShare'), shares('fullShare')];
  if (some === '') return [];
  return [['pressure', `part of it waits ${some} of the time${full === '' ? '' : `; all of it ${full}`}`]];
}

/** Two digits: `0.42 ms`, `12 ms`, `1.2 s`. */
function latency(seconds: number): string {
  const two = (value: number): number => Number(value.toPrecision(2));
  if (seconds >= 1) return `${two(seconds)} s`;
  return seconds >= 0.0001 ? `${two(seconds * 1e3)} ms` : `${two(seconds * 1e6)} µs`;
}

/** Three digits, more only before the point. */
function rounded(value: number): number {
  return value >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

function bits(bytesPerSecond: number): string {
  const units = ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s'];
  const value = bytesPerSecond * 8;
  const step = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${rounded(value / 1000 ** step)} ${units[step]}`;
}
