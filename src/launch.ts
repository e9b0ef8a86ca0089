#!/usr/bin/env node
/**
 * The same as `virtslad launch`, as an executable file of its own: on a host with SELinux its label lets it, and it alone,
 * start a program under another label.
 */
process.argv.splice(2, 0, 'launch');
await import('./main.js');
