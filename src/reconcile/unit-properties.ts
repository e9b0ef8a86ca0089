/** Sets what systemd owns, with the outcome in the words that {@link Teller} understands. */
import type { UnitProperties } from '../controls/control.js';
import type { LibvirtOutcome } from '../host/libvirt/client.js';
import type { SystemdProperties } from '../host/systemd/properties.js';

/** systemd answers before it has written the kernel's files. */
const SYSTEMD_WRITES_MS = 100;
const ASK_AGAIN_MS = 5_000;

export async function setUnit(
  systemd: SystemdProperties,
  { unit, properties }: UnitProperties,
  mayBegin: () => boolean,
): Promise<LibvirtOutcome<null>> {
  const outcome = await systemd.set(unit, properties, mayBegin);
  if (outcome.ok) {
    await pause(SYSTEMD_WRITES_MS);
    return { ok: true, value: null };
  }
  const { failure, message } = outcome;
  return { ok: false, failure: failure === 'absent' ? 'disconnected' : failure, message };
}

/** systemd does one thing after the other: once it answers anything, what it was asked before is done. */
export async function settledUnit(systemd: SystemdProperties, { unit }: UnitProperties): Promise<void> {
  for (;;) {
    const reading = await systemd.get(unit, ['CPUWeight']);
    if (reading.ok || reading.failure !== 'timeout') break;
    await pause(ASK_AGAIN_MS, { unref: true });
  }
  await pause(SYSTEMD_WRITES_MS);
}

/** `unref`: the process does not live on for this. */
function pause(ms: number, { unref = false } = {}): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    if (unref) timer.unref();
  });
}
