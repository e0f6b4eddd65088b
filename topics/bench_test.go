package topics

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// subscription stands for what a broker keeps: Match returns pointers.
type subscription struct{ id int }

// digits is the number of digits in each name, constant so that writing a name
// always costs the same.
const digits = 5

func name(i int) string { return fmt.Sprintf("/topic/prices/%0*d", digits, i) }

// Two sizes are compared, both with ten subscribers for each destination: a
// thousand subscriptions and a million.
const (
	few  = 100
	many = 100_000
)

func populated(destinations int) *Index[*subscription] {
	x := NewIndex[*subscription]()
	for range 10 {
		for i := range destinations {
			x.Add(name(i), &subscription{i})
		}
	}
	return x
}

// requests draws destinations as a broker receives them: in a buffer that was
// just read.
type requests struct {
	random *rand.Rand
	spread int
	buffer []byte
}

func newRequests(spread int) *requests {
	return &requests{rand.New(rand.NewPCG(1, 2)), spread, []byte(name(0))}
}

// next returns a destination, valid until the next call.
func (r *requests) next() string {
	i := r.random.IntN(r.spread)
	for at := range digits {
		r.buffer[len(r.buffer)-1-at] = byte('0' + i%10)
		i /= 10
	}
	return unsafe.String(unsafe.SliceData(r.buffer), len(r.buffer))
}

// compare alternates an operation among few and among many destinations, so
// that other load on the machine affects both, and reports both costs and their
// ratio. Spread uses all of the many destinations, so that none is in a cache
// when its turn comes; hot uses a hundred of them.
func compare(b *testing.B, use string, small, large func(name string)) {
	const turn = 10_000
	spread := many
	if use == "hot" {
		spread = few
	}
	var spent [2]time.Duration
	sides := [2]struct {
		run      func(name string)
		requests *requests
	}{{small, newRequests(few)}, {large, newRequests(spread)}}
	n := 0
	for b.Loop() {
		for i, side := range sides {
			start := time.Now()
			for range turn {
				side.run(side.requests.next())
			}
			spent[i] += time.Since(start)
		}
		n += turn
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(spent[0].Nanoseconds())/float64(n), "ns@1k")
	b.ReportMetric(float64(spent[1].Nanoseconds())/float64(n), "ns@1M")
	b.ReportMetric(float64(spent[1])/float64(spent[0]), "ratio")
}

// BenchmarkScale compares the cost of a publication and of a subscription at a
// thousand subscriptions and at a million. For comparison it reports draw, the
// benchmark's own part of each figure, and map, a plain Go map from the same
// names to slices of the same subscribers, without a lock.
func BenchmarkScale(b *testing.B) {
	s := &subscription{}
	match := func(x *Index[*subscription]) func(string) {
		return func(name string) {
			if len(x.Match(name)) < 10 {
				b.Fatal("subscribers missing")
			}
		}
	}
	deliver := func(x *Index[*subscription]) func(string) {
		return func(name string) {
			for _, s := range x.Match(name) {
				if s.id < 0 {
					b.Fatal("no such subscriber")
				}
			}
		}
	}
	add := func(x *Index[*subscription]) func(string) {
		return func(name string) {
			x.Add(name, s)
			x.Remove(name, s)
		}
	}
	// The removed subscription is not the most recent one.
	churn := func(x *Index[*subscription]) func(string) {
		var queue [1024]string
		i := 0
		return func(name string) {
			last := &queue[i%len(queue)]
			if *last != "" {
				x.Remove(*last, s)
			}
			*last = strings.Clone(name)
			x.Add(*last, s)
			i++
		}
	}
	plain := func(x *Index[*subscription]) func(string) {
		m := make(map[string][]*subscription)
		for name := range x.Destinations() {
			m[strings.Clone(name)] = slices.Clone(x.Match(name))
		}
		return func(name string) {
			if len(m[name]) < 10 {
				b.Fatal("subscribers missing")
			}
		}
	}
	b.Run("draw", func(b *testing.B) { compare(b, "spread", func(string) {}, func(string) {}) })
	for _, op := range []struct {
		name string
		run  func(*Index[*subscription]) func(string)
	}{{"map", plain}, {"match", match}, {"deliver", deliver}, {"add+remove", add}, {"churn", churn}} {
		small, large := op.run(populated(few)), op.run(populated(many))
		for _, use := range []string{"hot", "spread"} {
			b.Run(op.name+"/"+use, func(b *testing.B) { compare(b, use, small, large) })
		}
	}
	// Results with patterns are remembered for each destination.
	small, large := populated(few), populated(many)
	for i := range 10 {
		pattern := fmt.Sprintf("/topic/*/%d?", i)
		small.Add(pattern, s)
		large.Add(pattern, s)
	}
	for _, use := range []string{"hot", "spread"} {
		b.Run("match-patterns/"+use, func(b *testing.B) { compare(b, use, match(small), match(large)) })
	}
}

func BenchmarkMatchParallel(b *testing.B) {
	x := populated(few)
	b.RunParallel(func(p *testing.PB) {
		r := newRequests(few)
		for p.Next() {
			x.Match(r.next())
		}
	})
}

// BenchmarkCrowd adds to and removes from one destination, with and without a
// publication in between.
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

// BenchmarkMemory reports the bytes each subscription costs, without the
// subscriber and the name themselves, and the objects that the garbage
// collector has to visit for it.
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
		b.ReportMetric(float64(after.HeapObjects-before.HeapObjects)/float64(n), "objects/subscription")
		b.ReportMetric(0, "ns/op")
	}
	names := make([]string, many)
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
		measure(b, many, func(i int) { r.Subscribe(names[i], Destination{Kind: UserPrivate, Path: "/queue/a"}, s) })
		runtime.KeepAlive(r)
	})
	b.Run("private-long", func(b *testing.B) {
		r := NewRouter[*subscription]()
		d := Destination{Kind: UserPrivate, Path: "/topic/notifications/of/mine"}
		long := make([]string, many)
		for i := range long {
			long[i] = names[i] + "-0123456789abcdef"
		}
		measure(b, many, func(i int) { r.Subscribe(long[i], d, s) })
		runtime.KeepAlive(long)
		runtime.KeepAlive(r)
	})
	for _, each := range []int{1, 2, 3, 10} {
		b.Run(fmt.Sprintf("each=%d", each), func(b *testing.B) {
			x := NewIndex[*subscription]()
			measure(b, many*each, func(i int) { x.Add(names[i%many], s) })
			runtime.KeepAlive(x)
		})
	}
	b.Run("one-crowd", func(b *testing.B) {
		x := NewIndex[int]()
		measure(b, many, func(i int) { x.Add("/topic/a", i) })
		runtime.KeepAlive(x)
	})
	b.Run("users", func(b *testing.B) {
		r := NewRouter[*subscription]()
		measure(b, many, func(i int) { r.Join(names[i], names[i]) })
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

// BenchmarkHostile publishes to ever new destinations with as many of the worst
// patterns as one session may have.
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
