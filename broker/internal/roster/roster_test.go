package roster

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	grace = int64(2 * time.Second)
	tick  = int64(200 * time.Millisecond)
)

// book is Rooms with a clock and someone who watches one room.
type book struct {
	*Rooms
	now int64
	got []string // the events of the watched rooms
}

func newBook(leaving, changes int) *book {
	return &book{Rooms: New(Options{
		Grace: time.Duration(grace), Leaving: func() int { return leaving }, Changes: changes, Bytes: func() int { return 1 << 20 },
	})}
}

// tick lets a tick pass.
func (b *book) tick(f func(Event)) {
	b.now += tick
	for _, e := range b.Tick(b.now) {
		f(e)
	}
}

// settle lets time pass until all is announced, at most an hour.
func (b *book) settle(t *testing.T, f func(Event)) {
	t.Helper()
	for end := b.now + int64(time.Hour); b.Pending(); b.tick(f) {
		if b.now > end {
			t.Fatal("something is pending for ever")
		}
	}
}

// pass lets time pass and returns what was announced meanwhile.
func (b *book) pass(d int64) string {
	b.got = nil
	for end := b.now + d; b.now < end; {
		b.now += min(tick, end-b.now)
		for _, e := range b.Tick(b.now) {
			b.got = append(b.got, describe(e))
		}
	}
	return strings.Join(b.got, "; ")
}

func describe(e Event) string {
	var names []string
	for _, j := range e.Joined {
		names = append(names, "+"+j.User)
	}
	for _, user := range e.Left {
		names = append(names, "-"+user)
	}
	return fmt.Sprintf("%s %d [%s] %d+%d", e.Room, e.Number, strings.Join(names, " "), e.Users, e.Anonymous)
}

func want(t *testing.T, what, got, wanted string) {
	t.Helper()
	if got != wanted {
		t.Errorf("%s: %q, want %q", what, got, wanted)
	}
}

func TestJoinsAndLeaves(t *testing.T) {
	b := newBook(1000, 1000)
	b.Watch("r")
	b.Enter("r", "ann", b.now)
	b.Enter("r", "bob", b.now)
	b.Enter("r", "ann", b.now) // a second session
	b.Enter("other", "cid", b.now)
	want(t, "the joins of one tick are one event", b.pass(tick), "r 1 [+ann +bob] 2+0")
	b.Leave("r", "ann", b.now)
	want(t, "a session of two", b.pass(2*grace), "")
	b.Leave("r", "bob", b.now)
	want(t, "within the grace", b.pass(grace-1), "")
	want(t, "after it", b.pass(1), "r 2 [-bob] 1+0")
	b.Leave("r", "nobody", b.now)
	b.Leave("r", "bob", b.now)
	b.Leave("nowhere", "ann", b.now)
	b.Leave("nowhere", "", b.now)
	want(t, "what did not happen", b.pass(2*grace), "")
}

// Who comes back within the grace has not been away, however often.
func TestReconnectIsNoLeave(t *testing.T) {
	b := newBook(1000, 1000)
	b.Watch("r")
	b.Enter("r", "ann", b.now)
	b.pass(tick)
	since := b.Page("r", 0, 10, 1000).Users[0].Since
	for range 10 {
		b.Leave("r", "ann", b.now)
		want(t, "away", b.pass(grace-1), "")
		if u := b.Page("r", 0, 10, 1000).Users; len(u) != 1 || u[0] != (User{"ann", 0, since}) {
			t.Errorf("in the grace the list is %v", u)
		}
		b.Enter("r", "ann", b.now)
		want(t, "back", b.pass(2*grace), "")
	}
	if u := b.Page("r", 0, 10, 1000).Users; len(u) != 1 || u[0] != (User{"ann", 1, since}) {
		t.Errorf("the list is %v", u)
	}
}

// A user who comes and goes between two ticks is announced, since a list may
// have had the name.
func TestShortVisit(t *testing.T) {
	b := newBook(1000, 1000)
	b.Watch("r")
	b.Enter("r", "ann", b.now)
	b.Leave("r", "ann", b.now)
	want(t, "a visit", b.pass(2*grace), "r 1 [+ann] 1+0; r 2 [-ann] 0+0")
}

func TestAnonymousSessionsAreCounted(t *testing.T) {
	b := newBook(1000, 1000)
	b.Watch("r")
	for range 3 {
		b.Enter("r", "", b.now)
	}
	want(t, "three", b.pass(tick), "r 1 [] 0+3")
	b.Leave("r", "", b.now)
	want(t, "one is away", b.pass(tick), "")
	b.Enter("r", "", b.now)
	want(t, "one is back", b.pass(3*grace), "")
	b.Leave("r", "", b.now)
	b.pass(tick)
	b.Leave("r", "", b.now)
	want(t, "two leave", b.pass(3*grace), "r 2 [] 0+2; r 3 [] 0+1")
	b.Leave("r", "", b.now)
	b.Leave("r", "", b.now) // one too many
	want(t, "the last leaves", b.pass(3*grace), "r 4 [] 0+0")
	b.Unwatch("r")
	if b.Pending() || b.Stats() != (Stats{}) {
		t.Errorf("something is left: %+v", b.Stats())
	}
}

