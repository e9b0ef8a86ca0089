/** One guest of a snapshot by uuid or by name. Pure. */
import { VirtsladError } from '../errors.js';
import { printable } from '../printable.js';
import type { DomainSnapshot, Snapshot } from '../snapshot/types.js';

/** A uuid wins over a name that looks like one. Fails DOMAIN_UNKNOWN or, for a name that two guests have, DOMAIN_AMBIGUOUS. */
export function findDomain(snapshot: Snapshot, nameOrUuid: string): DomainSnapshot {
  const uuid = nameOrUuid.toLowerCase();
  const found = snapshot.domains.filter((domain) => domain.uuid === uuid);
  if (found.length === 0) found.push(...snapshot.domains.filter((domain) => domain.name === nameOrUuid));
  if (found.length > 1) {
    throw new VirtsladError({
      code: 'DOMAIN_AMBIGUOUS',
      message: `${found.length} guests are named ${printable(nameOrUuid)}`,
      fix: `give the uuid: ${found.map((domain) => domain.uuid).join(', ')}`,
    });
  }
  const [domain] = found;
  if (domain === undefined) {
    throw new VirtsladError({
      code: 'DOMAIN_UNKNOWN',
      message: `no guest is named ${printable(nameOrUuid)} or has that uuid`,
      fix: 'virtslad status lists the guests',
    });
  }
  return domain;
}
