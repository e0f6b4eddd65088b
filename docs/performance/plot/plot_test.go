package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		before := slices.Clone(c.values)
		if got := median(c.values); got != c.want || !slices.Equal(c.values, before) {
			t.Errorf("median of %v is %v, want %v; they are %v now", before, got, c.want, c.values)
		}
	}
}

func TestLinear(t *testing.T) {
	for _, c := range []struct {
		largest float64
		ticks   []float64
	}{
		{0, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{0.2, []float64{0, 0.05, 0.1, 0.15, 0.2}},
		{6, []float64{0, 1, 2, 3, 4, 5, 6}},
		{7.3, []float64{0, 2, 4, 6, 8}},
		{15000, []float64{0, 2500, 5000, 7500, 10000, 12500, 15000}},
	} {
		s := linear(c.largest, 0, 100)
		if !slices.EqualFunc(s.ticks, c.ticks, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("ticks up to %v: %v, want %v", c.largest, s.ticks, c.ticks)
		}
	}
	for largest := 0.001; largest < 1e9; largest *= 1.37 {
		s := linear(largest, 300, 20)
		if n := len(s.ticks); n < 4 || n > 8 || s.max < largest || s.at(0) != 300 || math.Abs(s.at(s.max)-20) > 1e-9 {
			t.Errorf("up to %v: to %v with ticks %v, from %v to %v", largest, s.max, s.ticks, s.at(0), s.at(s.max))
		}
	}
}

func TestLogarithmic(t *testing.T) {
	s := logarithmic(1, 2000, 0, 100)
	if a, b := s.at(10)-s.at(1), s.at(1000)-s.at(100); math.Abs(a-b) > 1e-9 || s.at(1) != 0 || s.at(2000) != 100 {
		t.Errorf("a power of ten is %v pixels here and %v there; the ends are at %v and %v", a, b, s.at(1), s.at(2000))
	}
	for _, c := range []struct {
		smallest, largest, pixels float64
		ticks                     []float64
	}{
		{1, 2000, 330, []float64{1, 10, 100, 1000}}, // 2,000 would lie upon 1,000
		{1, 5000, 330, []float64{1, 10, 100, 1000, 5000}},
		{500, 15000, 330, []float64{500, 1000, 2000, 5000, 10000}},
		{30, 40, 330, []float64{40}},
	} {
		s := logarithmic(c.smallest, c.largest, 0, c.pixels)
		if !slices.EqualFunc(s.ticks, c.ticks, func(a, b float64) bool { return math.Abs(a-b) < 1e-6 }) {
			t.Errorf("ticks from %v to %v: %v, want %v", c.smallest, c.largest, s.ticks, c.ticks)
		}
	}
}

func TestNumber(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0", 0.1264: "0.126", 0.5: "0.5", 2: "2", 1.234: "1.23", 12.34: "12.3", 100: "100", 999.6: "1,000", 1234567.8: "1,234,568", -1500: "-1,500", -100: "-100",
	} {
		if got := number(value); got != want {
			t.Errorf("number(%v) is %s, want %s", value, got, want)
		}
	}
	for value, want := range map[float64]string{0: "0", 0.1264: "0.13", 1.24: "1.2", 37.4: "37", 148.2: "148", 15000: "15,000"} {
		if got := short(value); got != want {
			t.Errorf("short(%v) is %s, want %s", value, got, want)
		}
	}
	for value, want := range map[float64]string{0: "0", 999: "999", 61234.5: "61,200", 5604321: "5,600,000", 999999: "1,000,000"} {
		if got := rounded(value); got != want {
			t.Errorf("rounded(%v) is %s, want %s", value, got, want)
		}
	}
}

// The table has one row for each command, with the median of its runs.
func TestTable(t *testing.T) {
	var out, log strings.Builder
	dir := t.TempDir()
	if err := run([]string{"-out", dir, "testdata/sample.jsonl"}, &out, &log); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| fan-out 1 → 100, 128 B | 5,600,000 deliveries/s | 4, 9 | 0.15 | 3 × PASS | `hoofbeat bench fanout --subscribers 100` |\n",
		"| fan-out 1 → 100, 128 B, TLS | 900,000 deliveries/s | 4, 9 | 0.8 | 1 × PASS |",
		"| fan-out 1 → 100, 128 B, 200 messages/s | 20,000 deliveries/s |",
		"| fan-out 1 → 50 beside stalled readers, 1,024 B, 500 messages/s | 24,500 deliveries/s; 1 of 1 stalled were disconnected |",
		"| 15,000 idle connections | 9.1 kB of RSS each, 9,000 opened/s | 3, 12 | 0.5 % of a core | 1 × PASS |",
		"| receipts, 50 connections, 128 B | 61,200 receipts/s | 0.5, 2 | 16 | **1 of 1 FAIL** |",
		"\n2026-11-22, 2 × AMD EPYC, Linux 6.18 x86_64, hoofbeat devel.\nMedians; other processes took up to 12 % of the machine.\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "\n| "); n != 11 { // the head is the first line
		t.Errorf("%d rows, want 11", n)
	}
	if log.Len() > 0 {
		t.Error(log.String())
	}
	for _, name := range []string{"fanout.svg", "memory.svg"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		wellFormed(t, name, text)
	}
}

