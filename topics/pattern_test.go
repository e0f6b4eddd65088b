package topics

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The results of Spring's AntPathMatcher, rule by rule.
func TestAntPathMatcher(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		// without wildcards
		{"/topic/a", "/topic/a", true},
		{"/topic/a", "/topic/b", false},
		{"/topic/a", "/topic/a/b", false},
		{"/topic/a/b", "/topic/a", false},
		{"/topic/a", "/topic/A", false},
		{"/topic/{id}", "/topic/{id}", true},
		{"/topic/{id}", "/topic/7", false},
		{"/topic/a.b", "/topic/axb", false},
		{"", "", true},
		{"/", "/", true},
		{"", "/", false},
		{"/", "", false},
		{"/", "/a", false},

		// ? is one character
		{"/topic/?", "/topic/a", true},
		{"/topic/?", "/topic/ü", true},
		{"/topic/?", "/topic/🐎", true},
		{"/topic/?", "/topic/ab", false},
		{"/topic/?", "/topic/", false},
		{"/topic/??", "/topic/a", false},
		{"/topic/a?c", "/topic/abc", true},
		{"/topic/a?c", "/topic/a/c", false},
		{"/t?pic/a", "/topic/a", true},
		{"/topic/?a?", "/topic/bab", true},

		// * is zero or more characters of one segment
		{"/topic/*", "/topic/a", true},
		{"/topic/*", "/topic/abc", true},
		{"/topic/*", "/topic/a/b", false},
		{"/topic/*", "/topic", false},
		{"/topic/a*", "/topic/a", true},
		{"/topic/a*", "/topic/abc", true},
		{"/topic/a*", "/topic/ba", false},
		{"/topic/*a", "/topic/a", true},
		{"/topic/*a", "/topic/aaa", true},
		{"/topic/*a", "/topic/ab", false},
		{"/topic/*a*", "/topic/bab", true},
		{"/topic/*a*", "/topic/bbb", false},
		{"/topic/a*b", "/topic/a/b", false},
		{"/topic/*ab*ab", "/topic/abab", true},
		{"/topic/*ab*ab", "/topic/abxaab", true},
		{"/topic/*ab*ab", "/topic/ab", false},
		{"/topic/a**b", "/topic/axxb", true},
		{"/topic/a**b", "/topic/a/b", false},
		{"/topic/***", "/topic/a", true},
		{"/topic/***", "/topic/a/b", false},
		{"/topic/*?", "/topic/a", true},
		{"/topic/*?", "/topic/", false},
		{"/topic/*a?b*", "/topic/xaaybz", true},
		{"/topic/*a?b*", "/topic/xaabz", true},
		{"/topic/*a?b*", "/topic/xabbz", true},
		{"/topic/*a?b*", "/topic/xabz", false},
		{"/*/a", "/topic/a", true},
		{"/*/*", "/topic/a", true},
		{"/*/*", "/topic", false},

		// ** is zero or more segments
		{"/topic/**", "/topic", true},
		{"/topic/**", "/topic/", true},
		{"/topic/**", "/topic/a", true},
		{"/topic/**", "/topic/a/b/c", true},
		{"/topic/**", "/topics", false},
		{"/**", "/", true},
		{"/**", "/topic/a", true},
		{"**", "/topic/a", false},
		{"**", "topic/a", true},
		{"**", "", true},
		{"/topic/**/a", "/topic/a", true},
		{"/topic/**/a", "/topic/b/c/a", true},
		{"/topic/**/a", "/topic/a/b", false},
		{"/topic/**/a", "/topic", false},
		{"/topic/**/**", "/topic", true},
		{"/topic/**/**/a", "/topic/x/a", true},
		{"/topic/**/*", "/topic", false},
		{"/topic/**/*", "/topic/a", true},
		{"/topic/**/*", "/topic/a/b", true},
		{"/**/a/**/b", "/a/b", true},
		{"/**/a/**/b", "/x/a/y/a/z/b", true},
		{"/**/a/**/b", "/x/b/y/a", false},
		{"/topic/**/a/b/**/c", "/topic/a/a/b/b/c", true},
		{"/topic/**/a/b/**/c", "/topic/a/x/b/c", false},
		{"/topic/**/a?/*b", "/topic/ab/ab", true},
		{"/topic/*/**", "/topic", false},
		{"/topic/*/**", "/topic/a", true},

		// leading separators agree
		{"/topic/*", "topic/a", false},
		{"topic/*", "/topic/a", false},
		{"topic/*", "topic/a", true},

		// trailing separators agree, but not behind a final **
		{"/topic/a", "/topic/a/", false},
		{"/topic/a/", "/topic/a", false},
		{"/topic/a/", "/topic/a/", true},
		{"/topic/*", "/topic/a/", false},
		{"/topic/*/", "/topic/a/", true},
		{"/topic/*/", "/topic/a", false},
		{"/topic/**", "/topic/a/", true},
		{"/topic/**/", "/topic/a", true},
		{"/topic/**/a", "/topic/b/a/", false},
		{"/topic/**/a/", "/topic/b/a/", true},

		// a final * accepts the empty segment behind a trailing separator, if
		// no ** came before
		{"/topic/*", "/topic/", true},
		{"/topic/*/", "/topic/", true},
		{"/*", "/", true},
		{"/topic/a*", "/topic/", false},
		{"/topic/***", "/topic/", false},
		{"/topic/**/*", "/topic/", false},
		{"/topic/*/*", "/topic/", false},

		// empty segments vanish
		{"/topic//a", "/topic/a", true},
		{"/topic/a", "/topic//a", true},
		{"/topic/*", "//topic///a", true},
		{"/topic//*", "/topic/a", true},
		{"/topic/a//", "/topic/a/", true},

		// white space counts
		{"/topic/a", "/topic/ a", false},
		{"/topic/ *", "/topic/ a", true},
		{"/topic/ *", "/topic/a", false},
	} {
		p, err := Compile(c.pattern)
		if err != nil {
			t.Errorf("Compile(%q): %v", c.pattern, err)
			continue
		}
		if got := p.Match(c.path); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.pattern, c.path, got, c.want)
		}
		if naive := naiveMatch(c.pattern, c.path); naive != c.want {
			t.Errorf("the oracle is wrong: %q matches %q: %v", c.pattern, c.path, naive)
		}
		if p.String() != c.pattern {
			t.Errorf("Compile(%q).String() = %q", c.pattern, p)
		}
	}
}

