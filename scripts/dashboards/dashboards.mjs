// The dashboards for Grafana that the repository ships, as code: file → its content. Pure; `npm run generate` writes them.
import { classDashboard } from './class.mjs';
import { daemonDashboard } from './daemon.mjs';
import { fleetDashboard } from './fleet.mjs';
import { guestDashboard } from './guest.mjs';

export const DASHBOARDS = {
  'dashboards/grafana/virtslad-fleet.json': fleetDashboard,
  'dashboards/grafana/virtslad-class.json': classDashboard,
  'dashboards/grafana/virtslad-guest.json': guestDashboard,
  'dashboards/grafana/virtslad-daemon.json': daemonDashboard,
};
