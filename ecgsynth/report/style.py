"""How the page looks: light or dark as the reader's system says, one column on a phone, no fonts to load."""

from __future__ import annotations

from typing import Final

CSS: Final = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --card: #f7f8fa; --ink: #1b1f24; --quiet: #5d646d; --rule: #d9dce1; --link: #0b57a4;
  --paper: #fffaf8; --paper-minor: #f9e4df; --paper-major: #efbfb6; --trace: #15181c;
  --real: #64748b; --real-fill: #cbd3de; --synthetic: #c2410c;
  --good: #166534; --good-soft: #dcf3e3; --warn: #8a4b08; --warn-soft: #fdecd2;
  --bad: #a11414; --bad-soft: #fbe0df; --open: #4a5361; --open-soft: #e6e9ee;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171b; --card: #1d2126; --ink: #e8eaed; --quiet: #a2a9b3; --rule: #383e46; --link: #86b9f2;
    --paper: #221c1b; --paper-minor: #2f2625; --paper-major: #523a36; --trace: #f1ece8;
    --real: #a3b3ca; --real-fill: #414e60; --synthetic: #f08a4b;
    --good: #86dba3; --good-soft: #163323; --warn: #f3c27e; --warn-soft: #3a2a12;
    --bad: #f59b96; --bad-soft: #431c1b; --open: #c2cad6; --open-soft: #2c323a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.55rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
p { margin: .35rem 0; max-width: 46rem; }
a { color: var(--link); }
.quiet, figcaption, small { color: var(--quiet); }
small, .small, figcaption { font-size: .84rem; line-height: 1.4; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: .9rem 1rem 1rem;
  margin: .9rem 0; }
.card header { display: flex; flex-wrap: wrap; gap: .3rem .8rem; align-items: baseline; }
.card h2 { border: 0; margin: 0; padding: 0; font-size: 1.12rem; }
.verdict { font-weight: 650; border-radius: 999px; padding: .08rem .7rem; white-space: nowrap; }
h2 .verdict { font-size: .95rem; vertical-align: .12em; }
.good { color: var(--good); background: var(--good-soft); }
.warn { color: var(--warn); background: var(--warn-soft); }
.bad { color: var(--bad); background: var(--bad-soft); }
.open { color: var(--open); background: var(--open-soft); }
.three { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1.1rem; margin-top: .7rem; }
.three b { font-size: 1.45rem; font-weight: 650; font-variant-numeric: tabular-nums; margin-right: .35rem; }
.three .name { font-size: .84rem; color: var(--quiet); }
.tag { font-size: .8rem; font-weight: 600; border-radius: 4px; padding: 0 .35rem; }
.scale { position: relative; height: 18px; margin: .3rem 0 .2rem; }
.scale i { position: absolute; display: block; }
.track { left: 0; right: 0; top: 8px; height: 2px; background: var(--rule); }
.band { top: 4px; height: 10px; background: var(--real-fill); border-radius: 3px; }
.mark { top: 2px; height: 14px; width: 2px; background: var(--real); margin-left: -1px; }
.whisker { top: 8px; height: 2px; background: var(--synthetic); }
.dot { top: 4px; width: 10px; height: 10px; border-radius: 50%; background: var(--synthetic);
  margin-left: -5px; }
.bar { top: 0; height: 18px; width: 0; border-left: 2px dotted var(--ink); margin-left: -1px; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .84rem; color: var(--quiet);
  margin: .5rem 0; }
.key i { display: inline-block; width: 14px; height: 10px; border-radius: 2px; margin-right: .35rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(205px, 1fr)); gap: .6rem .9rem; }
figure { margin: .6rem 0; } .grid figure { margin: 0; }
h4 { font-size: .84rem; font-weight: 600; line-height: 1.3; margin: 0 0 .15rem; }
.grid figure { display: flex; flex-direction: column; justify-content: flex-end; }
.ends { display: flex; justify-content: space-between; font-size: .75rem; line-height: 1.2;
  color: var(--quiet); margin: -.1rem 0 .25rem; }
svg { display: block; width: 100%; height: auto; }
.paper { overflow-x: auto; } .paper svg { min-width: 660px; } .paper.wide svg { min-width: 940px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(290px, 1fr)); gap: 1rem; }
.pair svg { max-width: 520px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .38rem .6rem .38rem 0;
  border-bottom: 1px solid var(--rule); }
th { font-weight: 600; color: var(--quiet); font-size: .84rem; }
td.number { white-space: nowrap; font-variant-numeric: tabular-nums; }
.metrics th:first-child { width: 13rem; } .metrics td.number { padding-right: 1.2rem; }
.wrap { overflow-wrap: anywhere; }
code { font: .84em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--link); }
ul { margin: .3rem 0; padding-left: 1.2rem; } li { margin: .15rem 0; max-width: 46rem; }
@media (max-width: 720px) {
  main { padding: 1rem .8rem 3rem; }
  .three { grid-template-columns: 1fr; gap: .8rem; }
  .grid { grid-template-columns: repeat(auto-fill, minmax(155px, 1fr)); }
  table.stack thead { display: none; }
  table.stack tr { display: block; border-bottom: 1px solid var(--rule); padding: .4rem 0; }
  table.stack td { display: block; border: 0; padding: .08rem 0; white-space: normal; }
  .metrics td[data-name="What it says"] { display: none !important; }
  .metrics td br { display: none; }
  .metrics td small { margin-left: .3rem; }
  table.stack td[data-name]::before { content: attr(data-name) ": "; color: var(--quiet); }
}
@media print { .card, figure, tr { break-inside: avoid; } details:not([open]) > * { display: block; } }
"""
