// The pictures of the README, from the program itself: runs the demo, asks it to explain a guest, and draws both as
// SVG. Needs what the demo needs, and a host that is otherwise idle, or the figures are those of a busy one.
//   node scripts/picture.mjs                          makes docs/images/demo.svg and docs/images/explain.svg anew
//   PROGRAM | node scripts/picture.mjs --title TEXT   draws any terminal text, to stdout
// Drawn is the screen as it stands at the end: what a program drew over is not seen.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { ROOT } from './bootstrap.mjs';
import { run } from './child.mjs';

const PLAIN = { bold: false, dim: false, color: null };

/** SGR colours 30–37 and 90–97 on a dark ground; all have a contrast of at least 4.5 to it. */
const COLORS = ['#8b949e', '#ff7b72', '#56d364', '#e3b341', '#79c0ff', '#d2a8ff', '#56d4dd', '#e6edf3'];
const TEXT = '#e6edf3';
const DIM = '#9aa4af';
const GROUND = '#0d1117';
const BAR = '#161b22';
const EDGE = '#30363d';

const SIZE = 13;
const CELL_WIDTH = 7.8;
const CELL_HEIGHT = 18;
const MARGIN = 16;
const BAR_HEIGHT = 34;
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminal text is made of them
const TOKEN = /\u001b\[([0-9;?]*)([A-Za-z])|\u001b\][^\u0007]*\u0007|./gsu;
const FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace";

/**
 * The screen after `text`: lines of cells, each `{ character, style }`. Knows line feed, carriage return, the cursor
 * movements and erasures of ECMA-48 that programs use to draw over themselves, and SGR; skips all other sequences.
 */
function screenOf(text) {
  const lines = [[]];
  let row = 0;
  let column = 0;
  let style = PLAIN;
  const goTo = (newRow, newColumn) => {
    row = Math.max(0, newRow);
    column = Math.max(0, newColumn);
    while (lines.length <= row) lines.push([]);
  };
  for (const [token, parameters, command] of text.matchAll(TOKEN)) {
    const count = Number(parameters?.split(';')[0] || 1);
    if (token === '\n') goTo(row + 1, 0);
    else if (token === '\r') goTo(row, 0);
    else if (command === 'm') style = restyled(style, parameters);
    else if (command === 'A') goTo(row - count, column);
    else if (command === 'B') goTo(row + count, column);
    else if (command === 'C') goTo(row, column + count);
    else if (command === 'D') goTo(row, column - count);
    else if (command === 'F') goTo(row - count, 0);
    else if (command === 'G') goTo(row, count - 1);
    else if (command === 'H') goTo(count - 1, Number(parameters.split(';')[1] || 1) - 1);
    else if (command === 'K') lines[row].splice(parameters === '2' ? 0 : column);
    else if (command === 'J') {
      if (parameters === '2') lines.splice(0, lines.length, ...lines.map(() => []));
      else lines.splice(row, lines.length, lines[row].slice(0, column));
    } else if (!token.startsWith('\u001b') && token >= ' ') {
      while (lines[row].length < column) lines[row].push({ character: ' ', style: PLAIN });
      lines[row][column] = { character: token, style };
      column++;
    }
  }
  while (lines.length > 1 && lines.at(-1).every(({ character }) => character === ' ')) lines.pop();
  return lines;
}

function restyled(style, parameters) {
  const codes = parameters.split(';').map(Number);
  let next = style;
  for (const code of codes) {
    if (code === 0) next = PLAIN;
    else if (code === 1) next = { ...next, bold: true };
    else if (code === 2) next = { ...next, dim: true };
    else if (code === 22) next = { ...next, bold: false, dim: false };
    else if (code >= 30 && code <= 37) next = { ...next, color: COLORS[code - 30] };
    else if (code >= 90 && code <= 97) next = { ...next, color: COLORS[code - 90] };
    else if (code === 39) next = { ...next, color: null };
  }
  return next;
}

