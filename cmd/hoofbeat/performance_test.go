//go:build linux

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The script that measures and the program that draws work as docs/performance.md
// has them, in small.
func TestMeasureAndPlot(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "measured.jsonl")
	if out, err := exec.CommandContext(t.Context(), "../../docs/performance/measure.sh", "--quick", "--out", file).CombinedOutput(); err != nil {
		t.Fatalf("measure.sh: %v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	runs := 0
	for line := range strings.Lines(string(text)) {
		var r struct {
			Command string // "" in the line that describes the machine
			Result  struct{ Verdict string }
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		if r.Command == "" {
			continue
		}
		if runs++; r.Result.Verdict != "PASS" {
			t.Errorf("%s: %s", r.Command, line)
		}
	}
	if runs < 12 {
		t.Errorf("only %d runs", runs)
	}
	table, err := exec.CommandContext(t.Context(), "go", "run", "../../docs/performance/plot", "-out", dir, file).CombinedOutput()
	if err != nil {
		t.Fatalf("plot: %v\n%s", err, table)
	}
	if rows := strings.Count(string(table), "\n| "); rows < runs {
		t.Errorf("%d rows for %d runs:\n%s", rows, runs, table)
	}
	for _, name := range []string{"fanout.svg", "memory.svg"} {
		if svg, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(svg), "</svg>") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every `hoofbeat bench` command that a document shows is one: it gets as far as a
// server that is not there.
func TestDocumentedBenchCommands(t *testing.T) {
	command := regexp.MustCompile("(?m)(?:^|`)hoofbeat (bench [^`\n|]*)")
	seen := 0
	for _, name := range []string{"README.md", "docs/performance.md", "docs/decisions/speed.md"} {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range command.FindAllStringSubmatch(string(text), -1) {
			args := strings.Fields(strings.ReplaceAll(m[1], "$(pidof hoofbeat)", "1"))
			if strings.Contains(m[1], "--help") {
				run(t, 0, nil, args...)
				continue
			}
			seen++
			t.Run(strings.Join(args, " "), func(t *testing.T) {
				run(t, 1, nil, append(args, "--url", "ws://127.0.0.1:1/ws", "--timeout", "5s")...)
			})
		}
	}
	if seen < 15 {
		t.Errorf("only %d commands", seen)
	}
}
