package topics

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// subscription stands for what a broker keeps: Match returns pointers.
type subscription struct{ id int }

// populations are the sizes between which the cost of a publication and of a subscription must not grow: ten
// subscribers for each destination, a hundred destinations and a hundred thousand.
var populations = []struct{ destinations, each int }{{100, 10}, {100_000, 10}}

func name(i int) string { return "/topic/prices/" + strconv.Itoa(i) }

func populated(destinations, each int) (*Index[*subscription], []string) {
	x := NewIndex[*subscription]()
	names := make([]string, destinations)
	for i := range names {
		names[i] = name(i)
	}
	for range each {
		for i := range names {
			x.Add(names[i], &subscription{i})
		}
	}
	return x, names
}

// each runs a benchmark for both populations, on a hundred hot destinations and spread over all. The hot ones show
// what the number of subscriptions costs; spread over a hundred megabytes it is the memory that answers late, a
// handful of cache misses for each call, as it would whatever the data structure.
func each(b *testing.B, patterns int, run func(b *testing.B, x *Index[*subscription], order []string)) {
	for _, size := range populations {
		x, names := populated(size.destinations, size.each)
		for i := range patterns {
			x.Add(fmt.Sprintf("/topic/*/%d?", i), &subscription{})
		}
		for _, use := range []struct {
			name   string
			spread int
		}{{"hot", 100}, {"spread", len(names)}} {
			order := make([]string, 1<<16)
			for i := range order {
				order[i] = names[rand.IntN(use.spread)]
			}
			b.Run(fmt.Sprintf("subs=%d/%s", size.destinations*size.each, use.name), func(b *testing.B) {
				b.ReportAllocs()
				run(b, x, order)
			})
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, patterns := range []int{0, 10} {
		b.Run(fmt.Sprintf("patterns=%d", patterns), func(b *testing.B) {
			each(b, patterns, func(b *testing.B, x *Index[*subscription], order []string) {
				for i := 0; b.Loop(); i++ {
					if len(x.Match(order[i%len(order)])) < 10 {
						b.Fatal("subscribers missing")
					}
				}
			})
		})
	}
}

// BenchmarkDeliver is Match and a look at each subscriber, which is the least a broker does with them.
func BenchmarkDeliver(b *testing.B) {
	each(b, 0, func(b *testing.B, x *Index[*subscription], order []string) {
		sum := 0
		for i := 0; b.Loop(); i++ {
			for _, s := range x.Match(order[i%len(order)]) {
				sum += s.id
			}
		}
	})
}

// BenchmarkSubscribe is an Add and a Remove.
func BenchmarkSubscribe(b *testing.B) {
	s := &subscription{}
	each(b, 0, func(b *testing.B, x *Index[*subscription], order []string) {
		for i := 0; b.Loop(); i++ {
			x.Add(order[i%len(order)], s)
			x.Remove(order[i%len(order)], s)
		}
	})
}

func BenchmarkMatchParallel(b *testing.B) {
	x, names := populated(100, 10)
	b.RunParallel(func(p *testing.PB) {
		i := rand.IntN(len(names))
		for p.Next() {
			x.Match(names[i%len(names)])
			i++
		}
	})
}

// BenchmarkCrowd adds to and removes from one destination, with and without a publication in between.
func BenchmarkCrowd(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		x := NewIndex[*subscription]()
		for i := range n {
			x.Add("/topic/a", &subscription{i})
		}
		s := &subscription{}
		b.Run(fmt.Sprintf("subs=%d/come+go", n), func(b *testing.B) {
			for b.Loop() {
				x.Add("/topic/a", s)
				x.Remove("/topic/a", s)
			}
		})
		b.Run(fmt.Sprintf("subs=%d/come+match+go", n), func(b *testing.B) {
			for b.Loop() {
				x.Add("/topic/a", s)
				x.Match("/topic/a")
				x.Remove("/topic/a", s)
			}
		})
	}
}

// BenchmarkMemory reports the bytes each subscription costs, without the subscriber and the name themselves.
func BenchmarkMemory(b *testing.B) {
	measure := func(b *testing.B, n int, fill func(i int)) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range n {
			fill(i)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/subscription")
		b.ReportMetric(0, "ns/op")
	}
	const n = 200_000
	names := make([]string, n)
	for i := range names {
		names[i] = name(i)
	}
	s := &subscription{}
	b.Run("empty", func(b *testing.B) {
		var r *Router[*subscription]
		measure(b, 1, func(int) { r = NewRouter[*subscription]() })
		runtime.KeepAlive(r)
	})
	b.Run("private", func(b *testing.B) {
		r := NewRouter[*subscription]()
		measure(b, n, func(i int) { r.Subscribe(names[i], Destination{Kind: UserPrivate, Path: "/queue/a"}, s) })
		runtime.KeepAlive(r)
	})
	b.Run("one-each", func(b *testing.B) {
		x := NewIndex[*subscription]()
		measure(b, n, func(i int) { x.Add(names[i], s) })
		runtime.KeepAlive(x)
	})
	b.Run("ten-each", func(b *testing.B) {
		x := NewIndex[*subscription]()
		measure(b, n, func(i int) { x.Add(names[i%(n/10)], s) })
		runtime.KeepAlive(x)
	})
	b.Run("one-crowd", func(b *testing.B) {
		x := NewIndex[int]()
		measure(b, n, func(i int) { x.Add("/topic/a", i) })
		runtime.KeepAlive(x)
	})
	b.Run("users", func(b *testing.B) {
		r := NewRouter[*subscription]()
		measure(b, n, func(i int) { r.Join(names[i], names[i]) })
		runtime.KeepAlive(r)
	})
	runtime.KeepAlive(names)
}

func BenchmarkParse(b *testing.B) {
	for _, name := range []string{"/topic/prices/gold", "/user/queue/reply", "/user/alice/queue/reply", "/user/a%2Fb/queue/reply"} {
		b.Run(strings.ReplaceAll(name[1:], "/", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPattern(b *testing.B) {
	for _, c := range []struct{ name, pattern, path string }{
		{"usual", "/topic/prices/*", "/topic/prices/gold"},
		{"stars", "/topic/*a*a*a*a*b", "/topic/" + strings.Repeat("a", 1000)},
		{"run", "/topic/*" + strings.Repeat("a", 500) + "b", "/topic/" + strings.Repeat("a", 1000)},
		{"questions", "/topic/*" + strings.Repeat("a?", 30) + "b*", "/topic/" + strings.Repeat("a", 1000)},
		{"worst", "/**" + strings.Repeat("/*a?a", 15) + "/b", strings.Repeat("/"+strings.Repeat("a", 31), 31)},
		{"segments", "/topic/**/a/**/a/**/b", "/topic" + strings.Repeat("/a", 31)},
	} {
		p := newPattern(c.pattern)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Match(c.path)
			}
		})
	}
}

// BenchmarkHostile publishes to ever new destinations under as many of the worst patterns as one session may have.
func BenchmarkHostile(b *testing.B) {
	x := NewIndex[*subscription]()
	for i := range 1000 {
		x.Add("/topic/"+strings.Repeat("*", i%30+1)+"a/**"+strings.Repeat("/a", 20)+"/"+strconv.Itoa(i), &subscription{})
	}
	tail := strings.Repeat("/a", 28)
	i := 0
	for b.Loop() {
		x.Match("/topic/" + strconv.Itoa(i) + "a" + tail)
		i++
	}
}