function svgOf(lines, { title }) {
  const widest = Math.max(...lines.map((line) => line.length));
  const width = Math.ceil(widest * CELL_WIDTH + 2 * MARGIN);
  const height = Math.ceil(lines.length * CELL_HEIGHT + BAR_HEIGHT + 1.5 * MARGIN);
  const body = lines.flatMap((line, row) => runsOf(line).map((run) => drawRun(run, row)));
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8" fill="${GROUND}" stroke="${EDGE}"/>`,
    `<path d="M1 ${BAR_HEIGHT} V8.5 A7.5 7.5 0 0 1 8.5 1 H${width - 8.5} A7.5 7.5 0 0 1 ${width - 1} 8.5 V${BAR_HEIGHT} Z" fill="${BAR}"/>`,
    `<g font-family="${FONT}" font-size="${SIZE}" fill="${TEXT}">`,
    `<text x="${width / 2}" y="22" text-anchor="middle" fill="${DIM}">${escapeXml(title)}</text>`,
    ...body,
    '</g>',
    '</svg>',
  ].join('\n')}\n`;
}

/** Neighbours of one style and kind: text in one piece, bars in another, spaces in none. */
function runsOf(line) {
  const runs = [];
  line.forEach(({ character, style }, column) => {
    const kind = '█░▏'.includes(character) ? character : 'text';
    const last = runs.at(-1);
    const continues =
      last !== undefined && last.kind === kind && last.column + last.text.length === column && same(last.style, style);
    if (continues) last.text += character;
    else if (character !== ' ') runs.push({ kind, style, column, text: character });
  });
  return runs.map((run) => ({ ...run, text: run.text.trimEnd() }));
}

function same(a, b) {
  return a.bold === b.bold && a.dim === b.dim && a.color === b.color;
}

function drawRun({ kind, style, column, text }, row) {
  const x = round(MARGIN + column * CELL_WIDTH);
  const top = BAR_HEIGHT + MARGIN / 2 + row * CELL_HEIGHT;
  const width = round([...text].length * CELL_WIDTH);
  const fill = style.color ?? (style.dim ? DIM : TEXT);
  if (kind !== 'text') {
    const opacity = kind === '░' ? ' fill-opacity="0.25"' : '';
    return `<rect x="${x}" y="${top + 4}" width="${kind === '▏' ? 1.5 : width}" height="11" fill="${fill}"${opacity}/>`;
  }
  // textLength keeps the columns straight whatever monospace font there is.
  const attributes = [
    `x="${x}" y="${top + 13}" textLength="${width}" xml:space="preserve"`,
    ...(fill === TEXT ? [] : [`fill="${fill}"`]),
    ...(style.bold ? ['font-weight="600"'] : []),
  ];
  return `<text ${attributes.join(' ')}>${escapeXml(text)}</text>`;
}

function round(value) {
  return Math.round(value * 100) / 100;
}

function escapeXml(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

const PROMPT = '\u001b[32m#\u001b[0m';
/** As wide as the README shows it without making it smaller. */
const COLOURED = { ...process.env, FORCE_COLOR: '1', COLUMNS: '116' };
delete COLOURED.NO_COLOR;

/** Runs the demo until its final table stands, and while it waits has the program explain its tenant. */
async function makePictures() {
  const demo = spawn(process.execPath, [join(ROOT, 'scripts', 'demo.mjs')], { cwd: ROOT, env: COLOURED });
  let shown = '';
  const ended = new Promise((resolve) => demo.on('exit', resolve));
  const ready = new Promise((resolve, reject) => {
    demo.stdout.setEncoding('utf8').on('data', (text) => {
      shown += text;
      if (shown.includes('Ctrl-C ends the demo')) resolve();
    });
    demo.stderr.pipe(process.stderr);
    ended.then((code) => reject(new Error(`the demo ended with code ${code}\n${shown}`)));
  });
  try {
    await ready;
    const [table] = shown.split('\nWhat to look at next');
    const [config] = /(?<=--config )\S+/.exec(shown);
    const [guest] = /\btenant-\d+/.exec(shown);
    const words = ['explain', guest, '--config', config];
    const explained = await run(process.execPath, [join(ROOT, 'dist', 'main.js'), ...words], { env: COLOURED });
    draw('demo', `${PROMPT} npm run demo\n${table}`);
    draw('explain', `${PROMPT} virtslad ${words.join(' ')}\n${explained.output}`);
  } finally {
    demo.kill('SIGINT');
    await ended;
  }
}

function draw(name, text) {
  const directory = join(ROOT, 'docs', 'images');
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `${name}.svg`);
  writeFileSync(path, svgOf(screenOf(text), { title: 'virtslad' }));
  console.log(path);
}

const { title } = parseArgs({ options: { title: { type: 'string' } } }).values;
if (title === undefined) await makePictures();
else process.stdout.write(svgOf(screenOf(await readAll(process.stdin)), { title }));
