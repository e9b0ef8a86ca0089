// What a dashboard is made of beside its panels: its variables, the links to the others, and the places of the panels.
import {
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  TextBoxVariableBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DATASOURCE, link } from './panels.mjs';

const COLUMNS = 24;
const TAG = 'virtslad';

/** Stable, so that links and bookmarks outlive an update. */
export const UIDS = {
  fleet: 'virtslad-fleet',
  class: 'virtslad-class',
  guest: 'virtslad-guest',
  daemon: 'virtslad-daemon',
};

/**
 * @param {object} of
 * @param {{ title: string, panels: { panel: object, width: number, height: number }[] }[]} of.sections panels flow from
 *   left to right and go to a new line where the next one does not fit; each section has a heading
 */
export function dashboard({ uid, title, description, variables, sections, range = 'now-6h', refresh = '30s' }) {
  const made = new DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags([TAG])
    .timezone('browser')
    .tooltip(DashboardCursorSync.Crosshair)
    .time({ from: range, to: 'now' })
    .refresh(refresh)
    .version(1)
    .variables(variables)
    .annotations([])
    .links([
      new DashboardLinkBuilder('virtslad')
        .type(DashboardLinkType.Dashboards)
        .tags([TAG])
        .asDropdown(true)
        .includeVars(true)
        .keepTime(true),
    ])
    .build();
  return { ...made, panels: placed(sections) };
}

/** Numbers are in order of place: a panel keeps its number while those before it stay. */
function placed(sections) {
  let id = 1;
  let y = 0;
  const panels = [];
  for (const { title, panels: members } of sections) {
    panels.push(new RowBuilder(title).id(id++).collapsed(false).gridPos({ x: 0, y: y++, w: COLUMNS, h: 1 }).build());
    let x = 0;
    let lineHeight = 0;
    for (const { panel, width, height } of members) {
      if (x + width > COLUMNS) {
        y += lineHeight;
        x = 0;
        lineHeight = 0;
      }
      panels.push(panel.id(id++).gridPos({ x, y, w: width, h: height }).build());
      x += width;
      lineHeight = Math.max(lineHeight, height);
    }
    y += lineHeight;
  }
  return panels;
}

export function datasourceVariable() {
  return new DatasourceVariableBuilder('datasource')
    .label('Data source')
    .type('prometheus')
    .description('The Prometheus that scrapes virtslad');
}

/** All hosts by default; `single` where figures of two hosts must not be mixed. */
export function hostVariable({ single = false } = {}) {
  return variable('host', 'Host', 'Hosts, as Prometheus scrapes them', 'label_values(virtsla_ready, instance)', single);
}

/** Classes that guests have; all of them is also those without one. */
export function classVariable({ single = false } = {}) {
  const of = 'label_values(virtsla_domain_info{instance=~"$host",class!=""}, class)';
  return variable('class', 'Class', 'Classes of the policy that have guests', of, single);
}

export function guestVariable() {
  const of = 'label_values(virtsla_domain_info{instance=~"$host",class=~"$class"}, domain)';
  return variable('domain', 'Guest', 'Guests of the host, as libvirt names them', of, true);
}

export function sliVariable() {
  return variable(
    'sli',
    'SLI',
    'Objectives of the class',
    'label_values(virtsla_slo_objective_ratio{class=~"$class"}, sli)',
    false,
  );
}

/** Typed by hand: a list of hundreds of names is no way to find one. */
export function searchVariable() {
  return new TextBoxVariableBuilder('search')
    .label('Find guest')
    .description('Part of a name, or a regular expression')
    .defaultValue('');
}

function variable(name, label, description, of, single) {
  const made = new QueryVariableBuilder(name)
    .label(label)
    .description(description)
    .datasource(DATASOURCE)
    .query({ qryType: 1, query: of, refId: `variable-${name}` })
    .definition(of)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.NaturalAsc)
    .multi(!single)
    .includeAll(!single);
  // An expression that also matches the empty class of unmanaged guests; the list of all names would not.
  return single ? made : made.allValue('.*').current({ text: 'All', value: '$__all' });
}

// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana puts the variables in.
const KEEP = 'var-datasource=${datasource}&${__url_time_range}';
const field = (name) => `\${__data.fields.${name}:percentencode}`;

/** From the row of a guest to the guest. */
export function toGuest() {
  return link(
    'Show the guest',
    `/d/${UIDS.guest}?var-host=${field('instance')}&var-class=${field('class')}&var-domain=${field('domain')}&${KEEP}`,
  );
}

/** From the row of a guest of the class that is shown. */
export function toGuestOfClass() {
  return link(
    'Show the guest',
    `/d/${UIDS.guest}?var-host=${field('instance')}&var-class=\${class:percentencode}&var-domain=${field('domain')}&${KEEP}`,
  );
}

export function toClass() {
  return link('Show the class', `/d/${UIDS.class}?var-class=${field('class')}&${KEEP}`);
}

export function toDaemon() {
  return link('Show the daemon', `/d/${UIDS.daemon}?var-host=${field('instance')}&${KEEP}`);
}
