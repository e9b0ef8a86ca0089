/**
 * `virtslad explain DOMAIN`: for every control what is asked, by whom, what stands, where, who owns it and what was there
 * before. Takes a snapshot and one of its domains, gives text that can be read at 3 a.m.: the answer is on line one.
 */

import type { ControlSnapshot, DomainSnapshot, SettingSnapshot, Snapshot } from '../../snapshot/types.js';
import { printable } from '../../text/printable.js';
import { statusPaint, worstFirst } from './compliance.js';
import { domainRows, headline, layOut, type Row } from './domain.js';
import { groupBy } from './group.js';
import { keysOf } from './plan.js';
import { type Style, styleFor } from './style.js';
import { positionOf, type Reader } from './words.js';

/** Where an original is known from, in words. */
const ORIGIN: Readonly<Record<string, string>> = {
  xml: "from libvirt's XML",
  kernel: 'found there after the start',
  metadata: "from the copy in the guest's metadata",
  definition: 'from the persistent definition',
  default: "libvirt's default",
};

const OWNER: Readonly<Record<SettingSnapshot['owner'], string>> = {
  libvirt: 'libvirt; its view is kept the same',
  systemd: 'systemd; set through libvirt or D-Bus',
  virtslad: 'virtslad',
};

export function renderExplain(
  domain: DomainSnapshot,
  snapshot: Snapshot,
  reader: Reader,
  source: 'daemon' | 'local',
): string {
  const style = styleFor(reader.color);
  const out = [
    headline(domain, snapshot, style),
    '',
    ...layOut(domainRows(domain, snapshot, reader, source, style), '', style),
  ];
  const built = domain.controls.filter((control) => control.status !== 'unsupported').sort(worstFirst);
  for (const control of built) {
    out.push('', `${style.bold(control.id)}  ${statusPaint(control.status, style)(statusWords(control))}`);
    out.push(...layOut(controlRows(control, style), '  ', style));
  }
  const unsupported = domain.controls.filter((control) => control.status === 'unsupported');
  if (unsupported.length > 0) out.push('', style.bold('Asked for and not supported here'));
  for (const { id, reason, asked } of unsupported) {
    const where = asked === null ? '' : `  ${style.dim(positionOf(asked.source))}`;
    out.push(
      `  ${id}${asked === null ? '' : ` ${printable(asked.text)}`}: ${printable(reason ?? 'unsupported', 512)}${where}`,
    );
  }
  if (domain.controls.length === 0) out.push('', noControls(domain));
  return `${out.join('\n')}\n`;
}

function statusWords(control: ControlSnapshot): string {
  return control.reason === null ? control.status : `${control.status}: ${printable(control.reason, 512)}`;
}

function controlRows(control: ControlSnapshot, style: Style): Row[] {
  const rows: Row[] = [];
  const { asked } = control;
  if (asked !== null) {
    const schedule = asked.schedule === null ? '' : `, set by the open schedule ${asked.schedule}`;
    rows.push(['asked', `${asked.key}: ${printable(asked.text)}${schedule}`]);
    rows.push(['asked at', positionOf(asked.source)]);
  }
  // Of equal values the words may differ: cgroup v1 adds the shares that a weight comes to.
  const agrees = control.settings.every(({ desired, actual }) => desired === actual);
  if (control.desired !== null) rows.push(['desired', control.desired]);
  if (control.actual !== null) rows.push(['actual', control.actual, agrees ? undefined : style.red]);
  for (const note of control.notes) rows.push(['note', printable(note, 512)]);
  for (const alike of groupBy(control.settings, settingLook).values()) rows.push(...settingRows(alike, style));
  return rows;
}

/** Settings that look the same but for the number of the vCPU are shown once. */
function settingLook(setting: SettingSnapshot): string {
  const tail = setting.key.replace(/^vcpu\d+/, 'vcpu');
  return JSON.stringify([tail, setting.desired, setting.actual, setting.original, setting.originalFrom, setting.owner]);
}

function settingRows(alike: readonly [SettingSnapshot, ...SettingSnapshot[]], style: Style): Row[] {
  const [first] = alike;
  const standing =
    first.actual === null
      ? 'could not be read'
      : first.actual === first.desired
        ? `${quoted(first.actual)} as desired`
        : `${quoted(first.actual)}, desired ${quoted(first.desired)}`;
  const paint = first.actual === first.desired ? undefined : style.red;
  const origin = first.originalFrom === null ? '' : `, ${ORIGIN[first.originalFrom] ?? first.originalFrom}`;
  return [
    [keysOf(alike.map((setting) => setting.key)), standing, paint],
    ...alike.map(
      (setting, index): Row => [
        index === 0 ? (setting.path.startsWith('/') ? '  file' : '  place') : '',
        printable(setting.path, 1024),
      ],
    ),
    ['  owner', OWNER[first.owner]],
    [
      '  original',
      first.original === null
        ? 'none on record; nothing of ours is known to stand here'
        : `${quoted(first.original)}${origin}`,
    ],
  ];
}

function quoted(text: string): string {
  return JSON.stringify(printable(text));
}

function noControls(domain: DomainSnapshot): string {
  if (domain.className === null) return 'No policy asks anything of this guest. It is seen and left alone.';
  if (domain.pid === null) return 'What its class asks is set when it runs.';
  return domain.obstacle === null ? 'Its class asks for nothing.' : 'Nothing can be set while the obstacle is there.';
}
