package main

import (
	"fmt"
	"strings"
)

// table is the rows as Markdown, in the order in which they were first measured,
// and where that was.
func table(m *measured) string {
	var order []string
	rows := make(map[string][]measurement)
	for _, r := range m.runs {
		name := describe(r)
		key := name + "\n" + r.Command
		if rows[key] == nil {
			order = append(order, key)
		}
		rows[key] = append(rows[key], r)
	}
	var b strings.Builder
	b.WriteString("| what | result | p50, p99 (ms) | server CPU s per million | check | command |\n|---|---|---|---|---|---|\n")
	for _, key := range order {
		runs := rows[key]
		name, command, _ := strings.Cut(key, "\n")
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | `%s` |\n", name, outcome(runs), latencies(runs), processor(runs), verdict(runs), command)
	}
	b.WriteString("\n")
	for _, at := range m.machines {
		fmt.Fprintf(&b, "%s, %d × %s, %s, %s.\n", at.Date, at.Processors, at.Processor, at.System, at.Version)
	}
	others := 0.0
	for _, r := range m.runs {
		others = max(others, r.Result.Server.Others)
	}
	fmt.Fprintf(&b, "Medians; other processes took up to %.0f %% of the machine.\n", others)
	return b.String()
}

// describe says what a run measures.
func describe(m measurement) string {
	r := m.Result
	var what string
	switch r.Scenario {
	case "fanout":
		what = fmt.Sprintf("fan-out %d → %s", r.Publishers, number(float64(r.Subscribers)))
	case "slow":
		what = fmt.Sprintf("fan-out %d → %s beside stalled readers", r.Publishers, number(float64(r.Subscribers)))
	case "pairs":
		what = number(float64(r.Publishers)) + " pairs"
	case "users":
		what = number(float64(r.Subscribers)) + " users"
	case "queues":
		what = fmt.Sprintf("queue %d → %d", r.Publishers, r.Subscribers)
	case "idle":
		return number(float64(r.Connections)) + " idle connections"
	case "connect":
		return r.Unit + " of clients that come and go"
	default:
		what = fmt.Sprintf("%s, %s connections", r.Scenario, number(float64(r.Connections)))
	}
	if r.Size > 0 {
		what += fmt.Sprintf(", %s B", number(float64(r.Size)))
	}
	if r.Rate > 0 {
		what += fmt.Sprintf(", %s messages/s", number(r.Rate))
	}
	if m.TLS {
		what += ", TLS"
	}
	return what
}

func outcome(runs []measurement) string {
	speed := fmt.Sprintf("%s %s/s", rounded(medianOf(runs, func(r *result) float64 { return r.PerSecond })), runs[0].Result.Unit)
	switch r := runs[0].Result; {
	case r.Idle != nil:
		return fmt.Sprintf("%s kB of RSS each, %s opened/s", number(medianOf(runs, func(r *result) float64 { return r.Idle.RSSPerConnection / 1e3 })),
			rounded(medianOf(runs, func(r *result) float64 { return r.PerSecond })))
	case r.Stalled != nil:
		ended, all := 0, 0
		for _, run := range runs {
			ended, all = ended+run.Result.Stalled.Ended, all+run.Result.Stalled.Subscribers
		}
		return fmt.Sprintf("%s; %d of %d stalled were disconnected", speed, ended, all)
	}
	return speed
}

// rounded writes a speed with three significant digits: more are noise.
func rounded(value float64) string {
	unit := 1.0
	for value/unit >= 1000 {
		unit *= 10
	}
	if unit == 1 {
		return number(value)
	}
	return number(float64(int64(value/unit+0.5)) * unit)
}

func latencies(runs []measurement) string {
	var p50, p99 []float64
	for _, r := range runs {
		if l := r.Result.Latency; l != nil {
			p50, p99 = append(p50, l.P50), append(p99, l.P99)
		}
	}
	if len(p50) == 0 {
		return ""
	}
	return number(median(p50)) + ", " + number(median(p99))
}

func processor(runs []measurement) string {
	if runs[0].Result.Idle != nil {
		return number(medianOf(runs, func(r *result) float64 { return r.Idle.CPUPercent })) + " % of a core"
	}
	return number(medianOf(runs, func(r *result) float64 { return r.Server.CPUPerMillion }))
}

func verdict(runs []measurement) string {
	failed := 0
	for _, r := range runs {
		if r.Result.Verdict != "PASS" {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Sprintf("**%d of %d FAIL**", failed, len(runs))
	}
	return fmt.Sprintf("%d × PASS", len(runs))
}
