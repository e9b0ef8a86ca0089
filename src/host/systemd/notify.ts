/**
 * The service notification protocol: takes a state such as `READY=1`, tells systemd through libsystemd (Node has no
 * AF_UNIX datagram sockets). Outside a Type=notify service everything here does nothing.
 */
import { loadLibrary } from '../ffi.js';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * sd_notify(3). Variables are separated by newlines: `READY=1\nSTATUS=…`.
 * @returns true when systemd was told; false outside a service, without libsystemd, or when the socket is gone.
 */
export function notify(state: string, env: Environment = process.env): boolean {
  if (!env.NOTIFY_SOCKET) return false;
  const systemd = loadLibrary('libsystemd.so.0');
  if (!systemd.ok) return false;
  const sdNotify = systemd.library.bind('sd_notify', 'int', ['int', 'str']) as (
    unsetEnvironment: number,
    state: string,
  ) => number;
  return sdNotify(0, state) > 0;
}

/**
 * WatchdogSec= of the unit in ms, as sd_watchdog_enabled(3) reads it; null when systemd expects no keep-alive from this
 * process. `WATCHDOG=1` is due at less than half of it.
 */
export function watchdogIntervalMs(env: Environment = process.env, pid: number = process.pid): number | null {
  const usec = Number(env.WATCHDOG_USEC);
  if (!env.NOTIFY_SOCKET || !Number.isSafeInteger(usec) || usec <= 0) return null;
  if (env.WATCHDOG_PID !== undefined && env.WATCHDOG_PID !== '' && Number(env.WATCHDOG_PID) !== pid) return null;
  return usec / 1000;
}
