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

// The scripts that measure and draw work as docs/performance.md describes them, with
// small loads.
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
	t.Run("plot", func(t *testing.T) {
		dir := mustPlot(t, file)
		if table := readFile(t, dir, "measured.md"); strings.Count(table, "\n| ") != runs+1 {
			t.Errorf("want a head and %d rows:\n%s", runs, table)
		}
		for name, want := range map[string]int{"fanout.svg": 6, "memory.svg": 4} {
			if got := dots(t, readFile(t, dir, name)); len(got) != want {
				t.Errorf("%s has %d dots, want %d: %q", name, len(got), want, got)
			}
		}
	})
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
