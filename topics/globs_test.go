package topics

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Among enough globs to be indexed, each matches what it matched alone, while
// others come and go.
func TestManyGlobsAgainstNaive(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func(letters string, n int) string {
		b := make([]byte, random.IntN(n+1))
		for i := range b {
			b[i] = letters[random.IntN(len(letters))]
		}
		return string(b)
	}
	x, naive := NewIndex[int](), naiveIndex{}
	for i := range 3000 {
		if len(naive) > 0 && random.IntN(3) == 0 {
			e := naive[random.IntN(len(naive))]
			if !x.Remove(e.destination, e.s) || !naive.remove(e.destination, e.s) {
				t.Fatalf("%q is not there", e.destination)
			}
		} else {
			glob := word("ab", 4) + "*"
			switch random.IntN(4) {
			case 0:
				glob = "*" + word("ab", 4)
			case 1:
				glob = word("ab*?", 5) + "*" + word("ab", 2)
			}
			pattern := "/topic/" + glob
			if random.IntN(3) == 0 {
				pattern += "/" + word("ab", 2) + "*"
			}
			x.Add(pattern, i)
			naive.add(pattern, i)
		}
		path := "/topic/" + word("ab", 5)
		if random.IntN(2) == 0 {
			path += "/" + word("ab", 3)
		}
		if got, want := sorted(x.Match(path)), naive.match(path); !slices.Equal(got, want) {
			t.Fatalf("%q matches %v, want %v", path, got, want)
		}
	}
	for _, e := range naive {
		x.Remove(e.destination, e.s)
	}
	if a := &x.patterns.absolute; a.children.len() != 0 || a.globs != nil {
		t.Errorf("the trie of no patterns holds %+v", a)
	}
}

// Globs with one star at an end are compared only if they match the segment,
// however many there are.
func TestGlobsAreFoundByHeadAndTail(t *testing.T) {
	x := NewIndex[int]()
	for i := range 20_000 {
		x.Add(fmt.Sprintf("/topic/a%d*", i), i)
		x.Add(fmt.Sprintf("/topic/*a%d", i), i)
	}
	g := x.patterns.absolute.children.get("topic").globs
	if n := len(g.compared); n != 0 {
		t.Errorf("%d globs are compared one by one", n)
	}
	if n := len(g.heads.sizes) + len(g.tails.sizes); n != 10 {
		t.Errorf("%d lengths are looked up, want 10", n)
	}
	if got := sorted(x.Match("/topic/a1234")); !slices.Equal(got, []int{1, 12, 123, 1234, 1234}) {
		t.Errorf("got %v", got)
	}
}

func TestSlow(t *testing.T) {
	for name, want := range map[string]bool{
		"/topic/a": false, "/topic/*": false, "/topic/**": false, "/topic/a*": false, "/topic/*a": false, "/queue/a*": false,
		"/topic/a*/b": false, "/topic/a*/*": false, "/topic/**/*.log": false, "/topic/*/*/x": false, "/topic/*/a/*/b/**": false,
		"/topic/?": true, "/topic/a?": true, "/topic/a?*": true, "/topic/*?": true, "/topic/a*b": true, "/topic/*a*": true, "/topic/a**": true,
		"/topic/***": true, "/topic/a*/b*": true, "/topic/a*/x/*b": true, "/topic/*/*/*/*": true, "/topic/*/**/*/**": true,
		"/user/queue/a*b": false, "/app/a?": false,
	} {
		if d := parse(t, name); d.Slow() != want {
			t.Errorf("Slow of %q is %v", name, !want)
		}
	}
}

// BenchmarkGlobs publishes to ever new destinations beside many globs.
func BenchmarkGlobs(b *testing.B) {
	for _, c := range []struct {
		name, glob string
		n          int
	}{{"few", "a%d*", 5}, {"heads", "a%d*", 20_000}, {"tails", "*a%d", 20_000}, {"compared", "*a%d*", 2500}, {"compared-heads", "a*%d", 2500}, {"masks", "a?%d", 2500}} {
		b.Run(c.name, func(b *testing.B) {
			x := NewIndex[*subscription]()
			for i := range c.n {
				x.Add("/topic/"+fmt.Sprintf(c.glob, i), &subscription{})
			}
			b.ReportAllocs()
			names := make([]string, 5000) // more than are cached
			for i := range names {
				names[i] = fmt.Sprintf("/topic/alerts-%d", i)
			}
			i := 0
			for b.Loop() {
				x.Match(names[i%len(names)])
				i++
			}
		})
	}
	b.Run("lengths", func(b *testing.B) {
		x := NewIndex[*subscription]()
		for i := range 1000 {
			x.Add("/topic/"+strings.Repeat("a", i)+"*", &subscription{})
		}
		i := 0
		for b.Loop() {
			x.Match(fmt.Sprintf("/topic/alerts-%d", i))
			i++
		}
	})
}
