/** Colour and weight of terminal text. Takes a decision (colour or not), gives functions from text to text. */

export type Paint = (text: string) => string;

export interface Style {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly cyan: Paint;
}

const plain: Paint = (text) => text;

export const PLAIN: Style = { bold: plain, dim: plain, red: plain, green: plain, yellow: plain, cyan: plain };

/** ECMA-48 SGR; each ends with its own off code, so that bold around a colour survives. */
function sgr(on: number, off: number): Paint {
  return (text) => (text === '' ? '' : `\u001b[${on}m${text}\u001b[${off}m`);
}

const COLOURED: Style = {
  bold: sgr(1, 22),
  dim: sgr(2, 22),
  red: sgr(31, 39),
  green: sgr(32, 39),
  yellow: sgr(33, 39),
  cyan: sgr(36, 39),
};

export function styleFor(color: boolean): Style {
  return color ? COLOURED : PLAIN;
}

/**
 * Colour on a terminal only. A non-empty NO_COLOR turns it off everywhere (no-color.org); FORCE_COLOR turns it on
 * for pipes, `0` off; NO_COLOR wins.
 */
export function wantsColor(isTerminal: boolean, environment: Readonly<Record<string, string | undefined>>): boolean {
  if (environment.NO_COLOR) return false;
  const force = environment.FORCE_COLOR;
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false';
  return isTerminal && environment.TERM !== 'dumb';
}
