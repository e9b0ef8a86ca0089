/**
 * The name of the systemd scope that a guest is started in. Pure. What people see in it is the guest's name; what makes it
 * one of a kind is the uuid. Source: systemd.unit(5), unit_name_escape in systemd's src/basic/unit-name.c.
 */

/** A unit's name may have 255 bytes; an escaped byte takes four. */
const NAME_BYTES_MAX = 40;

/** `machine-virtslad\x2dweb\x2d1b4e28ba-….scope` */
export function scopeName(name: string, uuid: string): string {
  const shown = Buffer.from(name).subarray(0, NAME_BYTES_MAX);
  const escaped = [...shown].map(escapeByte).join('');
  return `machine-virtslad\\x2d${escaped}\\x2d${uuid.replaceAll('-', '\\x2d')}.scope`;
}

function escapeByte(byte: number): string {
  const letter = String.fromCharCode(byte);
  return /[A-Za-z0-9_]/.test(letter) ? letter : `\\x${byte.toString(16).padStart(2, '0')}`;
}