// A chart shows the medians of what belongs to it and nothing else.
func TestFanOutPoints(t *testing.T) {
	m := new(measured)
	if err := m.readFile("testdata/sample.jsonl"); err != nil {
		t.Fatal(err)
	}
	c := fanOut(m.runs)
	var at, speed []float64
	for _, p := range c.panels[0].points {
		at, speed = append(at, p.x), append(speed, p.y)
	}
	if !slices.Equal(at, []float64{1, 10, 100, 1000}) || !slices.Equal(speed, []float64{0.5, 3, 5.6, 2.3}) {
		t.Errorf("%v million deliveries at %v subscribers", speed, at)
	}
	if p := c.panels[0].points[2]; p.low != 5.04 || p.high != 7.28 {
		t.Errorf("the runs range from %v to %v", p.low, p.high)
	}
	if p := memory(m.runs).panels[0].points[2]; p.x != 15000 || p.y != 9.1 {
		t.Errorf("%v kB at %v connections", p.y, p.x)
	}
}

// The picture is XML, with the points of both panels in places that exist.
func wellFormed(t *testing.T, name string, text []byte) {
	t.Helper()
	circles := 0
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
			circles++
		}
	}
	if circles < 6 || bytes.Contains(text, []byte("NaN")) || bytes.Contains(text, []byte("Inf")) {
		t.Errorf("%s has %d points:\n%s", name, circles, text)
	}
}

// Labels of points that lie close together do not lie upon each other.
func TestLabels(t *testing.T) {
	at := func(text, anchor string, x, y float64) label { return label{text, anchor, x, y} }
	for _, c := range []struct {
		a, b label
		want bool
	}{
		{at("0.15", "middle", 100, 50), at("0.16", "middle", 120, 50), true},
		{at("0.15", "middle", 100, 50), at("0.16", "middle", 120, 70), false},
		{at("0.15", "middle", 100, 50), at("0.16", "middle", 130, 50), false},
		{at("0.15", "end", 100, 50), at("0.16", "start", 101, 50), false},
		{at("0.15", "start", 100, 50), at("0.16", "end", 101, 50), true},
	} {
		if c.a.overlaps(c.b) != c.want || c.b.overlaps(c.a) != c.want {
			t.Errorf("%v and %v: want %v", c.a, c.b, c.want)
		}
	}
}

// One kind of rows is enough; the other chart is not written, and that is said.
func TestOneChart(t *testing.T) {
	const line = `{"command":"hoofbeat bench idle","result":{"scenario":"idle","verdict":"PASS","unit":"connections","connections":%,"server":{},"idle":{}}}`
	name := filepath.Join(t.TempDir(), "idle.jsonl")
	if err := os.WriteFile(name, []byte(strings.Replace(line, "%", "10", 1)+"\n\n"+strings.Replace(line, "%", "20", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, log strings.Builder
	if err := run([]string{"-out", t.TempDir(), name}, &out, &log); err != nil {
		t.Fatal(err)
	}
	if want := "fanout.svg is not written: it wants two rows or more\n"; log.String() != want {
		t.Errorf("%q, want %q", log.String(), want)
	}
}

func TestBadInput(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "no runs"},
		{"{\n", "line 1: unexpected end of JSON input"},
		{"\n\n[]\n", "line 3: json: cannot unmarshal array"},
		{"{}\n", "line 1: neither a machine nor a run"},
		{`{"command":"x","result":{"verdict":"PASS"}}`, "line 1: neither a machine nor a run"},
		{`{"command":"x","result":{"scenario":"fanout","verdict":"PASS","unit":"deliveries"}}`, "line 1: the run has no figures of the server"},
		{`{"command":"x","result":{"scenario":"idle","verdict":"PASS","unit":"connections","server":{}}}`, "line 1: a run without connections"},
		{`{"command":"x","result":{"scenario":"idle","verdict":"PASS","unit":"connections","connections":1,"server":{}}}`, "line 1: a run of idle without its figures"},
		{`{"command":"x","result":{"scenario":"fanout","verdict":"PASS","unit":"deliveries","interrupted":true,"server":{}}}`, "line 1: the run was interrupted"},
		{strings.Repeat("x", 2<<20), "line 1: bufio.Scanner: token too long"},
	} {
		name := filepath.Join(t.TempDir(), "bad.jsonl")
		if err := os.WriteFile(name, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := run([]string{"-out", t.TempDir(), name}, io.Discard, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), name+": ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: %v, want %s", c.text, err, c.want)
		}
	}
	if err := run(nil, io.Discard, io.Discard); err == nil {
		t.Error("no file is no error")
	}
	if err := run([]string{filepath.Join(t.TempDir(), "missing")}, io.Discard, io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
