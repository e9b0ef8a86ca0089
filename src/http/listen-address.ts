/** `--web.listen-address` as text to host and port. Pure. */
import { VirtsladError } from '../errors.js';

export interface ListenAddress {
  /** `::` for every address, IPv4 included; never in brackets. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** `host:port`, `[v6]:port`, or `:port` for every address. `localhost` is 127.0.0.1. Fails HTTP_LISTEN_ADDRESS. */
export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s/]*)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new VirtsladError({
      code: 'HTTP_LISTEN_ADDRESS',
      message: `${JSON.stringify(text)} is not an address to listen on`,
      where: '--web.listen-address',
      fix: 'write HOST:PORT, such as 127.0.0.1:19177, [::1]:19177 or :19177 for every address',
    });
  }
  const host = match[1] ?? match[2] ?? '';
  if (host === '') return { host: '::', port };
  return { host: host === 'localhost' ? '127.0.0.1' : host, port };
}
