package topics

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// indexModel applies a history to an Index and to the naive one. There are few
// patterns and destinations, so that they meet and cached results become
// outdated.
type indexModel struct {
	x         *Index[int]
	naive     naiveIndex
	snapshots []kept
}

var indexNames = []string{
	"/topic/a", "/topic/b", "/topic/a/b", "/topic/a/", "/topic//a", "/topic/a/b/a", "/queue/a", "a/b", "/",
}

var indexPatterns = []string{
	"/topic/*", "/topic/**", "/**", "/topic/?", "/topic//?", "/topic/*/b", "/topic/a*", "/topic/**/a", "/topic/**/?/**",
	"/topic/*/", "/topic/*a", "/*/**/b", "**", "*/b", "/*", "/queue/*", "/topic/**/**", "/topic/***",
}

func (m *indexModel) add(destination string, s int) {
	m.x.Add(destination, s)
	m.naive.add(destination, s)
}

func (m *indexModel) remove(destination string, s int) error {
	if got, want := m.x.Remove(destination, s), m.naive.remove(destination, s); got != want {
		return fmt.Errorf("Remove(%q, %d) = %v, want %v", destination, s, got, want)
	}
	return nil
}

func (m *indexModel) match(destination string) error {
	got, want := m.x.Match(destination), m.naive.match(destination)
	m.snapshots = append(m.snapshots, keep(got))
	if !slices.Equal(sorted(got), want) || (got == nil) != (want == nil) {
		return fmt.Errorf("Match(%q) = %v, want %v", destination, got, want)
	}
	return nil
}

func (m *indexModel) check() error {
	for _, k := range m.snapshots {
		if k.changed() {
			return fmt.Errorf("a snapshot of %v became %v", k.contents, k.snapshot)
		}
	}
	if got, want := maps.Collect(m.x.Destinations()), m.naive.counts(); !maps.Equal(got, want) {
		return fmt.Errorf("Destinations() = %v, want %v", got, want)
	}
	if got, want := m.x.Len(), len(m.naive); got != want {
		return fmt.Errorf("Len() = %d, want %d", got, want)
	}
	return nil
}

// clear removes everything and checks that nothing is left.
func (m *indexModel) clear() error {
	for _, e := range slices.Clone(m.naive) {
		if err := m.remove(e.destination, e.s); err != nil {
			return err
		}
	}
	t := m.x.patterns
	if len(t.patterns.all) != 0 || t.absolute.children.len() != 0 || t.relative.children.len() != 0 ||
		t.absolute.globs != nil || t.absolute.whole != nil || t.absolute.deep != nil {
		return fmt.Errorf("the trie of no patterns holds %+v", t)
	}
	for i := range m.x.literals.shards {
		if n := m.x.literals.shards[i].cells.live; n != 0 {
			return fmt.Errorf("%d entries without subscribers", n)
		}
	}
	return m.check()
}

func TestIndexAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &indexModel{x: NewIndex[int]()}
		destination := rapid.OneOf(rapid.SampledFrom(indexNames), rapid.SampledFrom(indexPatterns), somePath, somePattern)
		subscriber := rapid.IntRange(0, 9)
		must := func(t *rapid.T, err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) { m.add(destination.Draw(t, "destination"), subscriber.Draw(t, "s")) },
			"addMany": func(t *rapid.T) {
				d := destination.Draw(t, "destination")
				for range rapid.IntRange(1, 80).Draw(t, "count") {
					m.add(d, subscriber.Draw(t, "s"))
				}
			},
			"remove": func(t *rapid.T) {
				must(t, m.remove(destination.Draw(t, "destination"), subscriber.Draw(t, "s")))
			},
			"removeSome": func(t *rapid.T) {
				for range rapid.IntRange(0, len(m.naive)).Draw(t, "count") {
					e := m.naive[rapid.IntRange(0, len(m.naive)-1).Draw(t, "index")]
					must(t, m.remove(e.destination, e.s))
				}
			},
			"match": func(t *rapid.T) { must(t, m.match(destination.Draw(t, "destination"))) },
			"matchAll": func(t *rapid.T) {
				for _, d := range indexNames {
					must(t, m.match(d))
				}
			},
			"": func(t *rapid.T) { must(t, m.check()) },
		})
		must(t, m.clear())
	})
}

