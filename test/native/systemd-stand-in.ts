/**
 * A stand-in for systemd on a private bus, a process of its own: `node systemd-stand-in.js ADDRESS`. Owns systemd's name,
 * says `ready`, then a line of JSON for each SetUnitProperties. A unit's name says how it is answered: `gone…` is no
 * unit, `invalid…` is refused, `silent…` is not answered, `dies…` ends the process.
 */
import { writeSync } from 'node:fs';
import { type Pointer, readString, requireLibrary } from '../../src/host/ffi.js';

const library = requireLibrary('libsystemd.so.0');
const P = 'void *';
const int = (name: string, ...parameters: readonly ('void *' | 'str' | 'int' | 'ulong')[]) =>
  library.bind(name, 'int', parameters) as (...args: readonly unknown[]) => number;

const call = {
  make: int('sd_bus_new', P),
  setAddress: int('sd_bus_set_address', P, 'str'),
  setClient: int('sd_bus_set_bus_client', P, 'int'),
  start: int('sd_bus_start', P),
  own: int('sd_bus_request_name', P, 'str', 'ulong'),
  process: int('sd_bus_process', P, P),
  wait: int('sd_bus_wait', P, 'ulong'),
  read: int('sd_bus_message_read_basic', P, 'int', P),
  enter: int('sd_bus_message_enter_container', P, 'int', 'str'),
  leave: int('sd_bus_message_exit_container', P),
  newReturn: int('sd_bus_message_new_method_return', P, P),
  append: int('sd_bus_message_append_basic', P, 'int', P),
  open: int('sd_bus_message_open_container', P, 'int', 'str'),
  close: int('sd_bus_message_close_container', P),
  send: int('sd_bus_send', P, P, P),
  setError: int('sd_bus_error_set', P, 'str', 'str'),
  replyError: int('sd_bus_reply_method_error', P, P),
};
const member = library.bind('sd_bus_message_get_member', 'str', [P]) as (message: Pointer) => string | null;

const code = (type: string) => type.charCodeAt(0);
const held = new Map<string, bigint>();

function succeed(result: number): number {
  if (result < 0) throw new Error(`sd-bus: ${result}`);
  return result;
}

function readWord(message: Pointer, type: string): bigint {
  const word = new BigUint64Array(1);
  succeed(call.read(message, code(type), word));
  return word[0] ?? 0n;
}

function readText(message: Pointer): string {
  return readString(readWord(message, 's'));
}

function reply(message: Pointer, fill: (answer: Pointer) => void): void {
  const answer = new BigUint64Array(1);
  succeed(call.newReturn(message, answer));
  fill(answer[0] ?? null);
  succeed(call.send(null, answer[0], null));
}

function refuse(message: Pointer, name: string, why: string): void {
  const error = new BigUint64Array(3);
  call.setError(error, name, why);
  succeed(call.replyError(message, error));
}

function answer(message: Pointer): void {
  switch (member(message)) {
    case 'GetUnit': {
      const unit = readText(message);
      if (unit.startsWith('gone')) {
        refuse(message, 'org.freedesktop.systemd1.NoSuchUnit', `Unit ${unit} not loaded.`);
        return;
      }
      reply(message, (it) => call.append(it, code('o'), Buffer.from('/org/freedesktop/systemd1/unit/one\0')));
      return;
    }
    case 'SetUnitProperties':
      setUnitProperties(message);
      return;
    case 'Get': {
      const wanted = `${readText(message)} ${readText(message)}`;
      reply(message, (it) => {
        call.open(it, code('v'), 't');
        call.append(it, code('t'), new BigUint64Array([held.get(wanted) ?? 0n]));
        call.close(it);
      });
    }
  }
}

function setUnitProperties(message: Pointer): void {
  const unit = readText(message);
  const runtime = readWord(message, 'b') === 1n;
  const properties: [string, string][] = [];
  succeed(call.enter(message, code('a'), '(sv)'));
  while (succeed(call.enter(message, code('r'), 'sv')) > 0) {
    const name = readText(message);
    succeed(call.enter(message, code('v'), 't'));
    const value = readWord(message, 't');
    properties.push([name, String(value)]);
    held.set(`org.freedesktop.systemd1.${unit.endsWith('.slice') ? 'Slice' : 'Scope'} ${name}`, value);
    call.leave(message);
    call.leave(message);
  }
  writeSync(1, `${JSON.stringify({ unit, runtime, properties })}\n`);
  if (unit.startsWith('silent')) return;
  if (unit.startsWith('dies')) process.exit(0);
  if (unit.startsWith('invalid')) {
    refuse(message, 'org.freedesktop.DBus.Error.InvalidArgs', 'Value specified in CPUWeight is out of range');
    return;
  }
  reply(message, () => {});
}

const bus = new BigUint64Array(1);
succeed(call.make(bus));
succeed(call.setAddress(bus[0], process.argv[2]));
succeed(call.setClient(bus[0], 1));
succeed(call.start(bus[0]));
succeed(call.own(bus[0], 'org.freedesktop.systemd1', 0));
writeSync(1, 'ready\n');
for (;;) {
  const message = new BigUint64Array(1);
  if (succeed(call.process(bus[0], message)) === 0) call.wait(bus[0], 2n ** 64n - 1n);
  else if (message[0]) answer(message[0]);
}
