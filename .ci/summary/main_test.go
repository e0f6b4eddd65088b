package main

import (
	"strings"
	"testing"
)

func summarise(t *testing.T, lines ...string) (*summary, string) {
	t.Helper()
	var out strings.Builder
	s := newSummary(&out)
	if err := s.read(strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	s.end()
	return s, out.String()
}

func TestSummary(t *testing.T) {
	const pass, start = `{"Action":"pass","Package":"p","Elapsed":1}`, `{"Action":"start","Package":"p"}`
	for name, c := range map[string]struct {
		lines []string
		bad   bool
		want  []string
	}{
		"good": {[]string{
			start, `{"Action":"run","Package":"p","Test":"A"}`, `{"Action":"output","Package":"p","Test":"A","Output":"noise\n"}`,
			`{"Action":"pass","Package":"p","Test":"A","Elapsed":0.5}`, pass,
		}, false, []string{"ok   p 1.0s", "1 tests run\n1 passed, 0 failed, 0 skipped\n"}},
		"failed": {[]string{
			start, `{"Action":"run","Package":"p","Test":"A"}`, `{"Action":"output","Package":"p","Test":"A","Output":"a_test.go:5: got 1\n"}`,
			`{"Action":"fail","Package":"p","Test":"A"}`, `{"Action":"fail","Package":"p"}`,
		}, true, []string{"p A\na_test.go:5: got 1\n", "FAIL p", "0 passed, 1 failed, 0 skipped\n"}},
		"skipped": {[]string{
			`{"Action":"output","Package":"p","Test":"A","Output":"=== RUN   A\n"}`,
			`{"Action":"output","Package":"p","Test":"A","Output":"    a_test.go:5: node is missing\n"}`,
			`{"Action":"skip","Package":"p","Test":"A"}`, pass,
		}, false, []string{"p A: a_test.go:5: node is missing\n", "0 passed, 0 failed, 1 skipped\n"}},
		"ended by a panic": {[]string{
			`{"Action":"run","Package":"p","Test":"A"}`, `{"Action":"output","Package":"p","Test":"A","Output":"panic: oh\n"}`, `{"Action":"fail","Package":"p"}`,
		}, true, []string{"p A has not ended\npanic: oh\n", "0 passed, 1 failed, 0 skipped\n"}},
		"does not build": {[]string{
			`{"ImportPath":"p [p.test]","Action":"build-output","Output":"a_test.go:5: undefined: x\n"}`, `{"ImportPath":"p [p.test]","Action":"build-fail"}`,
			start, `{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}`,
		}, true, []string{"a_test.go:5: undefined: x\n", "FAIL p", "build failed\n"}},
		"killed":       {[]string{start, `{"Action":"run","Package":"p","Test":"A"}`}, true, []string{"FAIL p has not ended"}},
		"no event":     {[]string{"go: downloading x", pass}, false, []string{"go: downloading x\n"}},
		"nothing":      {nil, true, nil},
		"no test file": {[]string{`{"Action":"skip","Package":"p"}`}, false, []string{"-    p", "0 passed"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, out := summarise(t, c.lines...)
			if s.bad() != c.bad {
				t.Errorf("bad is %v", s.bad())
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
		})
	}
}
