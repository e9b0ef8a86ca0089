/** The reference page of what the audit of labels may find, as Markdown: the text of docs/reference/labels.md. */
import { VIOLATIONS } from './violations.js';

export function labelReference(): string {
  const rows = Object.entries(VIOLATIONS).map(([reason, { severity, suspendHelps, summary, remedy }]) => {
    const cells = [`\`${reason}\``, severity, suspendHelps ? 'yes' : '–', summary, remedy];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return [
    '# Label reference',
    '',
    '<!-- Generated from the code by `npm run generate`; do not edit. -->',
    '',
    'What the audit of SELinux labels may find wrong with a running guest. The code is the label `reason` of',
    '`virtsla_svirt_violation` and stands first in `virtslad status GUEST` and `explain`. *critical*: SELinux keeps this guest and',
    'another one, or the host, apart no more. *Suspends*: where a class says `svirt.on-violation: suspend`, stopping this very guest',
    'closes the gap, and so it is suspended; a violation that another guest is at fault for, or that harms only the guest itself,',
    'suspends nobody.',
    '',
    '| Reason | Severity | Suspends | Means | Do |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