// An event holds so many names; the rest follows with the next tick.
func TestEventsAreBounded(t *testing.T) {
	b := newBook(1000, 2)
	b.Watch("r")
	for _, user := range []string{"a", "b", "c", "d", "e"} {
		b.Enter("r", user, b.now)
	}
	want(t, "five join", b.pass(5*tick), "r 1 [+a +b] 5+0; r 2 [+c +d] 5+0; r 3 [+e] 5+0")
	for _, user := range []string{"a", "b", "c", "d", "e"} {
		b.Leave("r", user, b.now)
	}
	b.pass(grace - 1)
	want(t, "the first two leave", b.pass(1), "r 4 [-a -b] 3+0")
	b.Enter("r", "c", b.now) // due, and not announced
	want(t, "the others", b.pass(2*tick), "r 5 [-d -e] 1+0")

	b = newBook(1000, 1000)
	b.o.Bytes = func() int { return nameCost + 1 }
	b.Watch("r")
	for _, user := range []string{"a", "b", "c"} {
		b.Enter("r", user, b.now)
	}
	want(t, "few bytes", b.pass(3*tick), "r 1 [+a] 3+0; r 2 [+b] 3+0; r 3 [+c] 3+0")
}

// If too many are in their grace, the first goes at once: watchers see a gap.
func TestLeavingIsBounded(t *testing.T) {
	b := newBook(2, 1000)
	b.Watch("r")
	for _, user := range []string{"a", "b", "c"} {
		b.Enter("r", user, b.now)
	}
	b.pass(tick)
	for _, user := range []string{"a", "b", "c"} {
		b.Leave("r", user, b.now)
	}
	if st := b.Stats(); st.Leaving != 2 || st.Users != 2 {
		t.Errorf("%+v", st)
	}
	want(t, "a gap", b.pass(2*grace), "r 3 [] 2+0; r 4 [-b -c] 0+0")

	// Without a watcher nothing of the room is left.
	b = newBook(0, 1000)
	for i := range 100 {
		for _, user := range []string{"a", ""} {
			room := fmt.Sprint("r", i, user)
			b.Enter(room, user, b.now)
			b.Leave(room, user, b.now)
		}
	}
	if st := b.Stats(); st != (Stats{}) || b.Pending() {
		t.Errorf("%+v is left", st)
	}
}

// Pages hold everybody who stays once, in the order in which they came.
func TestPages(t *testing.T) {
	b := newBook(10_000, 10_000)
	for i := range 1000 {
		b.Enter("r", fmt.Sprint("u", i), int64(i))
	}
	for i := range 1000 {
		if i%10 != 0 {
			b.Leave("r", fmt.Sprint("u", i), 0)
		}
	}
	b.pass(2 * grace) // 900 have gone, and the order is compact again
	var names []string
	after, pages := uint64(0), 0
	for {
		p := b.Page("r", after, 7, 1<<20)
		if p.Total < 100 || len(p.Users) > 7 {
			t.Fatalf("page %d has %d of %d", pages, len(p.Users), p.Total)
		}
		for _, u := range p.Users {
			names = append(names, u.Name)
		}
		if pages++; pages == 3 {
			b.Leave("r", "u10", 0) // on an earlier page
			b.Enter("r", "late", 0)
		}
		if after = p.Next; after == 0 {
			break
		}
	}
	var wanted []string
	for i := range 100 {
		wanted = append(wanted, fmt.Sprint("u", i*10))
	}
	if wanted = append(wanted, "late"); !slices.Equal(names, wanted) || pages != 15 {
		t.Errorf("%d pages: %v", pages, names)
	}
	if p := b.Page("r", 0, 10, 3*(nameCost+2)); len(p.Users) != 3 || p.Next == 0 {
		t.Errorf("few bytes: %+v", p)
	}
	if p := b.Page("r", 1<<63, 10, 1000); len(p.Users) != 0 || p.Next != 0 {
		t.Errorf("after the last: %+v", p)
	}
	if p := b.Page("nowhere", 0, 10, 1000); len(p.Users) != 0 || p.Total != 0 {
		t.Errorf("nowhere: %+v", p)
	}
}

// A room that was away has other numbers than before.
func TestNumbersAreNotUsedAgain(t *testing.T) {
	b := newBook(1000, 1000)
	b.Watch("r")
	b.Enter("r", "ann", b.now)
	b.Leave("r", "ann", b.now)
	b.pass(2 * grace)
	last := b.Page("r", 0, 1, 1000).Number
	b.Unwatch("r")
	if b.Stats().Rooms != 0 {
		t.Fatal("the room is still there")
	}
	b.Watch("r")
	b.Enter("r", "bob", b.now)
	if got := b.Tick(b.now); len(got) != 1 || got[0].Number <= last+1 {
		t.Errorf("after %d comes %+v", last, got)
	}
}

