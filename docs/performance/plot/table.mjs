// The rows of the measurement as Markdown.
import { quartiles } from 'vega'

const count = (n) => n.toLocaleString('en')
const figure = (n) => n.toLocaleString('en', { maximumSignificantDigits: 3 }) // more digits are noise
const median = (runs, of) => figure(quartiles(runs.map((run) => of(run.result) ?? 0))[1]) // bench leaves out what is 0

// table has a row for each command, in the order in which they were first measured.
export function table(machines, runs) {
  const rows = {}
  for (const run of runs) (rows[`${what(run)} ${run.command}`] ??= []).push(run)
  const lines = Object.values(rows).map((r) => [what(r[0]), outcome(r), latency(r), cpu(r), verdict(r), `\`${r[0].command}\``])
  const places = new Set(machines.map((m) => `${m.date}, ${m.processors} × ${m.processor}, ${m.system}, ${m.version}.`))
  const others = Math.max(...runs.map((run) => run.result.server.others_cpu_percent))
  return [
    '<!-- Written by docs/performance/plot: do not edit. -->\n',
    '| what | result | p50, p99 (ms) | server CPU s per million | check | command |',
    '|---|---|---|---|---|---|',
    ...lines.map((cells) => `| ${cells.join(' | ')} |`),
    '',
    ...places,
    `Medians; other processes used up to ${others.toFixed()} % of the machine.\n`,
  ].join('\n')
}

function what({ tls, result: r }) {
  const subjects = {
    fanout: () => `fan-out ${count(r.publishers)} → ${count(r.subscribers)}`,
    slow: () => `fan-out ${count(r.publishers)} → ${count(r.subscribers)} beside stalled readers`,
    pairs: () => `${count(r.publishers)} pairs`,
    users: () => `${count(r.subscribers)} users`,
    queues: () => `queue ${count(r.publishers)} → ${count(r.subscribers)}`,
    idle: () => `${count(r.connections)} idle connections`,
    connect: () => `${r.unit} of clients that come and go`,
  }
  const subject = subjects[r.scenario]?.() ?? `${r.scenario}, ${count(r.connections)} connections`
  const details = [r.size && `${count(r.size)} B`, r.rate && `${count(r.rate)} messages/s`, tls && 'TLS']
  return [subject, ...details].filter(Boolean).join(', ')
}

function outcome(runs) {
  const speed = median(runs, (r) => r.per_second)
  const { scenario, unit, stalled } = runs[0].result
  if (scenario === 'idle') {
    return `${median(runs, (r) => (r.idle.server_rss_bytes_per_connection ?? 0) / 1e3)} kB of RSS each, ${speed} opened/s`
  }
  if (!stalled) return `${speed} ${unit}/s`
  const sum = (of) => count(runs.reduce((n, run) => n + of(run.result.stalled), 0))
  return `${speed} ${unit}/s; ${sum((s) => s.ended)} of ${sum((s) => s.subscribers)} stalled were disconnected`
}

function latency(runs) {
  const timed = runs.filter((run) => run.result.latency)
  return timed.length > 0 ? `${median(timed, (r) => r.latency.p50_ms)}, ${median(timed, (r) => r.latency.p99_ms)}` : ''
}

function cpu(runs) {
  if (runs[0].result.idle) return `${median(runs, (r) => r.idle.server_cpu_percent)} % of a core`
  return median(runs, (r) => r.server.cpu_seconds_per_million)
}

function verdict(runs) {
  const failed = runs.filter((run) => run.result.verdict !== 'PASS').length
  return failed > 0 ? `**${failed} of ${runs.length} FAIL**` : `${runs.length} × PASS`
}
