// Command summary reads what `go test -json` writes and prints it for people: a
// line for each package, the full output of what failed, and in the end what was
// skipped, what was slowest, and the counts. It exits with 1 if anything failed.
//
//	go test -json ./... 2>&1 | go run ./.ci/summary -totals FILE
//
// The last line, which -totals writes to a file too, is "N passed, N failed, N
// skipped". Each test function and each subtest counts as one.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	totals := flag.String("totals", "", "file to write the last line to")
	flag.Parse()
	s := newSummary(os.Stdout)
	err := s.read(os.Stdin)
	if err == nil {
		s.end()
		if *totals != "" {
			err = os.WriteFile(*totals, []byte(s.counts()+"\n"), 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
	}
	if err != nil || s.bad() {
		os.Exit(1)
	}
}

// event is a line of go test -json: see go doc test2json.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of a build
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// test is one test of a package that runs, or the package itself.
type test struct {
	output strings.Builder
	ended  bool
}

type timed struct {
	name    string
	seconds float64
}

type summary struct {
	out     io.Writer
	running map[string]map[string]*test // by package and test; "" is the package
	builds  map[string]*strings.Builder // output by import path
	skips   []string
	slow    []timed

	passed, failed, skipped  int
	packages, failedPackages int
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, running: make(map[string]map[string]*test), builds: make(map[string]*strings.Builder)}
}

// read takes events until the end. What is no event is printed as it is.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				fmt.Fprintf(s.out, "%s\n", strings.TrimSuffix(string(line), "\n"))
			} else {
				s.take(&e)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) take(e *event) {
	switch e.Action {
	case "build-output":
		if s.builds[e.ImportPath] == nil {
			s.builds[e.ImportPath] = new(strings.Builder)
		}
		s.builds[e.ImportPath].WriteString(e.Output)
	case "build-fail":
		fmt.Fprintf(s.out, "%s", s.builds[e.ImportPath])
		delete(s.builds, e.ImportPath)
	case "run":
		s.of(e)
	case "output":
		s.of(e).output.WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
		} else {
			s.endTest(e)
		}
	}
}

func (s *summary) of(e *event) *test {
	tests := s.running[e.Package]
	if tests == nil {
		tests = make(map[string]*test)
		s.running[e.Package] = tests
	}
	if tests[e.Test] == nil {
		tests[e.Test] = new(test)
	}
	return tests[e.Test]
}

func (s *summary) endTest(e *event) {
	t := s.of(e)
	t.ended = true
	name := e.Package + " " + e.Test
	s.slow = append(s.slow, timed{name, e.Elapsed})
	switch e.Action {
	case "pass":
		s.passed++
	case "skip":
		s.skipped++
		s.skips = append(s.skips, name+": "+reason(t.output.String()))
	case "fail":
		s.failed++
		fmt.Fprintf(s.out, "\n%s\n%s\n", name, t.output.String())
	}
	t.output.Reset()
}

// endPackage prints the result of a package. A test that has not ended then has
// failed: the package ran into its time limit, or was ended by a panic.
func (s *summary) endPackage(e *event) {
	tests := s.running[e.Package]
	delete(s.running, e.Package)
	s.packages++
	if e.Action != "fail" {
		fmt.Fprintf(s.out, "%-4s %s %.1fs\n", map[string]string{"pass": "ok", "skip": "-"}[e.Action], e.Package, e.Elapsed)
		return
	}
	s.failedPackages++
	for name, t := range tests {
		if name != "" && !t.ended {
			s.failed++
			fmt.Fprintf(s.out, "\n%s %s has not ended\n%s\n", e.Package, name, t.output.String())
		}
	}
	text := ""
	if t := tests[""]; t != nil {
		text = t.output.String()
	}
	if e.FailedBuild != "" {
		text = "build failed\n"
	}
	text = strings.TrimPrefix(text, "FAIL\n")
	if i := strings.Index(text, "FAIL\t"+e.Package); i >= 0 { // said once is enough
		text = text[:i]
	}
	fmt.Fprintf(s.out, "FAIL %s %.1fs\n%s", e.Package, e.Elapsed, text)
}

// reason is what a test said when it was skipped: "file.go:5: node is missing".
func reason(output string) string {
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			return line
		}
	}
	return "no reason given"
}

// end prints what is said once.
func (s *summary) end() {
	for name := range s.running { // go test itself was killed
		s.failedPackages++
		fmt.Fprintf(s.out, "FAIL %s has not ended\n", name)
	}
	slices.SortStableFunc(s.slow, func(a, b timed) int { return cmp.Compare(b.seconds, a.seconds) })
	fmt.Fprintln(s.out, "\nslowest:")
	for _, t := range s.slow[:min(len(s.slow), 15)] {
		fmt.Fprintf(s.out, "%7.1fs %s\n", t.seconds, t.name)
	}
	if len(s.skips) > 0 {
		fmt.Fprintln(s.out, "\nskipped:")
		for _, line := range s.skips {
			fmt.Fprintln(s.out, "  "+line)
		}
	}
	fmt.Fprintf(s.out, "\n%d packages, %d of them failed; %d tests run\n%s\n", s.packages, s.failedPackages, s.passed+s.failed+s.skipped, s.counts())
}

func (s *summary) counts() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", s.passed, s.failed, s.skipped)
}

// bad also when nothing was tested at all.
func (s *summary) bad() bool {
	return s.failed > 0 || s.failedPackages > 0 || len(s.running) > 0 || s.packages == 0
}