// watcher is a client: it applies events, and asks anew when one is missing.
type watcher struct {
	number    uint64
	users     map[string]bool
	anonymous int
	asked     int
}

func (w *watcher) ask(r *Rooms, room string) {
	w.asked++
	w.users = make(map[string]bool)
	var events Page
	for after, first := uint64(0), true; first || after != 0; first = false {
		p := r.Page(room, after, 3, 1<<20)
		if first {
			events = p
		}
		for _, u := range p.Users {
			w.users[u.Name] = true
		}
		after = p.Next
	}
	w.number, w.anonymous = events.Number, events.Anonymous
}

func (w *watcher) apply(r *Rooms, e Event) {
	if e.Number <= w.number {
		return
	}
	if e.Number != w.number+1 {
		w.ask(r, e.Room)
		return
	}
	w.number, w.anonymous = e.Number, e.Anonymous
	for _, j := range e.Joined {
		w.users[j.User] = true
	}
	for _, user := range e.Left {
		delete(w.users, user)
	}
}

// Whoever follows the events knows who is in the room, also after gaps, and is
// not told of anybody who came back in time.
func TestWatchersAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		b := newBook([]int{1000, 3}[seed%2], 1+rnd.IntN(5))
		b.Watch("r")
		var w watcher
		w.ask(b.Rooms, "r")
		sessions := make(map[string]int) // of users; "" are anonymous
		last := make(map[string]int64)   // when the last session left
		for range 400 {
			user := string(rune('a' + rnd.IntN(8)))
			if rnd.IntN(4) == 0 {
				user = ""
			}
			switch n := rnd.IntN(5); {
			case n < 2:
				b.Enter("r", user, b.now)
				sessions[user]++
			case n < 4 && sessions[user] > 0:
				b.Leave("r", user, b.now)
				sessions[user]--
				last[user] = b.now
			default:
				b.now += rnd.Int64N(grace)
			}
			if rnd.IntN(3) > 0 {
				continue
			}
			for _, e := range b.Tick(b.now) {
				for _, user := range e.Left {
					if sessions[user] > 0 || b.now-last[user] < grace {
						t.Fatalf("seed %d: %s is said to have left after %v with %d sessions", seed, user, time.Duration(b.now-last[user]), sessions[user])
					}
				}
				if rnd.IntN(20) > 0 { // else it is lost
					w.apply(b.Rooms, e)
				}
			}
		}
		b.Enter("r", "last", b.now) // so that a gap is seen
		sessions["last"] = 1
		b.settle(t, func(e Event) { w.apply(b.Rooms, e) })
		wanted := make(map[string]bool)
		for user, n := range sessions {
			if n > 0 && user != "" {
				wanted[user] = true
			}
		}
		if !maps.Equal(w.users, wanted) || w.anonymous != sessions[""] {
			t.Fatalf("seed %d: the watcher knows %v and %d, there are %v and %d", seed, w.users, w.anonymous, wanted, sessions[""])
		}
		if st := b.Stats(); st.Users != len(wanted) || st.Leaving != 0 || b.away != 0 {
			t.Fatalf("seed %d: %+v, %d away", seed, st, b.away)
		}
	}
}

// 10,000 who come within a second are few events, each with many names.
func TestStormOfJoins(t *testing.T) {
	b := newBook(100_000, 1000)
	b.Watch("r")
	const people = 10_000
	events, names := 0, 0
	count := func(e Event) { events, names = events+1, names+len(e.Joined) }
	for i := range people {
		b.Enter("r", fmt.Sprint("user-", i), b.now)
		if i%(people/5) == 0 {
			b.tick(count)
		}
	}
	b.settle(t, count)
	if events > people/1000+5 || names != people {
		t.Errorf("%d events have %d names", events, names)
	}
}

// Users who came and went before an event could name them take no room in one.
func TestVisitorsDoNotDelayOthers(t *testing.T) {
	b := newBook(0, 10)
	b.Watch("r")
	for i := range 1000 {
		user := fmt.Sprint("visitor", i)
		b.Enter("r", user, b.now)
		b.Leave("r", user, b.now)
	}
	b.Enter("r", "ann", b.now)
	want(t, "the next tick", b.pass(tick), "r 2 [+ann] 1+0")
	if n := len(b.rooms["r"].joined); n != 0 {
		t.Errorf("%d users wait to be announced", n)
	}
}

// Nobody watches an unwatched room, so its users need not wait for an event to
// leave it.
func TestUnwatchedRoomEmptiesAtOnce(t *testing.T) {
	b := newBook(1000, 10)
	for i := range 100 {
		b.Enter("r", fmt.Sprint(i), b.now)
	}
	b.pass(20 * tick)
	for i := range 100 {
		b.Leave("r", fmt.Sprint(i), b.now)
	}
	b.pass(grace + tick)
	if st := b.Stats(); st != (Stats{}) {
		t.Errorf("%+v is left", st)
	}
}
