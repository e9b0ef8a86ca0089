/** The reference page of all metrics, `docs/reference/metrics.md`, from the families' declarations. Pure. */
import type { Control } from '../controls/control.js';
import { daemonFamilies } from './daemon-families.js';
import { domainFamilies } from './domain-families.js';
import { DOMAIN_LABELS, type FamilyHead } from './family.js';
import { DOMAIN_SERIES_MAX } from './metrics.js';
import { OWN_FAMILIES, RECONCILE_DURATION } from './own-families.js';
import { REASONS } from './reasons.js';

export function renderMetricsReference(controls: readonly Control[]): string {
  const reasons = Object.entries(REASONS).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`);
  return `<!-- Generated from src/metrics; \`npm run generate\` writes it anew. -->
# Metrics

\`/metrics\` speaks the Prometheus text format 0.0.4. An answer comes from the snapshot of the last reconcile cycle and never
touches libvirt or the kernel's cgroups; asking more often than the cycle gives the same answer.

- Every series about a guest has the labels \`domain\`, \`uuid\` and \`class\`, and goes when the guest goes.
- \`class\` is empty, which to Prometheus is the same as absent, for a guest that no assignment matches.
- Names that a guest's owner chose are cut to 128 characters, and control characters are shown as \`\\u001b\`. Join on \`uuid\`.
- No limit is \`+Inf\`. A value that is not known has no series.
- CPU counters and repairs of a guest start at 0 when the daemon first sees that instance of it; those of memory, disks, network
  and pressure have what kernel and QEMU have counted since the instance started.
- Disks are read in rounds, each guest once in a minute or so: \`rate()\` over them needs a range of some minutes, and
  \`virtsla_disk_reading_age_seconds\` says how old they are. CPU, memory, network and pressure are read every cycle.
- \`disk\` is the target in the guest (\`vda\`), \`interface\` the device on this host (\`vnet0\`): another one after each start of
  the guest. \`virtslad status DOMAIN\` and the API say which MAC address it has.
- At most ${DOMAIN_SERIES_MAX.toLocaleString('en')} series about guests are given. Guests beyond that are left out whole, and counted.

## Guests

${table(domainFamilies(controls), DOMAIN_LABELS)}

### Reason codes of \`virtsla_control_noncompliant\`

\`control\` is empty where the reason is about the whole guest. The full text is in \`virtslad status\` and the API.

| code | meaning |
| --- | --- |
${reasons.join('\n')}

## Daemon, policy, libvirt, host

${table([...daemonFamilies(controls), RECONCILE_DURATION], [])}

## Process and exposition

${table(OWN_FAMILIES, [])}
`;
}

function table(families: readonly FamilyHead[], before: readonly string[]): string {
  const rows = families.map(({ name, type, labels, help }) => {
    const all = [...before, ...labels].map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${type} | ${all} | ${help} |`;
  });
  return `| name | type | labels | meaning |\n| --- | --- | --- | --- |\n${rows.join('\n')}`;
}
