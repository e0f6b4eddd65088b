// Charts that are readable on light and dark pages, drawn by Vega-Lite.
import { View, parse } from 'vega'
import { compile } from 'vega-lite'

// fanout is what a saturated fan-out of small messages does and costs.
export function fanout(runs) {
  const data = runs
    .filter(({ tls, result: r }) => r.scenario === 'fanout' && r.size === 128 && r.publishers === 1 && !r.rate && !tls)
    .map(({ result: r }) => ({ x: r.subscribers, speed: r.per_second / 1e6, cpu: r.server.cpu_seconds_per_million ?? 0 }))
  return chart('Fan-out of 128-byte messages, saturated', data, [
    { x: 'subscribers', y: 'speed', title: 'million deliveries per second', log: true },
    { x: 'subscribers', y: 'cpu', title: 'CPU seconds of the server per million deliveries', log: true },
  ])
}

// memory is what idle connections cost.
export function memory(runs) {
  const data = runs
    .filter(({ result: r }) => r.scenario === 'idle')
    .map(({ result: { connections, idle, server } }) => ({
      x: connections,
      each: (idle.server_rss_bytes_per_connection ?? 0) / 1e3,
      whole: server.rss_bytes_after / 1e6,
    }))
  return chart('Memory of idle connections with heart-beats', data, [
    { x: 'connections', y: 'each', title: 'RSS per connection (kB)', log: true },
    { x: 'connections', y: 'whole', title: 'RSS of the whole server (MB)' },
  ])
}

// Colours on a light page, and those that replace them on a dark one.
const back = '#ffffff', strong = '#1f2328', weak = '#59636e', line = '#0969da', grid = '#e4e8ec', axis = '#818b98'
const dark = { [back]: '#0d1117', [strong]: '#f0f6fc', [weak]: '#9198a1', [line]: '#4493f8', [grid]: '#21262d', [axis]: '#656c76' }
const style = `
text{paint-order:stroke;stroke-linejoin:round}
@media(prefers-color-scheme:dark){
${Object.entries(dark).map(([from, to]) => `[fill="${from}"]{fill:${to}}[stroke="${from}"]{stroke:${to}}`).join('\n')}
}
`

const config = {
  font: 'system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif',
  background: back,
  padding: 16,
  title: { color: strong, fontSize: 15, anchor: 'start', offset: 14 },
  concat: { spacing: 40 },
  view: { stroke: null },
  axis: {
    labelFontSize: 11, labelColor: weak, titleFontSize: 12, titleColor: weak, titleFontWeight: 'normal', titlePadding: 8,
    gridColor: grid, domainColor: axis, tickColor: axis,
  },
  rule: { color: line, opacity: 0.4, strokeWidth: 5, strokeCap: 'round', aria: false },
  line: { color: line, aria: false },
  point: { filled: true, opacity: 1, size: 60, fill: line, stroke: back, strokeWidth: 1.5 },
  text: { dy: -11, color: strong, stroke: back, strokeWidth: 3, aria: false },
}

const width = 345

// panel has a dot for the median of y at each x, and a bar for the range of y.
function panel(places, { x, y, title, log }) {
  const figure = (aggregate) => ({ aggregate, field: y, type: 'quantitative', title })
  // A dot has no number if it would lie upon the next one.
  const at = (n) => (log ? Math.log(n / places[0]) / Math.log(places.at(-1) / places[0]) : n / places.at(-1)) * width
  const numbered = places.filter((n, i) => i === places.length - 1 || at(places[i + 1]) - at(n) > 20)
  return {
    width,
    height: 210,
    encoding: {
      x: {
        field: 'x', type: 'quantitative', title: x,
        scale: log ? { type: 'log', nice: false, padding: 14 } : {},
        axis: { values: places, format: ',d', grid: false, labelOverlap: 'greedy' },
      },
      y: {
        axis: {
          titleAngle: 0, titleAlign: 'left', titleX: -24, titleY: -28, titleColor: strong, titleFontSize: 13,
          domain: false, ticks: false, tickCount: 5, labelPadding: 8,
        },
      },
    },
    layer: [
      { mark: 'rule', encoding: { y: figure('min'), y2: figure('max') } },
      { mark: 'line', encoding: { y: figure('median') } },
      { mark: 'point', encoding: { y: figure('median') } },
      {
        mark: 'text',
        transform: [
          { filter: { field: 'x', oneOf: numbered } },
          { aggregate: ['median', 'max'].map((op) => ({ op, field: y, as: `${y} ${op}` })), groupby: ['x'] },
          { calculate: `format(datum['${y} median'], datum['${y} median'] < 100 ? ',.2~r' : ',d')`, as: `${y} number` },
        ],
        encoding: { y: { field: `${y} max`, type: 'quantitative', title }, text: { field: `${y} number` } },
      },
    ],
  }
}

// chart returns panels beside each other as SVG, or nothing if the data has fewer than two x.
async function chart(title, values, panels) {
  const places = [...new Set(values.map((v) => v.x))].sort((a, b) => a - b)
  if (places.length < 2) return
  const { spec } = compile({ title, data: { values }, hconcat: panels.map((p) => panel(places, p)), config })
  const svg = await new View(parse(spec), { renderer: 'none' }).toSVG()
  return svg
    .replace('>', `><title>${title}</title><style>${style}</style>`)
    .replace(/\d+\.\d{4,}/g, (n) => Number(n).toPrecision(6)) // the last digits can differ from machine to machine
    .replaceAll('><', '>\n<') + '\n'
}
