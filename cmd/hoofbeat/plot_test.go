//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const performance = "../../docs/performance/"

// plotted is what plot.mjs writes.
var plotted = []string{"fanout.svg", "memory.svg", "measured.md"}

// plot runs docs/performance/plot on files of measurements. It returns the folder
// with what it has written, all that it printed, and how it ended.
func plot(t *testing.T, files ...string) (dir, printed string, err error) {
	t.Helper()
	node := needs(t, "node", "apt-get install nodejs")
	if _, err := os.Stat(performance + "plot/node_modules/vega-lite"); err != nil {
		missing(t, "vega-lite", "npm ci --prefix docs/performance/plot")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir = t.TempDir()
	out, err := exec.CommandContext(ctx, node, append([]string{performance + "plot/plot.mjs", "--out", dir}, files...)...).CombinedOutput()
	return dir, string(out), err
}

// mustPlot is plot where nothing may fail and nothing is left out.
func mustPlot(t *testing.T, files ...string) (dir string) {
	t.Helper()
	dir, printed, err := plot(t, files...)
	if err != nil || printed != "" {
		t.Fatalf("plot: %v\n%s", err, printed)
	}
	return dir
}

func readFile(t *testing.T, elem ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The charts and the table of docs/performance.md are those of measured.jsonl.
func TestPlotIsCurrent(t *testing.T) {
	dir := mustPlot(t, performance+"measured.jsonl")
	for _, name := range plotted {
		if readFile(t, dir, name) != readFile(t, performance, name) {
			t.Errorf("docs/performance/%s is not what its data gives: run node docs/performance/plot/plot.mjs --out docs/performance docs/performance/measured.jsonl", name)
		}
	}
}

// The table has one row for each command, with the median of its runs.
func TestPlotTable(t *testing.T) {
	table := readFile(t, mustPlot(t, performance+"plot/testdata/sample.jsonl"), "measured.md")
	for _, want := range []string{
		"| fan-out 1 → 100, 128 B | 5,600,000 deliveries/s | 4, 9 | 0.15 | 3 × PASS | `hoofbeat bench fanout --subscribers 100` |\n",
		"| fan-out 1 → 100, 128 B, TLS | 900,000 deliveries/s | 4, 9 | 0.8 | 1 × PASS |",
		"| fan-out 1 → 100, 128 B, 200 messages/s | 20,000 deliveries/s |",
		"| fan-out 1 → 50 beside stalled readers, 1,024 B, 500 messages/s | 24,500 deliveries/s; 1 of 1 stalled were disconnected |",
		"| 15,000 idle connections | 9.1 kB of RSS each, 9,000 opened/s | 3, 12 | 0.5 % of a core | 1 × PASS |",
		"| receipts, 50 connections, 128 B | 61,200 receipts/s | 0.5, 2 | 16 | **1 of 1 FAIL** |",
		"\n2026-11-22, 2 × AMD EPYC, Linux 6.18 x86_64, hoofbeat devel.\nMedians; other processes used up to 12 % of the machine.\n",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("%q is missing in\n%s", want, table)
		}
	}
	if n := strings.Count(table, "\n| "); n != 12 { // with the head
		t.Errorf("%d rows, want 12:\n%s", n, table)
	}
}

// A chart has a dot for the median of the runs that belong to it, and for no others.
func TestPlotCharts(t *testing.T) {
	dir := mustPlot(t, performance+"plot/testdata/sample.jsonl")
	for name, want := range map[string][]string{
		"fanout.svg": {
			"subscribers: 1; million deliveries per second: 0.5",
			"subscribers: 10; million deliveries per second: 3",
			"subscribers: 100; million deliveries per second: 5.6",
			"subscribers: 1,000; million deliveries per second: 2.3",
			"subscribers: 1; CPU seconds of the server per million deliveries: 1.5",
			"subscribers: 10; CPU seconds of the server per million deliveries: 0.27",
			"subscribers: 100; CPU seconds of the server per million deliveries: 0.15",
			"subscribers: 1,000; CPU seconds of the server per million deliveries: 0.42",
		},
		"memory.svg": {
			"connections: 500; RSS per connection (kB): 11",
			"connections: 5,000; RSS per connection (kB): 9.4",
			"connections: 15,000; RSS per connection (kB): 9.1",
			"connections: 500; RSS of the whole server (MB): 21",
			"connections: 5,000; RSS of the whole server (MB): 63",
			"connections: 15,000; RSS of the whole server (MB): 152",
		},
	} {
		svg := readFile(t, dir, name)
		if got := dots(t, svg); !slices.Equal(got, want) {
			t.Errorf("%s has the dots %q, want %q", name, got, want)
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Infinity") {
			t.Errorf("%s has places that do not exist:\n%s", name, svg)
		}
		everyColourHasADarkOne(t, name, svg)
	}
}

// dots returns what a chart says of its dots to those who do not see them.
func dots(t *testing.T, svg string) (labels []string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return labels
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		var role, label string
		for _, a := range e.Attr {
			switch a.Name.Local {
			case "aria-roledescription":
				role = a.Value
			case "aria-label":
				label = a.Value
			}
		}
		if role == "point" {
			labels = append(labels, label)
		}
	}
}

