// Turns what measure.sh has measured into two charts and a table:
//
//   node docs/performance/plot/plot.mjs --out docs/performance MEASURED.jsonl...
//
// writes fanout.svg, memory.svg and measured.md to the folder of --out. Every figure is the
// median of the runs with the same command; the charts show their range as well.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const usage = 'usage: node plot.mjs [--out FOLDER] MEASURED.jsonl...'

// read returns the machines and the runs that measure.sh has written, one object a line.
function read(files) {
  const machines = []
  const runs = []
  for (const file of files) {
    for (const [i, line] of readFileSync(file, 'utf8').split('\n').entries()) {
      if (line === '') continue
      try {
        const { machine, ...run } = JSON.parse(line)
        if (machine) machines.push(machine)
        else runs.push(checked(run))
      } catch (err) {
        throw new Error(`${file}: line ${i + 1}: ${err.message}`)
      }
    }
  }
  if (runs.length === 0) throw new Error(`${files[0]}: no runs`)
  return { machines, runs }
}

function checked(run) {
  const r = run.result
  const wrong =
    !run.command || !r?.scenario || !r.verdict || !r.unit ? 'neither a machine nor a run of hoofbeat bench'
    : r.interrupted ? 'the run was interrupted'
    : !r.server ? 'the run has no figures of the server: measure with --server-pid'
    : !r.connections || (r.scenario === 'fanout' && !r.subscribers) ? 'the run has no connections'
    : r.scenario === 'idle' && !r.idle ? 'the run has no figures of idle connections'
    : ''
  if (wrong) throw new Error(wrong)
  return run
}

try {
  const options = { out: { type: 'string', default: '.' }, help: { type: 'boolean', short: 'h' } }
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  if (values.help) {
    console.log(usage)
  } else {
    if (positionals.length === 0) throw new Error(usage)
    const { machines, runs } = read(positionals)
    // Vega takes a second to load: only for measurements that are complete.
    const [{ fanout, memory }, { table }] = await Promise.all([import('./chart.mjs'), import('./table.mjs')])
    const written = { 'fanout.svg': await fanout(runs), 'memory.svg': await memory(runs), 'measured.md': table(machines, runs) }
    for (const [name, text] of Object.entries(written)) {
      if (text) writeFileSync(join(values.out, name), text)
      else console.error(`plot: ${name} is not written: it needs two points or more`)
    }
  }
} catch (err) {
  console.error(`plot: ${err.message}`)
  process.exit(1)
}
