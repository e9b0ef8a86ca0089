/**
 * The page for people at `/`: a snapshot as one HTML document without scripts. Takes a snapshot, gives markup. Pure.
 * Bars are SVG with plain attributes, because the content security policy refuses inline styles.
 */
import { isActive } from '../metrics/domain-families.js';
import { noncompliances } from '../metrics/reasons.js';
import { isFeasible } from '../snapshot/feasibility.js';
import type { DomainSnapshot, Snapshot } from '../snapshot/types.js';
import { printable } from '../text/printable.js';
import { roundedSize } from '../units.js';
import { countDomains, notReadyReason } from './api.js';
import { html, Markup } from './html.js';
import { PAGE_STYLE } from './page-style.js';

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect y='9' width='4' height='7' fill='%233b82c4'/%3E%3Crect x='6' y='5' width='4' height='11' fill='%233b82c4'/%3E%3Crect x='12' y='1' width='4' height='15' fill='%231d7a46'/%3E%3C/svg%3E";

export function renderPage(snapshot: Snapshot): string {
  const { domains } = snapshot;
  const rows = [...domains].sort(troubledFirst).map((domain) => row(domain, snapshot));
  const table = html`<div class="table"><table>
<caption>${legend('used', 'used in the last cycle')}${legend('hot', 'used, at the limit')}${legend('limit', 'limit')}${legend('guarantee', 'guarantee')}</caption>
<thead><tr><th scope="col">Guest</th><th scope="col">Class</th><th scope="col">State</th><th scope="col" class="number">vCPUs</th><th scope="col">CPU</th><th scope="col" class="number">Weight</th><th scope="col">Compliance</th></tr></thead>
<tbody>
${rows}</tbody></table></div>`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>virtslad</title>
<link rel="icon" href="${new Markup(ICON)}">
<style>${new Markup(PAGE_STYLE)}</style>
</head>
<body>
${head(snapshot)}
<main>
${tiles(snapshot)}
${notes(snapshot)}
${domains.length === 0 ? html`<p class="table empty">No guests yet.</p>` : table}
</main>
${foot(snapshot)}
</body>
</html>
`;
  return page.text;
}

function legend(kind: string, words: string): Markup {
  const mark = kind === 'limit' || kind === 'guarantee';
  return html`<svg class="key" aria-hidden="true"><rect class="${kind}" x="${mark ? 4 : 0}" width="${mark ? 2 : 10}" height="10"/></svg>${words}`;
}

function head({ version, mode, host, generation, libvirt }: Snapshot): Markup {
  const where = [host.facts.distro, host.facts.machine, `${host.cores} cores`].filter(Boolean).join(' · ');
  return html`<header>
<h1>virtslad</h1><p>${version}</p><p class="where">${where}</p>
<p>policy ${generation === null ? 'none' : html`<code>${generation.id}</code>`}</p>
<p>libvirt ${libvirt.connected ? html`<span class="pill good">connected</span>` : html`<span class="pill bad">not connected</span>`}</p>
<p>mode <span class="${mode === 'enforce' ? 'pill good' : 'pill warn'}">${mode}</span></p>
</header>`;
}

function tiles({ domains, host }: Snapshot): Markup {
  const counts = countDomains(domains);
  const used = domains.reduce((sum, { cpu }) => sum + (cpu?.usedCores ?? 0), 0);
  const tile = (value: string | number, words: string, bad = false): Markup =>
    html`<li${bad && html` class="bad"`}><b>${value}</b><span>${words}</span></li>`;
  return html`<ul class="tiles">
${tile(counts.total, `guests, ${counts.running} running`)}
${tile(counts.managed, 'managed')}
${tile(counts.compliant, 'compliant')}
${tile(counts.noncompliant, 'not compliant', counts.noncompliant > 0)}
${tile(cores(used), `of ${host.cores} cores used`)}
${tile(cores(host.guaranteedCores), 'cores guaranteed', host.guaranteedCores > host.cores || host.weightSum > host.weightCapacity)}
</ul>`;
}

/** What an operator should know before reading the table. */
function notes(snapshot: Snapshot): Markup | null {
  const { pendingGeneration: pending, libvirt, host } = snapshot;
  const notReady = notReadyReason(snapshot);
  const stop: (string | null | false)[] = [
    notReady !== null && `Not ready: ${notReady}.`,
    snapshot.killSwitch && 'The kill switch is set: nothing is written.',
    snapshot.handsOffAll && 'Every guest is released: nothing is written until virtslad resume --all.',
    ...snapshot.policyProblems.map((problem) => `Policy: ${problem}`),
    !libvirt.connected && libvirt.uri !== null && `libvirt: ${libvirt.lastError ?? 'no connection'}`,
  ];
  const warn: (string | false)[] = [
    snapshot.mode === 'observe' && 'Observe mode: the table shows what would be done; nothing is written.',
    pending !== null &&
      `Generation ${pending.id} would change ${pending.domainsAffected} of ${pending.domainsTotal} guests, more than the ${pending.allowed} allowed at once. It waits for: virtslad apply --once --acknowledge ${pending.id}`,
    !isFeasible(host) &&
      `The host cannot keep all guarantees at once: ${cores(host.guaranteedCores)} cores are guaranteed of ${host.cores}, weights add up to ${host.weightSum} of ${host.weightCapacity}, ${roundedSize(host.guaranteedMemoryBytes)} of memory of ${roundedSize(host.memoryBytes)}.`,
    ...snapshot.lacks,
  ];
  const lines = [
    ...stop.filter(Boolean).map((text) => html`<li class="stop">${text}</li>\n`),
    ...warn.filter(Boolean).map((text) => html`<li>${text}</li>\n`),
  ];
  return lines.length === 0 ? null : html`<ul class="notes">\n${lines}</ul>`;
}

/** Guests that need attention, then those that run, then by name. */
function troubledFirst(left: DomainSnapshot, right: DomainSnapshot): number {
  const rank = (domain: DomainSnapshot): number =>
    !isActive(domain) ? 2 : domain.compliant || domain.handsOff !== null ? 1 : 0;
  return rank(left) - rank(right) || (left.name < right.name ? -1 : left.name > right.name ? 1 : 0);
}

function row(domain: DomainSnapshot, snapshot: Snapshot): Markup {
  const weight = domain.controls.find(({ id }) => id === 'cpu.weight')?.amounts[0]?.actual ?? null;
  const schedules =
    domain.openSchedules.length > 0 && html`<small>in window ${domain.openSchedules.join(', ')}</small>`;
  return html`<tr${!isActive(domain) && html` class="off"`}><th scope="row"><a href="/api/v1/domains/${encodeURIComponent(domain.uuid)}">${printable(domain.name)}</a><small>${domain.uuid}</small></th>
<td>${domain.className ?? html`<small>not managed</small>`}${schedules}</td><td>${domain.state}</td><td class="number">${domain.vcpus > 0 ? domain.vcpus : '–'}</td>
<td class="cpu">${cpu(domain)}</td><td class="number">${weight ?? '–'}</td><td>${compliance(domain, snapshot)}</td></tr>
`;
}

function cpu({ cpu: counters, vcpus, controls, guaranteedCores }: DomainSnapshot): Markup | string {
  if (counters === null || vcpus === 0) return '–';
  const limit = controls.find(({ id }) => id === 'cpu.limit')?.amounts[0]?.actual ?? null;
  const hot = limit !== null && counters.usedCores > 0.95 * limit;
  const waitCores = counters.waitCores - counters.throttledCores;
  const percent = (amount: number): number => Math.round(Math.min(1, Math.max(0, amount / vcpus)) * 1000) / 10;
  const mark = (kind: string, amount: number): Markup =>
    html`<rect class="${kind}" x="${Math.min(99.2, percent(amount))}%" width="2" height="14"/>`;
  const words = `${cores(counters.usedCores)} of ${limit === null ? `${vcpus}.00 cores, no limit` : `${cores(limit)} cores`}`;
  const promised = guaranteedCores === null ? '' : `, guaranteed ${cores(guaranteedCores)}`;
  const lost = [
    counters.throttledCores >= 0.005 && `throttled ${cores(counters.throttledCores)}`,
    waitCores >= 0.005 && `waiting ${cores(waitCores)}`,
  ].filter(Boolean);
  return html`<svg role="img" aria-label="${words}${promised}"><rect class="track" y="3" width="100%" height="8" rx="3"/><rect class="${hot ? 'hot' : 'used'}" y="3" width="${percent(counters.usedCores)}%" height="8" rx="3"/>${guaranteedCores !== null && mark('guarantee', guaranteedCores)}${limit !== null && mark('limit', limit)}</svg>${words}<small>${[promised.slice(2), ...lost].filter(Boolean).join(' · ')}</small>`;
}

function compliance(domain: DomainSnapshot, snapshot: Snapshot): Markup {
  const held = domain.handsOff;
  const until = held?.untilMs == null ? '' : ` until ${time(held.untilMs)}`;
  const mark =
    held !== null
      ? html`<span class="pill warn">${held.kind}${until}</span>`
      : domain.className === null || !isActive(domain)
        ? html`<span class="pill">not judged</span>`
        : domain.compliant
          ? html`<span class="pill good">compliant</span>`
          : html`<span class="pill bad">not compliant</span>`;
  const found = held === null ? noncompliances(domain, snapshot) : [];
  const why = found.map(({ control, reason }) => {
    const text = control === '' ? domain.obstacle : (domain.controls.find(({ id }) => id === control)?.reason ?? null);
    return html`<li>${control !== '' && html`<code>${control}</code> `}${reason}${text !== null && `: ${text}`}</li>`;
  });
  const unsupported = domain.controls.filter(({ status }) => status === 'unsupported').map(({ id }) => id);
  if (unsupported.length > 0) why.push(html`<li><small>unsupported: ${unsupported.join(', ')}</small></li>`);
  return html`${mark}${why.length > 0 && html`<ul class="why">${why}</ul>`}`;
}

function foot(snapshot: Snapshot): Markup {
  return html`<footer><span>As of <time datetime="${new Date(snapshot.atMs).toISOString()}">${time(snapshot.atMs)}</time></span>
<a href="/?follow">follow</a>
<a href="/metrics">/metrics</a><a href="/api/v1/status">/api/v1/status</a><a href="/api/v1/domains">/api/v1/domains</a><a href="/api/v1/policy">/api/v1/policy</a></footer>`;
}

function cores(amount: number): string {
  return amount.toFixed(2);
}

function time(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
