/**
 * The answer to a scrape. Takes each cycle's snapshot and duration, gives the page of metrics. It sees nothing but
 * snapshots, renders once for each of them however often it is asked, and touches neither libvirt nor cgroups.
 */
import type { Control } from '../controls/control.js';
import { CONTROLS } from '../controls/registry.js';
import type { Snapshot } from '../snapshot/types.js';
import { daemonFamilies } from './daemon-families.js';
import { domainFamilies } from './domain-families.js';
import { LabelCache, writeDomainFamilies } from './exposition.js';
import type { Family } from './family.js';
import { OWN_FAMILIES, type ProcessFigures, readProcessFigures } from './own-families.js';
import { CONTENT_TYPE, FixedRegistry } from './registry.js';

export interface MetricsOptions {
  readonly version: string;
  /** Default: the control registry. */
  readonly controls?: readonly Control[];
  /** The most series about guests in one answer; default 120,000. Guests that do not fit are left out whole. */
  readonly domainSeriesMax?: number;
  readonly processFigures?: () => Promise<ProcessFigures>;
  /** Default: the version of the Node.js that runs. */
  readonly nodeVersion?: string;
}

export interface RenderedMetrics {
  readonly body: Buffer;
  readonly contentType: string;
}

export interface Metrics {
  /** A reconcile cycle ended, well or not, after `seconds`. */
  observeCycle(seconds: number): void;
  update(snapshot: Snapshot): void;
  /** Always the text format 0.0.4, uncompressed: compressing costs several times what rendering does. */
  render(): Promise<RenderedMetrics>;
}

export const DOMAIN_SERIES_MAX = 120_000;

/** Before the first snapshot the plain counters are there at 0 and the gauges are absent. */
export function createMetrics(options: MetricsOptions): Metrics {
  const controls = options.controls ?? CONTROLS;
  const seriesMax = options.domainSeriesMax ?? DOMAIN_SERIES_MAX;
  const processFigures = options.processFigures ?? readProcessFigures;
  const ofDaemon = daemonFamilies(controls);
  const ofDomain = domainFamilies(controls);
  const registry = new FixedRegistry([...OWN_FAMILIES, ...ofDaemon] as readonly Family<never>[]);
  const labels = new LabelCache();
  let snapshot: Snapshot | null = null;
  let rendering: Promise<RenderedMetrics> | null = null;
  let seriesDropped = 0;

  async function renderNow(): Promise<RenderedMetrics> {
    const figures = await processFigures();
    // No await up to the call of text(): an answer is about one snapshot, also when two are under way.
    const domains = snapshot === null ? null : writeDomainFamilies(ofDomain, snapshot, labels, seriesMax);
    seriesDropped += domains?.dropped ?? 0;
    if (snapshot !== null) registry.set(ofDaemon, snapshot);
    registry.set(OWN_FAMILIES, {
      version: options.version,
      nodeVersion: options.nodeVersion ?? process.versions.node,
      series: domains?.series ?? 0,
      seriesDropped,
      process: figures,
    });
    const fixed = Buffer.from(await registry.text());
    const parts = domains === null ? [fixed] : [fixed, Buffer.from('\n'), domains.body];
    return { body: Buffer.concat(parts), contentType: CONTENT_TYPE };
  }

  return {
    observeCycle(seconds) {
      registry.observeCycle(seconds);
      rendering = null;
    },
    update(next) {
      if (next === snapshot) return;
      snapshot = next;
      rendering = null;
    },
    render() {
      rendering ??= renderNow().catch((error: unknown) => {
        rendering = null;
        throw error;
      });
      return rendering;
    },
  };
}
