/** Where the repository and its build are, seen from the compiled tests in build/. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** The built command, as `npm run build` makes it. */
export const VIRTSLAD = join(ROOT, 'dist', 'main.js');