// FuzzIndex applies a history in which each operation is three bytes:
// operation, destination, subscriber.
func FuzzIndex(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 0, 0, 0, 9, 2, 2, 0, 0, 1, 9, 2, 2, 0, 0})
	f.Add([]byte{0, 10, 1, 0, 10, 1, 2, 1, 0, 1, 10, 1, 2, 1, 0, 0, 17, 3, 2, 5, 0})
	names := slices.Concat(indexNames, indexPatterns)
	f.Fuzz(func(t *testing.T, history []byte) {
		m := &indexModel{x: NewIndex[int]()}
		for ; len(history) >= 3 && len(m.snapshots) < 200; history = history[3:] {
			d, s := names[int(history[1])%len(names)], int(history[2])
			var err error
			switch history[0] % 3 {
			case 0:
				m.add(d, s)
			case 1:
				err = m.remove(d, s)
			case 2:
				err = m.match(d)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := m.clear(); err != nil {
			t.Fatal(err)
		}
	})
}

// Subscribers come and go, on destinations and patterns and in crowds, while
// others publish. A subscriber is found once it has subscribed and not after it
// has unsubscribed, and snapshots never change.
func TestIndexConcurrently(t *testing.T) {
	x := NewIndex[int]()
	names := []string{"/topic/a", "/topic/b", "/topic/*", "/topic/**", "/topic/a/*"}
	for i := range 100 {
		x.Add("/topic/a", -1-i)
	}
	const workers, rounds = 4, 400
	var subscribers, publishers sync.WaitGroup
	stop := make(chan struct{})
	for w := range workers {
		subscribers.Go(func() {
			for i := range rounds {
				s, d := w*rounds+i, names[(w+i)%len(names)]
				found := func() bool {
					path := "/topic/a"
					switch d {
					case "/topic/b":
						path = d
					case "/topic/a/*":
						path = "/topic/a/" + strconv.Itoa(i%3)
					}
					return slices.Contains(x.Match(path), s)
				}
				x.Add(d, s)
				if !found() {
					t.Errorf("%d is not found on %q after Add", s, d)
				}
				if !x.Remove(d, s) {
					t.Errorf("%d cannot be removed from %q", s, d)
				}
				if found() {
					t.Errorf("%d is found on %q after Remove", s, d)
				}
			}
		})
	}
	for p := range 2 {
		publishers.Go(func() {
			var snapshots [8]kept
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				k := &snapshots[i%len(snapshots)]
				if k.changed() {
					t.Errorf("a snapshot of %v became %v", k.contents, k.snapshot)
				}
				*k = keep(x.Match("/topic/a"))
				if len(k.snapshot) < 100 {
					t.Errorf("only %d of the 100 who stay are found", len(k.snapshot))
				}
				x.Match("/topic/stranger/" + strconv.Itoa(p))
				for range x.Destinations() {
					break
				}
			}
		})
	}
	testkit.Wait(t, &subscribers)
	close(stop)
	testkit.Wait(t, &publishers)
	if n := x.Len(); n != 100 {
		t.Errorf("%d subscriptions are left, want 100", n)
	}
}

