package topics

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCollapse(t *testing.T) {
	for s, want := range map[string]string{
		"/topic/a": "/topic/a", "/topic//a": "/topic/a", "/topic/a/": "/topic/a", "//topic///a//": "/topic/a",
		"": "", "/": "/", "//": "/", "///": "/", "a": "a", "a/": "a", "a//b": "a/b", "/**//*/": "/**/*",
	} {
		if got := Collapse(s); got != want {
			t.Errorf("Collapse(%q) = %q, want %q", s, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Collapse("/topic/a/b") }); n != 0 {
		t.Errorf("%v allocations for a name without empty segments", n)
	}
}

func TestCanonical(t *testing.T) {
	for name, want := range map[string]string{
		"/topic/a":                    "/topic/a",
		"/topic//a/":                  "/topic/a",
		"/topic/a%2fb":                "/topic/a%2fb", // only a user's name has escapes
		"/queue/x/":                   "/queue/x",
		"/app//echo/":                 "/app/echo",
		"/app/":                       "/app",
		"/user/queue//x/":             "/user/queue/x",
		"/user/bob/queue/x/":          "/user/bob/queue/x",
		"/user/acme%2fboss/queue/x":   "/user/acme%2Fboss/queue/x",
		"/user/acme%2Fboss/queue//x/": "/user/acme%2Fboss/queue/x",
		"/user/100%25/topic/x%2f":     "/user/100%25/topic/x%2f",
	} {
		d, err := Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := standard.Canonical(d); got != want {
			t.Errorf("%q: canonical %q, want %q", name, got, want)
		}
	}
}

// A pattern that matches a destination also matches when both are collapsed, so
// rules may use the collapsed form.
func TestPropertyCollapsedMatches(t *testing.T) {
	text := rapid.StringOfN(rapid.SampledFrom([]rune("a/*?")), 1, 8, -1)
	path := rapid.StringOfN(rapid.SampledFrom([]rune("a//b")), 1, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		pattern, path := "/"+text.Draw(t, "pattern"), "/"+path.Draw(t, "path")
		p, err := Compile(pattern)
		if err != nil || !p.Match(path) {
			return
		}
		short, err := Compile(Collapse(pattern))
		if err != nil {
			t.Fatal(err)
		}
		if short.Match(Collapse(path)) {
			return
		}
		base, quirk := strings.CutSuffix(Collapse(pattern), "/*")
		if b, err := Compile(base); err != nil || !quirk || !strings.HasSuffix(path, "/") || base != "" && !b.Match(Collapse(path)) {
			t.Fatalf("%q matches %q, but collapsed it does not", pattern, path)
		}
	})
}
