/**
 * Changing the persistent definition of a domain: takes a connection, a uuid and what its `<seclabel>` is to say, gives an
 * outcome. Synchronous, for a worker thread. Touches neither a running instance nor its monitor.
 */
import type { Pointer } from '../ffi.js';
import * as c from './bindings.js';
import type { LibvirtOutcome } from './client.js';
import { type Connection, type Failed, failed, withDomain } from './domain-call.js';
import { editSeclabel, saysSeclabel, withoutSeclabel } from './seclabel-edit.js';

const ATTEMPTS = 2;
const FOR_WRITING = c.VIR_DOMAIN_XML_INACTIVE | c.VIR_DOMAIN_XML_SECURE;

/**
 * libvirt has no way to define a domain only if nobody else has since it was read. So it is read again right before: what
 * another client defines between that and our own, some milliseconds while libvirt parses, is lost, and a domain that is
 * undefined just then is defined again. Who defines after us wins, which the reading back finds.
 */
export function setSeclabel(connection: Connection, uuid: string, text: string): LibvirtOutcome<null> {
  for (let attempt = 1; ; attempt++) {
    const outcome = withDomain(connection, uuid, (domain) => attemptSeclabel(connection, domain, text));
    if (outcome.ok && outcome.value === 'done') return { ok: true, value: null };
    if (!outcome.ok) return outcome;
    if (attempt === ATTEMPTS)
      return refused(`somebody else changes the definition at the same time (${outcome.value})`);
  }
}

/** Why it has to be begun anew, or `done`. */
function attemptSeclabel(connection: Connection, domain: Pointer, text: string): LibvirtOutcome<string> {
  const { libvirt, handle } = connection;
  const persistent = libvirt.virDomainIsPersistent(domain);
  if (persistent < 0) return failed(connection);
  if (persistent === 0) return refused('a transient domain has no definition that could say it');
  const before = libvirt.virDomainGetXMLDesc(domain, FOR_WRITING);
  if (before === null) return failed(connection);
  const edited = editSeclabel(before, text);
  if (!edited.ok) return refused(edited.problem);
  if (edited.xml === before) return { ok: true, value: 'done' };

  const again = libvirt.virDomainGetXMLDesc(domain, FOR_WRITING);
  if (again === null) return failed(connection);
  if (again !== before) return { ok: true, value: 'it changed while it was read' };
  // Without VIR_DOMAIN_DEFINE_VALIDATE: what libvirt took before it is to take now, whatever the schema says of it.
  const defined = libvirt.virDomainDefineXMLFlags(handle, edited.xml, 0);
  if (defined === null) return failed(connection);
  libvirt.virDomainFree(defined);

  const after = libvirt.virDomainGetXMLDesc(domain, FOR_WRITING);
  if (after === null) return failed(connection);
  if (!saysSeclabel(after, text)) return { ok: true, value: 'it says something else than what was just written' };
  if (withoutSeclabel(after) === withoutSeclabel(before)) return { ok: true, value: 'done' };
  return refused(
    'the label is written, but more of the definition differs: by somebody else at the same time, or by libvirt',
  );
}

function refused(message: string): Failed {
  return { ok: false, failure: 'refused', message };
}
