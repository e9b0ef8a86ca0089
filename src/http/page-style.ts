/** The style sheet of the page for people: one file, no other origin, light and dark by the reader's setting. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #ffffff; --line: #dde1e7; --text: #1a1f27; --muted: #5f6b7a;
  --accent: #2563a8; --good: #1d7a46; --good-ground: #e2f4e9; --bad: #b3261e; --bad-ground: #fce8e6;
  --warn: #8a5a00; --warn-ground: #fdf0d4; --track: #e6e9ee; --used: #3b82c4; --used-hot: #c96a1b; --guarantee: #1d7a46;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #11151a; --card: #1a2027; --line: #2c343e; --text: #e4e8ed; --muted: #95a1b0;
    --accent: #7db4ee; --good: #6fcf97; --good-ground: #16301f; --bad: #ff8a80; --bad-ground: #3a1a18;
    --warn: #f2c46d; --warn-ground: #362a12; --track: #2a323c; --used: #4f97d8; --used-hot: #e08a3c; --guarantee: #6fcf97;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 14px/1.45 system-ui, sans-serif; }
header, main, footer { max-width: 1280px; margin: 0 auto; padding: 0 20px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 6px 14px; padding-top: 20px; padding-bottom: 12px; }
h1 { margin: 0; font-size: 20px; letter-spacing: -0.01em; }
header p { margin: 0; color: var(--muted); }
header .where { flex: 1; }
a { color: var(--accent); }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 0 0 14px; padding: 0; list-style: none; }
.tiles li { flex: 1 1 130px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.tiles b { display: block; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.2; }
.tiles span { color: var(--muted); }
.tiles .bad b { color: var(--bad); }
.notes { margin: 0 0 14px; padding: 0; list-style: none; display: grid; gap: 6px; }
.notes li { padding: 8px 14px; border-radius: 8px; background: var(--warn-ground); color: var(--warn); overflow-wrap: anywhere; }
.notes li.stop { background: var(--bad-ground); color: var(--bad); }
.table { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
table { width: 100%; border-collapse: collapse; }
caption { text-align: left; padding: 10px 14px 4px; color: var(--muted); }
th, td { text-align: left; vertical-align: top; padding: 8px 14px; border-top: 1px solid var(--line); }
thead th { border-top: 0; font-size: 12px; font-weight: 600; color: var(--muted); white-space: nowrap; }
tbody th { font-weight: 600; min-width: 260px; max-width: 320px; overflow-wrap: anywhere; }
tbody a { text-decoration: none; } tbody a:hover, tbody a:focus { text-decoration: underline; }
small { display: block; font-weight: 400; font-size: 12px; color: var(--muted); }
th small { font-size: 11px; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.cpu { min-width: 230px; font-variant-numeric: tabular-nums; }
.cpu svg { display: block; width: 100%; height: 14px; margin-bottom: 2px; }
.track { fill: var(--track); } .used { fill: var(--used); } .hot { fill: var(--used-hot); }
.limit { fill: var(--text); } .guarantee { fill: var(--guarantee); }
.pill { display: inline-block; padding: 1px 9px; border-radius: 999px; font-size: 12px; font-weight: 600; white-space: nowrap; background: var(--track); color: var(--muted); }
.pill.good { background: var(--good-ground); color: var(--good); }
.pill.bad { background: var(--bad-ground); color: var(--bad); }
.pill.warn { background: var(--warn-ground); color: var(--warn); }
.off td, .off th { color: var(--muted); }
.why { margin: 4px 0 0; padding: 0; list-style: none; font-size: 12.5px; max-width: 380px; overflow-wrap: anywhere; }
.why code { font-weight: 600; }
code { font-family: ui-monospace, monospace; font-size: 0.93em; }
.empty { padding: 24px 14px; color: var(--muted); text-align: center; }
.key { display: inline-block; width: 10px; height: 10px; vertical-align: -1px; margin: 0 5px 0 14px; } .key:first-child { margin-left: 0; }
footer { display: flex; flex-wrap: wrap; gap: 4px 18px; padding-top: 14px; padding-bottom: 28px; color: var(--muted); }
@media (max-width: 620px) { header, main, footer { padding-left: 10px; padding-right: 10px; } th, td { padding: 8px 10px; } }
`;
