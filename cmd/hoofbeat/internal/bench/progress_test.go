package bench

import (
	"bytes"
	"strings"
	"testing"
)

func TestProgressPlain(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, false)
	p.phase("connecting", 2)
	p.add(1)
	p.note("5 k/s")
	p.phase("measuring", 1000)
	p.set(500)
	p.clear()
	if got := b.String(); got != "connecting\nmeasuring\n" {
		t.Errorf("%q", got)
	}
}

// On a terminal a line is written over the last one, and nothing is left of it.
func TestProgressLive(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, true)
	p.phase("connecting", 4)
	p.add(4)
	p.phase("ends", 0)
	p.clear()
	p.clear()
	lines := strings.Split(b.String(), "\r")
	want := []string{
		"",
		"connecting [" + strings.Repeat(".", barWidth) + "]   0 %",
		"connecting [" + strings.Repeat("#", barWidth) + "] 100 %",
		"ends" + strings.Repeat(" ", 45),
		"    ", "",
	}
	if len(lines) != len(want) {
		t.Fatalf("%q", lines)
	}
	for i, line := range lines {
		if line != want[i] {
			t.Errorf("%q, want %q", line, want[i])
		}
	}
}

// Drawing is not what a run spends its time on.
func TestProgressDrawsSeldom(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, true)
	p.phase("connecting", 1_000_000)
	for range 1000 {
		p.add(1)
	}
	if n := strings.Count(b.String(), "\r"); n > 500 {
		t.Errorf("drawn %d times", n)
	}
}

func TestNoProgress(t *testing.T) {
	var p *Progress
	p.phase("x", 1)
	p.set(1)
	p.add(1)
	p.note("x")
	p.clear()
}