func TestIsPattern(t *testing.T) {
	for s, want := range map[string]bool{"/topic/a": false, "/topic/{a}": false, "/topic/*": true, "/topic/?": true, "": false} {
		if IsPattern(s) != want {
			t.Errorf("IsPattern(%q) = %v", s, !want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for s, want := range map[string]Error{
		"/topic/*\n":                                  ErrControl,
		"/topic/*\xff":                                ErrEncoding,
		"/" + strings.Repeat("*", MaxLength):          ErrTooLong,
		"/topic" + strings.Repeat("/*", MaxLevels):    ErrTooDeep,
		"/topic/a/*" + strings.Repeat("?", MaxMasked): ErrMaskTooLong,
	} {
		if p, err := Compile(s); p != nil || !errors.Is(err, want) {
			t.Errorf("Compile(%q) = %v, %v; want %v", s, p, err, want)
		}
	}
}

// A matcher with backtracking would not finish these in a century, one that is
// quadratic in the path not within an hour.
func TestPatternIsLinear(t *testing.T) {
	const n = 1 << 18
	run, levels := "/topic/"+strings.Repeat("a", n), "/topic"+strings.Repeat("/a", n)
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/topic/*a*a*a*a*b", run, false},
		{"/topic/*a*a*a*a*b", run + "b", true},
		{"/topic/" + strings.Repeat("*a", 300) + "*b", run, false},
		{"/topic/*" + strings.Repeat("a", 500) + "b*", run, false},
		{"/topic/*?a?a*?b*", run, false},
		{"/topic/**/a/**/a/**/b", levels, false},
		{"/topic/**/a/**/a/**/b", levels + "/b", true},
		{"/topic" + strings.Repeat("/**/a", 14) + "/b", levels, false},
		{"/topic/**/*a*/?/a/**/*b", levels, false},
		{"/topic/**/a/a/a/a/a/a/a/a/a/b/**", levels, false},
		{"/topic/**/*a*a*b/**/*a*b", levels + run, false},
	} {
		p, err := Compile(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(c.path); got != c.want {
			t.Errorf("%.40q: %v, want %v", c.pattern, got, c.want)
		}
	}
}

// The widest mask uses every bit of its word. The next wider one is refused, or
// matches nothing if it was not checked.
func TestPatternWidestMask(t *testing.T) {
	questions := strings.Repeat("?", MaxMasked-2)
	p, err := Compile("/ü" + questions + "b")
	if err != nil {
		t.Fatal(err)
	}
	for middle, want := range map[int]bool{MaxMasked - 3: false, MaxMasked - 2: true, MaxMasked - 1: false} {
		if path := "/ü" + strings.Repeat("ö", middle) + "b"; p.Match(path) != want {
			t.Errorf("%d characters match: %v, want %v", middle+2, !want, want)
		}
	}
	x := NewIndex[int]()
	tooWide := "/" + strings.Repeat("?", MaxMasked+1)
	x.Add(tooWide, 1)
	if found := x.Match("/" + strings.Repeat("a", MaxMasked+1)); found != nil {
		t.Errorf("a mask that is too wide finds %v", found)
	}
	if !x.Remove(tooWide, 1) || x.Len() != 0 {
		t.Error("a mask that is too wide cannot be removed")
	}
}

func TestPatternMatchAllocatesNothing(t *testing.T) {
	for _, s := range []string{"/topic/a/b", "/topic/*/?", "/topic/**/b", "/topic/**/*a*/**/b", "/topic/*a?c*/x"} {
		p := newPattern(s)
		if n := testing.AllocsPerRun(100, func() { p.Match("/topic/abcabd/a/b") }); n != 0 {
			t.Errorf("%q: %v allocations", s, n)
		}
	}
}

// patterns and paths of few characters, so that they often match
var (
	somePattern = rapid.StringMatching(`/?([ab?*ü]{0,4}/|\*\*/){0,5}([ab?*]{0,4}|\*\*)`)
	somePath    = rapid.StringMatching(`/?([abü]{0,4}/){0,5}[ab]{0,4}`)
)

func TestPatternAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern, path := somePattern.Draw(t, "pattern"), somePath.Draw(t, "path")
		if got, want := newPattern(pattern).Match(path), naiveMatch(pattern, path); got != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, path, got, want)
		}
	})
}

func FuzzPattern(f *testing.F) {
	for _, c := range [][2]string{{"/a/**/b", "/a/c/b"}, {"/a*b?/", "/axbc/"}, {"/**/*a?b*/**", "/x/aab/"}, {"/*", "/"}, {"ü?*", "üäö"}} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if len(pattern) > 24 || len(path) > 24 {
			return // the oracle is exponential
		}
		p, err := Compile(pattern)
		if err != nil || check(path) != nil {
			return
		}
		want := naiveMatch(pattern, path)
		if got := p.Match(path); got != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, path, got, want)
		}
		x := NewIndex[int]()
		x.patterns.add(pattern, 1, nil)
		if got := len(x.Match(path)) == 1; got != want {
			t.Fatalf("the trie of %q finds %q: %v, want %v", pattern, path, got, want)
		}
	})
}
