package handlers

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/topics"
)

// A path that ends where a variable stands, which an Ant pattern matches, has no
// value for it: nothing handles it.
func TestVariableIsNotEmpty(t *testing.T) {
	for _, destination := range []string{"/app/a/", "/app/a//", "/user/queue/a/"} {
		within(t, Options{}, []Handler{{Destination: "/app/a/{id}"}, {Destination: "/app/b/*"}}, func(t *testing.T, b *broker.Broker, _ *Set, s *backend) {
			c := brokertest.Connect(t, b)
			send(c, "/app/b/", "to all", "1")
			want(t, c, "RECEIPT 1")
			send(c, destination, "", "2")
			want(t, c, "ERROR 2 nothing handles messages for this destination")
			if got := s.bodies(); len(got) != 1 {
				t.Errorf("%s: posted %q", destination, got)
			}
		})
	}
}

// Whatever matches a pattern, each of its variables is one segment, or the path
// is refused.
func TestVariablesOfAnyPath(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(pieces ...string) string {
		list := make([]string, 8)
		for i := range list {
			list[i] = pieces[random.IntN(len(pieces))]
		}
		return "/" + strings.Join(list, "")
	}
	matched := 0
	for range 100_000 {
		p, err := parsePattern(text("/", "/", "a", "*", "?", "{x}", "{y}", "**", "b", " "))
		if err != nil {
			continue
		}
		compiled, err := topics.Compile(p.ant())
		if err != nil {
			continue
		}
		path := text("/", "/", "a", "b", "?", "{", "x}")
		if !compiled.Match(path) {
			continue
		}
		matched++
		values, ok := p.variables(path)
		if ok && len(values) != len(p.names) {
			t.Fatalf("%s, %s: %v", p.ant(), path, values)
		}
		for name, value := range values {
			if value == "" || strings.Contains(value, "/") {
				t.Fatalf("%s, %s: %s is %q", p.ant(), path, name, value)
			}
		}
	}
	if matched < 100 {
		t.Errorf("only %d matched", matched)
	}
}

func TestPatterns(t *testing.T) {
	for path, wrong := range map[string]error{
		"/a/{b}c": errBraces, "/{a-b}": errBraces, "/{}": errBraces, "/**/{a}": errDeep, "/{a}/**": nil, "/a/{b}/{c_1}": nil,
	} {
		if _, err := parsePattern(path); err != wrong {
			t.Errorf("%s: %v, want %v", path, err, wrong)
		}
	}
	if _, err := parsePattern("/{a}/{a}"); err == nil || err.Error() != "{a} is there twice" {
		t.Errorf("twice: %v", err)
	}
	p, err := parsePattern("/a/{b}/*/{c}/**")
	if err != nil || p.ant() != "/a/*/*/*/**" || fmt.Sprint(p.variables("/a//1/2/3/4")) != "map[b:1 c:3] true" {
		t.Errorf("%v, %s", err, p.ant())
	}
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"/a", "/a", true},
		{"/a", "/b", false},
		{"/a/*", "/a/b", true},
		{"/a/*", "/a", false},
		{"/a/**", "/a", true},
		{"/**/b", "/a/**", true},
		{"/**/b", "/a/*/c", false},
		{"/a/*x", "/a/y*", true},
		{"/a/*x", "/a/*y", false},
		{"/a/?", "/a/é", true},
		{"/a/??", "/a/b", false},
		{"/**", "/", true},
	} {
		a, b := segmentsOf(tc.a), segmentsOf(tc.b)
		if overlap(a, b) != tc.want || overlap(b, a) != tc.want {
			t.Errorf("%s and %s: want %v", tc.a, tc.b, tc.want)
		}
	}
}
