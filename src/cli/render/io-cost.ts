/** The kernel's io cost controller in words, for the header of `virtslad status`: what is on, and what is amiss. */

import type { IoCostSnapshot } from '../../snapshot/types.js';
import { printable } from '../../text/printable.js';
import type { Paint, Style } from './style.js';

export function ioCostRows(disks: readonly IoCostSnapshot[], style: Style): [label: string, words: string, Paint?][] {
  const rows: [string, string, Paint?][] = [];
  const ours = disks.filter(({ actual, ours: switched, status }) => status === 'holds' && switched && actual === true);
  if (ours.length > 0) {
    rows.push(['io cost', `switched on by virtslad for ${ours.map(nameOf).join(', ')}, so that disk weights count`]);
  }
  for (const disk of disks.filter(({ status }) => status !== 'holds')) {
    const { actual, desired, reason, status } = disk;
    const stands = actual === null ? 'cannot be read' : `is ${actual ? 'on' : 'off'}`;
    const why = reason === null ? '' : `: ${printable(reason, 512)}`;
    rows.push(['io cost', `${nameOf(disk)} ${stands}, ${desired ? 'on' : 'off'} needed; ${status}${why}`, style.red]);
  }
  return rows;
}

function nameOf({ device, name }: IoCostSnapshot): string {
  return name === null ? device : `${printable(name)} (${device})`;
}
