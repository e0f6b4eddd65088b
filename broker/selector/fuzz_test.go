package selector_test

import (
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/selector"
)

// No input makes Compile panic or return an error of several lines, or returns
// a match that panics, is slow or is inconsistent.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`headers.foo == 'bar'`, `headers['x-priority'] > 3`, `headers.a in ['x', 1, true, null] or not (headers.b contains "y")`,
		`5 < headers.n <= 1e3 and headers.n != -2`, `headers.a = 'b'`, `headers?.a ?? headers[1:2]`, `all(1..1e9, {# > 1})`,
		`let x = headers; x.a`, `headers.a matches '(a{1000}){1000}'`, `b'\xff' == headers.a`, `/* */ true // x`, "'\x00\r\n", `true ? : false`, `1 | len()`,
	} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, expression, value string) {
		if len(expression) > 1024 || len(value) > 8192 {
			return // the broker accepts neither
		}
		start := time.Now()
		match, err := selector.Compile(expression)
		if err != nil {
			plain(t, err.Error())
			return
		}
		m := message("foo", value, "a", value, "n", "7")
		first := match(m)
		if match(m) != first {
			t.Errorf("%q of %q is not one thing", expression, value)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%q of %q took %v", expression, value, took)
		}
	})
}
