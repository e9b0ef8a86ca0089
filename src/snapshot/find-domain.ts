/** One guest among many by uuid or by name, as an operator gives it. Pure. */
import { nearest } from '../config/suggest.js';
import { VirtsladError } from '../errors.js';
import { printable } from '../text/printable.js';

interface Named {
  readonly uuid: string;
  readonly name: string;
}

/** A uuid wins over a name that looks like one. @throws VirtsladError DOMAIN_UNKNOWN, DOMAIN_AMBIGUOUS */
export function findDomain<D extends Named>(domains: readonly D[], nameOrUuid: string): D {
  const uuid = nameOrUuid.toLowerCase();
  const found = domains.filter((domain) => domain.uuid === uuid);
  if (found.length === 0) found.push(...domains.filter((domain) => domain.name === nameOrUuid));
  const [domain, ...others] = found;
  if (domain !== undefined && others.length === 0) return domain;
  if (domain !== undefined) {
    throw new VirtsladError({
      code: 'DOMAIN_AMBIGUOUS',
      message: `${found.length} guests are named ${printable(nameOrUuid)}`,
      fix: `give the uuid: ${found.map((one) => one.uuid).join(', ')}`,
    });
  }
  const meant = nearest(
    nameOrUuid,
    domains.map(({ name }) => name),
  );
  throw new VirtsladError({
    code: 'DOMAIN_UNKNOWN',
    message: `no guest is named ${printable(nameOrUuid)} or has that uuid`,
    fix:
      meant === null
        ? 'virtslad status lists the guests'
        : `did you mean ${printable(meant)}? virtslad status lists the guests`,
  });
}
