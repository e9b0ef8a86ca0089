/**
 * libvirt's typed parameters: takes an array of virTypedParameter in C memory, gives a record of name → value, and the
 * other way round. Layout as on 64-bit little-endian Linux, the only kind that koffi ships a binary for and KVM runs on.
 */
import { freeMemory, type Pointer, readBytes, readString, requireLibrary } from '../ffi.js';
import { TYPED, TYPED_PARAMETER } from './bindings.js';

export type TypedValue = number | bigint | boolean | string;
/** A Map, because names come from outside. */
export type TypedValues = ReadonlyMap<string, TypedValue>;

const { size, fieldLength, typeOffset, valueOffset } = TYPED_PARAMETER;

/** Copies `count` parameters, out of C memory or of a block that C has filled. Unknown types are left out. */
export function decodeTypedParameters(source: Pointer | Uint8Array, count: number): TypedValues {
  const values = new Map<string, TypedValue>();
  const bytes = source instanceof Uint8Array ? source.subarray(0, count * size) : readBytes(source, count * size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.byteLength; at += size) {
    const value = decodeValue(view, at + valueOffset, view.getInt32(at + typeOffset, true));
    if (value !== undefined) values.set(fieldName(bytes.subarray(at, at + fieldLength)), value);
  }
  return values;
}

/** A parameter to set. libvirt refuses one whose type is not what it expects for that name. */
export type TypedParameter =
  | { readonly name: string; readonly type: 'uint'; readonly value: number }
  | { readonly name: string; readonly type: 'llong' | 'ullong'; readonly value: bigint }
  | { readonly name: string; readonly type: 'boolean'; readonly value: boolean }
  | { readonly name: string; readonly type: 'string'; readonly value: string };

/**
 * Gives `call` a block of parameters to pass on to C. Texts are in memory of C's own, which is there for as long as
 * `call` lasts.
 */
export function withTypedParameters<T>(
  parameters: readonly TypedParameter[],
  call: (block: Uint8Array, count: number) => T,
): T {
  const block = new Uint8Array(parameters.length * size);
  const view = new DataView(block.buffer);
  const strings: Pointer[] = [];
  try {
    parameters.forEach((parameter, index) => {
      const at = index * size;
      const field = Buffer.from(parameter.name, 'latin1');
      if (field.length >= fieldLength) throw new RangeError(`parameter name ${parameter.name} is too long`);
      block.set(field, at);
      view.setInt32(at + typeOffset, TYPED[parameter.type], true);
      encodeValue(view, at + valueOffset, parameter, strings);
    });
    return call(block, parameters.length);
  } finally {
    for (const string of strings) freeMemory(string);
  }
}

function encodeValue(view: DataView, at: number, { type, value }: TypedParameter, strings: Pointer[]): void {
  switch (type) {
    case 'uint':
      // A number that does not fit would be cut to one that does.
      if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) throw new RangeError(`${value} is no uint`);
      view.setUint32(at, value, true);
      break;
    case 'llong':
      view.setBigInt64(at, value, true);
      break;
    case 'ullong':
      view.setBigUint64(at, value, true);
      break;
    case 'boolean':
      view.setUint8(at, value ? 1 : 0);
      break;
    case 'string': {
      const pointer = copyString(value);
      strings.push(pointer);
      view.setBigUint64(at, pointer ?? 0n, true);
    }
  }
}

let strdup: ((text: string) => Pointer) | undefined;

/** strdup(3). */
function copyString(text: string): Pointer {
  if (text.includes('\0')) throw new RangeError('a text with a NUL in it cannot be passed to C');
  strdup ??= requireLibrary('libc.so.6').bind('strdup', 'void *', ['str']) as (text: string) => Pointer;
  return strdup(text);
}

function decodeValue(view: DataView, at: number, type: number): TypedValue | undefined {
  switch (type) {
    case TYPED.int:
      return view.getInt32(at, true);
    case TYPED.uint:
      return view.getUint32(at, true);
    case TYPED.llong:
      return view.getBigInt64(at, true);
    case TYPED.ullong:
      return view.getBigUint64(at, true);
    case TYPED.double:
      return view.getFloat64(at, true);
    case TYPED.boolean:
      return view.getUint8(at) !== 0;
    case TYPED.string: {
      const address = view.getBigUint64(at, true);
      return readString(address === 0n ? null : address);
    }
    default:
      return undefined;
  }
}

function fieldName(field: Uint8Array): string {
  const end = field.indexOf(0);
  return Buffer.from(field.subarray(0, end < 0 ? field.length : end)).toString('latin1');
}
