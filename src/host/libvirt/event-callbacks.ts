/**
 * The callbacks that libvirt calls for domain events: turns each into a LibvirtEvent and collects them until the loop
 * takes them. They run inside libvirt's event loop, on the thread that registered them, and make local calls only.
 */
import { type NativeType, type Pointer, registerCallback } from '../ffi.js';
import * as c from './bindings.js';
import type { LibvirtEvent, LifecycleEvent } from './client.js';
import { type Connection, uuidOf } from './domain-call.js';
import { decodeTypedParameters } from './typed-parameters.js';

export interface EventCallbacks {
  /** @returns why not, or null. */
  registerOn(connection: Connection): string | null;
  deregisterFrom(connection: Connection): void;
  /** The events since the last time, oldest first. */
  take(): readonly LibvirtEvent[];
  /** Frees the callbacks; only once no connection has them. */
  unregister(): void;
}

/** virDomainEventType, in order. */
const LIFECYCLE: readonly LifecycleEvent[] = [
  'defined',
  'undefined',
  'started',
  'suspended',
  'resumed',
  'stopped',
  'shutdown',
  'pmsuspended',
  'crashed',
];

export function eventCallbacks(libvirt: c.LibvirtLibrary): EventCallbacks {
  let collected: LibvirtEvent[] = [];
  let registered: number[] = [];

  /** An exception must not reach C; nothing here is known to throw. */
  function collect<A extends never[]>(
    parameters: readonly NativeType[],
    toEvent: (uuid: string, domain: Pointer, ...rest: A) => LibvirtEvent | null,
  ) {
    return registerCallback(parameters, ((_connection: Pointer, domain: Pointer, ...rest: A) => {
      const event = toEvent(uuidOf(libvirt, domain), domain, ...rest);
      if (event !== null) collected.push(event);
    }) as (...args: never[]) => void);
  }

  const parameters = c.EVENT_CALLBACK_PARAMETERS;
  const device = (uuid: string): LibvirtEvent => ({ kind: 'device', uuid });
  const callbacks = {
    lifecycle: collect(parameters.lifecycle, (uuid, domain, event: number, detail: number) => {
      const name = libvirt.virDomainGetName(domain) ?? '';
      const kind = LIFECYCLE[event];
      return kind === undefined ? null : { kind: 'lifecycle', uuid, name, event: kind, detail };
    }),
    tunable: collect(parameters.tunable, (uuid, _domain, values: Pointer, count: number) => {
      const list = [...decodeTypedParameters(values, count)].map(([name, value]) => [name, String(value)] as const);
      return { kind: 'tunable', uuid, parameters: Object.fromEntries(list) };
    }),
    metadataChange: collect(parameters.metadataChange, (uuid) => ({ kind: 'metadata', uuid })),
    deviceAdded: collect(parameters.deviceAdded, device),
    deviceRemoved: collect(parameters.deviceRemoved, device),
  } satisfies Record<keyof typeof c.VIR_DOMAIN_EVENT_ID, ReturnType<typeof registerCallback>>;

  return {
    registerOn({ handle }) {
      for (const [name, callback] of Object.entries(callbacks)) {
        const eventId = c.VIR_DOMAIN_EVENT_ID[name as keyof typeof c.VIR_DOMAIN_EVENT_ID];
        const id = libvirt.virConnectDomainEventRegisterAny(handle, null, eventId, callback.pointer, null, null);
        if (id >= 0) registered.push(id);
        // Lifecycle events are the one kind that the daemon cannot do without; an old libvirtd may lack others.
        else if (name === 'lifecycle') return `no lifecycle events: ${libvirt.virGetLastErrorMessage() ?? ''}`;
      }
      return null;
    },
    deregisterFrom({ handle }) {
      // On a broken connection the call fails after it has forgotten the callback on this side, which is what counts.
      for (const id of registered) libvirt.virConnectDomainEventDeregisterAny(handle, id);
      registered = [];
    },
    take() {
      const events = collected;
      if (events.length > 0) collected = [];
      return events;
    },
    unregister() {
      for (const callback of Object.values(callbacks)) callback.unregister();
    },
  };
}
