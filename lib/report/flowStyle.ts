/** The style of the flow viewer. System fonts and colours by role; dark, forced colours and less motion at the end. */
export const FLOW_STYLE = `
:root {
  color-scheme: light dark;
  --ground: #fbfaf8; --raised: #ffffff; --ink: #1b1d20; --soft: #585d66; --rule: #dcd9d3; --edge: #85858c;
  --accent: #0b6a73; --accent-soft: #b9d8da; --wash: #eef3f2; --warm: #a8471f;
  --patches: #0b6a73; --prefix: #7a4fa3; --attentionBias: #b9801a; --mlp: #a8471f;
  --embedding: #5b6b7d; --normBias: #8a8f98; --headBias: #b3b0a8;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #141619; --raised: #1b1e22; --ink: #e9e7e3; --soft: #a8acb4; --rule: #32363c; --edge: #7f858e;
    --accent: #63c3ca; --accent-soft: #2b5459; --wash: #1c2426; --warm: #f09a6e;
    --patches: #63c3ca; --prefix: #b78fe0; --attentionBias: #e0b04e; --mlp: #f09a6e;
    --embedding: #8fa3ba; --normBias: #747a83; --headBias: #565b62;
  }
}
*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0 auto; max-width: 78rem; padding: 1.5rem clamp(.75rem, 3vw, 2.5rem) 4rem; background: var(--ground); color: var(--ink); }
h1 { font-size: 1.6rem; line-height: 1.2; font-weight: 650; margin: 0; overflow-wrap: anywhere; letter-spacing: -.01em; }
h2 { font-size: 1.1rem; line-height: 1.3; font-weight: 650; margin: 0 0 .25rem; }
h3 { font-size: .95rem; line-height: 1.3; font-weight: 600; margin: 0 0 .15rem; }
p { margin: 0 0 .6rem; max-width: 68ch; }
.soft, .note, figcaption { color: var(--soft); font-size: .9rem; }
.skip { position: absolute; left: -100vw; padding: .4rem .8rem; }
.skip:focus { left: 1rem; top: .5rem; background: Canvas; color: CanvasText; z-index: 3; }
.quiet { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
code { overflow-wrap: anywhere; font-size: .85em; }

header { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1.08fr); gap: .35rem 2.5rem; margin-bottom: 1.5rem; align-items: start; }
header > #failure, header > noscript { grid-column: 1 / -1; }
.kicker { margin: 0; color: var(--accent); font-size: .85rem; font-weight: 600; letter-spacing: .02em; }
.verdict { display: flex; flex-wrap: wrap; gap: .2rem .7rem; align-items: baseline; margin: .3rem 0 0; }
.verdict strong { font-size: 1.05rem; }
.maturity { border-left: 4px solid var(--warm); padding: .15rem 0 .15rem .8rem; margin: .2rem 0 0; font-size: .92rem; }
.notes { margin: .3rem 0 0; padding-left: 1.2rem; font-size: .92rem; color: var(--soft); max-width: 75ch; }
#failure, noscript p { border: 2px solid var(--warm); padding: .6rem .9rem; }

.viewer { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1.08fr); gap: 1.5rem 2.5rem; align-items: start; }
.viewer > * { min-width: 0; }
#stage { position: relative; width: 100%; margin: 0 auto; border-radius: 4px; background: #000; touch-action: manipulation; cursor: crosshair; }
#stage img, #stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; display: block; border-radius: 4px; image-rendering: auto; }
#stage img { object-fit: fill; }
#cursor { position: absolute; pointer-events: none; outline: 2px solid #fff; box-shadow: 0 0 0 4px #000; }
#tip { position: absolute; z-index: 2; pointer-events: none; padding: .35rem .6rem; border-radius: 4px; background: #101214; color: #fff; border: 1px solid #777; font-size: .8rem; line-height: 1.45; font-variant-numeric: tabular-nums; white-space: nowrap; }
#cell { min-height: 3em; margin: .4rem 0 0; font-size: .85rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.bar-canvas { display: block; width: 100%; height: .9rem; border: 1px solid var(--edge); border-radius: 2px; }
#ticks { display: flex; justify-content: space-between; font-size: .8rem; font-variant-numeric: tabular-nums; }
#scale-note { font-size: .82rem; color: var(--soft); margin: .1rem 0 0; }
.player { display: grid; grid-template-columns: auto 1fr; gap: .1rem .8rem; align-items: center; margin: .8rem 0 1rem; }
.player output { grid-column: 1 / -1; font-weight: 600; font-variant-numeric: tabular-nums; }
.player label { grid-column: 1 / -1; }
input[type=range] { width: 100%; min-width: 0; height: 1.6rem; margin: 0; accent-color: var(--accent); }
.sentence { font-size: 1.3rem; line-height: 1.35; font-weight: 500; letter-spacing: -.005em; margin: 0 0 1rem; text-wrap: pretty; }

button, select { font: inherit; color: inherit; background: var(--raised); border: 1px solid var(--edge); border-radius: 4px; padding: .35rem .8rem; min-height: 2.25rem; max-width: 100%; }
button { cursor: pointer; }
button:hover { border-color: var(--ink); }
#play { min-width: 5.2rem; font-weight: 600; }
.controls { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 14rem), 1fr)); gap: .8rem 1.5rem; border-top: 1px solid var(--rule); margin-top: 1rem; padding-top: 1rem; }
.controls .wide { grid-column: 1 / -1; }
.controls label, .controls legend, .player label { font-size: .85rem; color: var(--soft); padding: 0; }
.controls select { width: 100%; }
fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
.choices { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; }
.choices label { display: flex; gap: .4rem; align-items: center; min-height: 2rem; font-size: 1rem; color: var(--ink); }
input[type=radio], input[type=checkbox] { width: 1.1rem; height: 1.1rem; margin: 0; accent-color: var(--accent); }
.buttons { align-content: start; display: flex; flex-wrap: wrap; gap: .6rem; }

figure { margin: 0 0 1.1rem; }
.chart { width: 100%; overflow: hidden; }
.chart svg { display: block; cursor: pointer; }
#stack svg { cursor: auto; }
svg text { fill: var(--soft); font: .75rem system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg .tick.current { fill: var(--ink); font-weight: 700; }
svg .mark { fill: var(--ink); font-weight: 600; paint-order: stroke; stroke: var(--ground); stroke-width: 4px; stroke-linejoin: round; }
.grid { stroke: var(--rule); }
.grid.strong { stroke: var(--edge); }
.current-column { fill: var(--wash); }
.share-bar { fill: var(--accent-soft); }
.share-bar.current { fill: var(--accent); }
.share-bar.approximate { fill-opacity: .35; stroke: var(--accent); stroke-dasharray: 3 2; }
.swatch.approximate-key { background: none; border: 1px dashed var(--accent); }
.line { fill: none; stroke-width: 2.25; stroke-linejoin: round; }
.line.total { stroke: var(--ink); }
.line.iou { stroke: var(--accent); }
.line.spearman { stroke: var(--warm); stroke-dasharray: 6 4; }
.drop { stroke: var(--soft); stroke-dasharray: 2 3; }
.milestone { fill: var(--ground); stroke: var(--ink); stroke-width: 2.25; }
.zero { stroke: var(--ink); stroke-width: 1.25; vector-effect: non-scaling-stroke; }
.sum-mark { fill: var(--ink); }
.swatch.share-key { background: var(--accent-soft); }
.key { display: inline-block; width: 1.4rem; height: 0; border-top: 3px solid; vertical-align: middle; margin-right: .35rem; }
.key-total { border-color: var(--ink); } .key-iou { border-color: var(--accent); } .key-spearman { border-color: var(--warm); border-top-style: dashed; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1.2rem; font-size: .82rem; color: var(--soft); list-style: none; margin: 0; padding: 0; }
.swatch { display: inline-block; width: .8rem; height: .8rem; margin-right: .45rem; border: 1px solid var(--edge); vertical-align: -.06rem; }
.part { stroke: var(--ground); stroke-width: 1; vector-effect: non-scaling-stroke; }
.part-patches { fill: var(--patches); background: var(--patches); } .part-prefix { fill: var(--prefix); background: var(--prefix); }
.part-attentionBias { fill: var(--attentionBias); background: var(--attentionBias); } .part-mlp { fill: var(--mlp); background: var(--mlp); }
.part-embedding { fill: var(--embedding); background: var(--embedding); } .part-normBias { fill: var(--normBias); background: var(--normBias); }
.part-headBias { fill: var(--headBias); background: var(--headBias); }

section.band { border-top: 1px solid var(--rule); margin-top: 2rem; padding-top: 1.25rem; }
#multiples { list-style: none; margin: .8rem 0 0; padding: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(5.1rem, 1fr)); gap: .6rem; }
#multiples button { display: grid; grid-template-columns: 1fr auto; gap: .2rem; width: 100%; padding: .3rem .3rem .25rem; text-align: left; font-size: .8rem; line-height: 1.3; border-color: transparent; background: none; }
#multiples button:hover { border-color: var(--edge); }
#multiples button[aria-pressed=true] { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); font-weight: 650; }
#multiples canvas { grid-column: 1 / -1; display: block; width: 100%; height: auto; border-radius: 2px; }
#multiples .share { color: var(--soft); font-variant-numeric: tabular-nums; }
.pair { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 0 2.5rem; }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; }
caption { text-align: left; color: var(--soft); font-size: .85rem; padding: .3rem 0; }
th, td { padding: .28rem .7rem .28rem 0; border-bottom: 1px solid var(--rule); text-align: left; vertical-align: baseline; font-weight: 400; }
thead th { color: var(--soft); font-size: .8rem; }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; padding-left: .7rem; }
table.parts { width: 100%; }
.bar-cell { width: 34%; min-width: 6rem; }
.row-bar { display: block; width: 100%; height: 1rem; }
.meaning { color: var(--soft); }
tr.total.first th, tr.total.first td { border-top: 2px solid var(--ink); }
tr.total th, tr.total td.number { font-weight: 600; }
details { margin: .3rem 0 .8rem; }
summary { cursor: pointer; font-size: .88rem; color: var(--accent); min-height: 1.6rem; width: fit-content; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .25rem 1.2rem; font-size: .9rem; margin: .5rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
kbd { font: inherit; font-size: .85em; border: 1px solid var(--edge); border-radius: 3px; padding: 0 .35em; white-space: nowrap; }

@media (max-width: 56rem) { header, .viewer, .pair { grid-template-columns: minmax(0, 1fr); } .sentence { font-size: 1.15rem; } }
@media (max-width: 34rem) {
  .meaning { display: none; } .bar-cell { width: 40%; min-width: 3rem; }
  #tip { white-space: normal; width: max-content; max-width: 11rem; }
  dl { grid-template-columns: minmax(0, 1fr); } dd { margin-bottom: .4rem; }
}
@media (forced-colors: active) {
  .bar-canvas, #multiples canvas { forced-color-adjust: none; }
  #multiples button { border-color: ButtonText; }
  #multiples button[aria-pressed=true] { border: 3px solid Highlight; }
  .swatch.share-key { forced-color-adjust: none; background: GrayText; }
  .share-bar { fill: GrayText; } .share-bar.current { fill: Highlight; } .current-column { fill: none; stroke: Highlight; }
  .share-bar.approximate { stroke: CanvasText; }
  .line.total, .zero, .grid.strong { stroke: CanvasText; } .line.iou { stroke: LinkText; } .line.spearman { stroke: Highlight; }
  .key-iou { border-color: LinkText; } .key-spearman { border-color: Highlight; }
  svg text { fill: CanvasText; } svg .mark { stroke: Canvas; }
  .part, .swatch { forced-color-adjust: none; }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important; scroll-behavior: auto !important; } }
@media print { .controls, .player button, .buttons, .skip, #tip { display: none; } }
`;