func TestIndexMatchAllocatesNothing(t *testing.T) {
	x := NewIndex[int]()
	for i := range 100 {
		x.Add("/topic/a", i)
	}
	check := func(what, destination string, want int) {
		t.Helper()
		if n := len(x.Match(destination)); n != want {
			t.Errorf("%s: %d subscribers, want %d", what, n, want)
		}
		if n := testing.AllocsPerRun(100, func() { x.Match(destination) }); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	check("literal", "/topic/a", 100)
	check("nobody", "/topic/b", 0)
	x.Add("/queue/*", 1)
	check("literal, a pattern elsewhere", "/topic/a", 100)
	check("nobody, a pattern elsewhere", "/topic/b", 0)
	x.Add("/topic/*", 1)
	check("literal and pattern", "/topic/a", 101)
	check("pattern", "/topic/b", 1)
	x.Add("/topic/**", 1)
	check("literal and two patterns", "/topic/a", 102)
	check("two patterns", "/topic/b", 2)
	for i := range 10_000 {
		x.Add("/queue/**", i)
	}
	check("a crowd on one pattern", "/queue/a/b", 10_000)
}

// Subscribing and unsubscribing does not allocate; it allocates once if a
// snapshot was taken in between, and twice for an only subscriber.
func TestIndexSubscribeAllocations(t *testing.T) {
	x := NewIndex[*int]()
	for range 10 {
		x.Add("/topic/a", new(int))
	}
	s := new(int)
	for _, c := range []struct {
		what        string
		destination string
		match       bool
		limit       float64
	}{
		{"come and go", "/topic/a", false, 0},
		{"come, publish and go", "/topic/a", true, 1},
		{"come and go, alone", "/topic/b", false, 2},
	} {
		n := testing.AllocsPerRun(100, func() {
			x.Add(c.destination, s)
			if c.match {
				x.Match(c.destination)
			}
			x.Remove(c.destination, s)
		})
		if n > c.limit {
			t.Errorf("%s: %v allocations, want at most %v", c.what, n, c.limit)
		}
	}
}

// A Match after an Add copies nothing, however many subscribers there are.
func TestIndexMatchAfterAddCopiesNothing(t *testing.T) {
	x := NewIndex[int]()
	for i := range 10_000 {
		x.Add("/topic/a", i)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 1000 {
		x.Add("/topic/a", i)
		x.Match("/topic/a")
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("1000 subscriptions to a crowd of 10,000 allocated %d bytes", n)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func wantHeap(t *testing.T, before uint64, limit int64, what string) {
	t.Helper()
	if n := int64(heap()) - int64(before); n > limit {
		t.Errorf("%s: %d bytes are held, want at most %d", what, n, limit)
	}
}

// A publisher that keeps inventing destinations cannot make the Index grow.
func TestIndexStrangersAreBounded(t *testing.T) {
	x := NewIndex[int]()
	x.Add("/topic/*", 1)
	x.Add("/topic/**", 2)
	before := heap()
	for i := range 100_000 {
		x.Match("/topic/" + strconv.Itoa(i))
	}
	wantHeap(t, before, 1<<20, "100,000 destinations")
	runtime.KeepAlive(x)
}

// The crowds of two patterns are not copied and cached for each destination
// that both match; nor are outdated crowds kept while their members change.
func TestIndexCrowdsAreNotKept(t *testing.T) {
	x := NewIndex[int]()
	const crowd, destinations = 10_000, 1000
	for i := range crowd {
		x.Add("/topic/*", i)
		x.Add("/topic/**", i)
	}
	for i := range destinations {
		x.Add("/topic/"+strconv.Itoa(i), i)
	}
	before := heap()
	for i := range destinations {
		for _, d := range []string{"/topic/" + strconv.Itoa(i), "/topic/x" + strconv.Itoa(i), "/topic/x/" + strconv.Itoa(i)} {
			if len(x.Match(d)) < crowd {
				t.Fatalf("%q does not find the crowd", d)
			}
		}
		x.Remove("/topic/**", i)
		x.Add("/topic/**", i)
	}
	wantHeap(t, before, 4<<20, "two crowds and 1,000 destinations")
	runtime.KeepAlive(x)
}

func TestIndexGivesMemoryBack(t *testing.T) {
	for _, kind := range []string{"", "/*", "*"} {
		x := NewIndex[int]()
		before := heap()
		for i := range 50_000 {
			x.Add(name(i)+kind, i)
		}
		for i := range 50_000 {
			x.Remove(name(i)+kind, i)
		}
		wantHeap(t, before, 1<<20, "50,000 destinations "+name(0)+kind+" come and gone")
		runtime.KeepAlive(x)
	}
}

func TestIndexIteratorsStopAndHoldNoLock(t *testing.T) {
	x := NewIndex[int]()
	for i := range 100 {
		x.Add(name(i), i)
		x.Add(name(i)+"/*", i)
	}
	seen := 0
	for d, n := range x.Destinations() {
		if !x.Remove(d, mustAtoi(t, d)) || n != 1 {
			t.Fatalf("%q yielded with %d subscriptions", d, n)
		}
		if seen++; seen == 150 {
			break
		}
	}
	if x.Len() != 50 {
		t.Errorf("%d subscriptions are left, want 50", x.Len())
	}
}

// mustAtoi reads the number that name wrote.
func mustAtoi(t *testing.T, destination string) int {
	t.Helper()
	var i int
	if _, err := fmt.Sscanf(destination, "/topic/prices/%d", &i); err != nil {
		t.Fatal(err)
	}
	return i
}
