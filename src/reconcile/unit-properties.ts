/** Sets what systemd owns, with the outcome in the words that {@link Teller} understands. */
import type { UnitProperties } from '../controls/control.js';
import type { LibvirtOutcome } from '../host/libvirt/client.js';
import type { SystemdProperties } from '../host/systemd/properties.js';

/** systemd answers before it has written the kernel's files. */
const SYSTEMD_WRITES_MS = 100;

export async function setUnit(
  systemd: SystemdProperties,
  { unit, properties }: UnitProperties,
): Promise<LibvirtOutcome<null>> {
  const outcome = await systemd.set(unit, properties);
  if (outcome.ok) {
    await new Promise((resolve) => setTimeout(resolve, SYSTEMD_WRITES_MS));
    return { ok: true, value: null };
  }
  const { failure, message } = outcome;
  return { ok: false, failure: failure === 'absent' ? 'disconnected' : failure, message };
}
