/**
 * May we write now? Asked again before every domain's writes: the kill switch is looked at in the file system, not
 * remembered, so that it stops a cycle half way.
 */
import { existsSync } from 'node:fs';
import type { Config } from '../config/types.js';

export type Stop = 'observe mode' | 'kill switch';

export class Gate {
  readonly #config: Pick<Config, 'mode' | 'killSwitch'>;

  constructor(config: Pick<Config, 'mode' | 'killSwitch'>) {
    this.#config = config;
  }

  /** Null when writing is allowed. */
  stop(): Stop | null {
    if (this.#config.mode === 'observe') return 'observe mode';
    return this.killSwitch() ? 'kill switch' : null;
  }

  killSwitch(): boolean {
    return existsSync(this.#config.killSwitch);
  }
}
