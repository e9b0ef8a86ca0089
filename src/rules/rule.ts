/** What a file of Prometheus rules consists of, and the labels by which Sloth's dashboards know an objective. Pure. */
import { formatDuration } from '../units.js';

export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** critical: somebody is woken. warning: somebody looks at it in working hours. */
export type Severity = 'critical' | 'warning';

export interface AlertingRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>> & { readonly severity: Severity };
  readonly annotations: {
    /** One sentence that is the same for all. */
    readonly summary: string;
    /** What and where, by templates of Prometheus: names of guests come in here alone. */
    readonly description: string;
    readonly runbook_url: string;
  };
}

export interface RuleGroup {
  readonly name: string;
  /** How often it is evaluated; as Prometheus is configured when absent. */
  readonly interval?: string;
  readonly rules: readonly (RecordingRule | AlertingRule)[];
}

export interface RulesOptions {
  /** Before `/NAME.md` of an alert's page. */
  readonly runbookUrl: string;
  /** Name of the job by which Prometheus scrapes virtslad. */
  readonly job: string;
}

/** Where the installation puts the pages. */
export const DEFAULT_OPTIONS: RulesOptions = { runbookUrl: '/usr/lib/virtslad/docs/runbooks', job: 'virtslad' };

export function runbookOf(alert: string, { runbookUrl }: RulesOptions): string {
  return `${runbookUrl}/${alert}.md`;
}

/** One objective of a class, as the rules name it. */
export interface ObjectiveName {
  readonly className: string;
  readonly sli: string;
}

/** Dots are not for names in Sloth: `cpu.delivered` → `cpu-delivered`. */
export function slugOf({ className, sli }: ObjectiveName): string {
  return `${className}-${sli.replaceAll('.', '-')}`;
}

export function slothLabels(name: ObjectiveName): Readonly<Record<string, string>> {
  return {
    sloth_id: `virtslad-${slugOf(name)}`,
    sloth_service: `virtslad-${name.className}`,
    sloth_slo: name.sli.replaceAll('.', '-'),
  };
}

/** Both are of fixed alphabets (`[a-z0-9-]`, names of SLIs), so nothing in them can end the string. */
export function secondsOf({ className, sli }: ObjectiveName, result: string): string {
  return `virtsla_slo_seconds_total{class="${className}",sli="${sli}",result${result}}`;
}

/** Seconds on which somebody passed judgement: unknown and excluded ones are on neither side. */
export const JUDGED = '=~"good|bad"';
export const BAD = '="bad"';

/** Of one guest: bad seconds in a second. Not Sloth's name, whose dashboards take one series for each objective. */
export function guestRatioName(seconds: number): string {
  return `virtsla:slo_bad:ratio_rate${formatDuration(seconds)}`;
}

/** Of a class over all its guests and hosts. */
export function classRatioName(seconds: number): string {
  return `slo:sli_error:ratio_rate${formatDuration(seconds)}`;
}
