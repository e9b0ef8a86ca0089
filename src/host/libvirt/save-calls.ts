/**
 * The calls of saving.ts, each made synchronously on a worker thread: takes an open connection, gives an outcome.
 */
import * as c from './bindings.js';
import type { LibvirtOutcome } from './client.js';
import { type Connection, done, failed, idOf, withDomain, withInstance } from './domain-call.js';
import { parseSeclabels } from './domain-xml.js';
import type { CallValue, SaveCall } from './protocol.js';
import type { SavedImage } from './saving.js';
import { editSeclabel, saysSeclabel } from './seclabel-edit.js';

/** virDomainState */
const PAUSED = 3;

export function makeSaveCall(connection: Connection, call: SaveCall): LibvirtOutcome<CallValue> {
  const { libvirt } = connection;
  const { uuid } = call;
  switch (call.op) {
    case 'managedSave':
      // Through the page cache: without it (VIR_DOMAIN_SAVE_BYPASS_CACHE) a file system without O_DIRECT refuses.
      return withInstance(connection, uuid, call.id, (domain) =>
        done(connection, libvirt.virDomainManagedSave(domain, call.paused ? c.VIR_DOMAIN_SAVE_PAUSED : 0)),
      );
    case 'abortJob':
      return withDomain(connection, uuid, (domain) => done(connection, libvirt.virDomainAbortJob(domain)));
    case 'hasManagedSave':
      return withDomain(connection, uuid, (domain) => {
        const has = libvirt.virDomainHasManagedSaveImage(domain, 0);
        return has < 0 ? failed(connection) : { ok: true, value: has > 0 };
      });
    case 'managedSaveXml':
      return readSaved(connection, uuid);
    case 'managedSaveDefine':
      return changeSaved(connection, uuid, call.text);
    case 'startGuest':
      return startGuest(connection, uuid, call);
    case 'suspend':
    case 'resume':
      return setRunning(connection, uuid, call.id, call.op === 'resume');
  }
}

function startGuest(
  connection: Connection,
  uuid: string,
  { paused, restoreOnly }: Extract<SaveCall, { op: 'startGuest' }>,
): LibvirtOutcome<number> {
  const { libvirt } = connection;
  const image = restoreOnly ? readSaved(connection, uuid) : null;
  if (image !== null && !image.ok) return image;
  return withDomain(connection, uuid, (domain) => {
    const result = libvirt.virDomainCreateWithFlags(domain, paused ? c.VIR_DOMAIN_START_PAUSED : 0);
    const id = result < 0 ? null : idOf(libvirt, domain);
    return id === null ? failed(connection) : { ok: true, value: id };
  });
}

/** libvirt refuses to resume a guest that runs. */
function setRunning(connection: Connection, uuid: string, id: number, running: boolean): LibvirtOutcome<null> {
  const { libvirt } = connection;
  return withInstance(connection, uuid, id, (domain) => {
    const state = new Int32Array(2);
    if (libvirt.virDomainGetState(domain, state.subarray(0, 1), state.subarray(1, 2), 0) < 0) return failed(connection);
    if ((state[0] !== PAUSED) === running) return { ok: true, value: null };
    return done(connection, running ? libvirt.virDomainResume(domain) : libvirt.virDomainSuspend(domain));
  });
}

function readSaved(connection: Connection, uuid: string): LibvirtOutcome<SavedImage> {
  const xml = savedXml(connection, uuid);
  if (!xml.ok) return xml;
  try {
    return { ok: true, value: { seclabels: parseSeclabels(xml.value) } };
  } catch (error) {
    return { ok: false, failure: 'refused', message: error instanceof Error ? error.message : String(error) };
  }
}

function savedXml(connection: Connection, uuid: string): LibvirtOutcome<string> {
  return withDomain(connection, uuid, (domain) => {
    const xml = connection.libvirt.virDomainManagedSaveGetXMLDesc(domain, c.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE);
    return xml === null ? failed(connection) : { ok: true, value: xml };
  });
}

/** libvirt writes the head of the image anew in place, where it left room for it; it refuses what does not fit. */
function changeSaved(connection: Connection, uuid: string, text: string): LibvirtOutcome<null> {
  const before = savedXml(connection, uuid);
  if (!before.ok) return before;
  const edited = editSeclabel(before.value, text);
  if (!edited.ok) return { ok: false, failure: 'refused', message: edited.problem };
  if (edited.xml === before.value) return { ok: true, value: null };
  const set = withDomain(connection, uuid, (domain) =>
    done(connection, connection.libvirt.virDomainManagedSaveDefineXML(domain, edited.xml, 0)),
  );
  if (!set.ok) return set;
  const after = savedXml(connection, uuid);
  if (!after.ok) return after;
  if (saysSeclabel(after.value, text)) return { ok: true, value: null };
  return {
    ok: false,
    failure: 'refused',
    message: 'libvirt took the label for the saved image, which does not have it',
  };
}