// Everything that is drawn has another colour on a dark page.
func everyColourHasADarkOne(t *testing.T, name, svg string) {
	t.Helper()
	style, drawing, found := strings.Cut(svg, "</style>")
	if !found || !strings.Contains(style, "@media(prefers-color-scheme:dark)") {
		t.Fatalf("%s has no style for dark pages:\n%s", name, svg)
	}
	for _, m := range regexp.MustCompile(`(?:fill|stroke)="[^"]*"`).FindAllString(drawing, -1) {
		if !strings.HasSuffix(m, `"none"`) && !strings.HasSuffix(m, `"transparent"`) && !strings.Contains(style, "["+m+"]{") {
			t.Errorf("%s: %s stays as it is on a dark page", name, m)
		}
	}
}

// One kind of runs is enough. The other chart is not written, and plot says so.
func TestPlotOneChart(t *testing.T) {
	var idle bytes.Buffer
	for line := range strings.Lines(readFile(t, performance, "plot/testdata/sample.jsonl")) {
		if strings.Contains(line, "bench idle") {
			idle.WriteString(line)
		}
	}
	dir, printed, err := plot(t, write(t, "idle.jsonl", idle.String()))
	if want := "plot: fanout.svg is not written: it needs two points or more\n"; err != nil || printed != want {
		t.Errorf("%v and %q, want %q", err, printed, want)
	}
	if len(dots(t, readFile(t, dir, "memory.svg"))) != 6 {
		t.Error("memory.svg is not complete")
	}
	if _, err := os.Stat(filepath.Join(dir, "fanout.svg")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("fanout.svg: %v", err)
	}
}

// What is no measurement is an error that names the line, and nothing is written.
func TestPlotBadInput(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "no runs"},
		{"{\n", "line 1: "},
		{"\n\n[]\n", "line 3: neither a machine nor a run"},
		{`{"command":"x","result":{"verdict":"PASS"}}`, "line 1: neither a machine nor a run"},
		{`{"command":"x","result":{"scenario":"fanout","verdict":"PASS","unit":"deliveries"}}`, "line 1: the run has no figures of the server"},
		{`{"command":"x","result":{"scenario":"idle","verdict":"PASS","unit":"connections","server":{}}}`, "line 1: the run has no connections"},
		{`{"command":"x","result":{"scenario":"idle","verdict":"PASS","unit":"connections","connections":1,"server":{}}}`, "line 1: the run has no figures of idle connections"},
		{`{"command":"x","result":{"scenario":"fanout","verdict":"PASS","unit":"deliveries","interrupted":true,"server":{}}}`, "line 1: the run was interrupted"},
	} {
		name := write(t, "bad.jsonl", c.text)
		dir, printed, err := plot(t, name)
		if err == nil || !strings.HasPrefix(printed, "plot: "+name+": "+c.want) {
			t.Errorf("%q: %v and %q, want %s", c.text, err, printed, c.want)
		}
		if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
			t.Errorf("%q: wrote %v, %v", c.text, files, err)
		}
	}
	for _, files := range [][]string{nil, {filepath.Join(t.TempDir(), "missing")}} {
		if _, printed, err := plot(t, files...); err == nil || !strings.HasPrefix(printed, "plot: ") || strings.Contains(printed, "\n    at ") {
			t.Errorf("%q: %v and %q, want an error", files, err, printed)
		}
	}
}
