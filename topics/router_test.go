package topics

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func parse(t testing.TB, name string) Destination {
	t.Helper()
	d, err := Parse(name)
	if err != nil {
		t.Fatalf("Parse(%q): %v", name, err)
	}
	return d
}

// W+9: nothing that a client can write reaches another session's private
// destination.
func TestRouterPrivateNamespace(t *testing.T) {
	r := NewRouter[int]()
	r.Join("alice", "s1")
	r.Subscribe("s1", parse(t, "/user/queue/x"), 1)
	r.Subscribe("s1", parse(t, "/user/alice/topic/x"), 2)

	for _, name := range []string{
		"/queue/x", "/queue/x-users1", "/topic/x", "/topic/x-users1", "/user/queue/x", "/user/topic/x", "/user/alice/queue/x",
		"/user/s1/queue/x", "/app/user/queue/x", "/app/queue/x",
	} {
		d := parse(t, name)
		if found := r.Match(d); found != nil {
			t.Errorf("Match(%q) reaches %v", name, found)
		}
		if found := r.MatchSession("s2", d.Path); found != nil {
			t.Errorf("MatchSession(s2, %q) reaches %v", d.Path, found)
		}
	}
	for _, name := range []string{"/topic/**", "/queue/**", "/queue/*", "/queue/x*", "/topic/?", "/user/queue/*", "/user/topic/**"} {
		r.Subscribe("s2", parse(t, name), 3)
	}
	if found := r.MatchSession("s1", "/queue/x"); !slices.Equal(found, []int{1}) {
		t.Errorf("/user/queue/x of s1 reaches %v", found)
	}
	if found := r.MatchSession("s1", "/topic/x"); !slices.Equal(found, []int{2}) {
		t.Errorf("/user/alice/topic/x of s1 reaches %v", found)
	}
	// Nor does a session and a path that concatenate to the same text.
	r.Subscribe("s1/queue", Destination{Kind: UserPrivate, Path: "/x"}, 4)
	if found := r.MatchSession("s1", "/queue/x"); !slices.Equal(found, []int{1}) {
		t.Errorf("another session and path reach %v", found)
	}
}

func TestRouterKindsWithoutSubscribers(t *testing.T) {
	r := NewRouter[int]()
	r.Subscribe("s1", parse(t, "/topic/a"), 1)
	r.Subscribe("s1", parse(t, "/user/topic/a"), 2)
	for _, d := range []Destination{parse(t, "/app/topic/a"), {Path: "/topic/a"}} {
		r.Subscribe("s1", d, 3)
		if r.Unsubscribe("s1", d, 1) || r.Unsubscribe("s1", d, 3) {
			t.Errorf("%+v has subscribers", d)
		}
		if found := r.Match(d); found != nil {
			t.Errorf("Match(%+v) = %v", d, found)
		}
	}
	if r.Len() != 2 {
		t.Errorf("%d subscriptions, want 2", r.Len())
	}
}

func TestRouterUsers(t *testing.T) {
	r := NewRouter[int]()
	r.Join("alice", "s1")
	r.Join("alice", "s2")
	r.Join("alice", "s2")
	r.Join("bob", "s3")
	r.Join("", "s4")
	r.Leave("bob", "s1")
	r.Leave("carol", "s1")

	before := r.Sessions("alice")
	if want := map[string]int{"alice": 2, "bob": 1}; !maps.Equal(maps.Collect(r.Users()), want) {
		t.Errorf("Users() = %v, want %v", maps.Collect(r.Users()), want)
	}
	if n := testing.AllocsPerRun(100, func() { r.Sessions("alice"); r.MatchSession("s1", "/queue/x") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	r.Leave("alice", "s1")
	if got := r.Sessions("alice"); !slices.Equal(got, []string{"s2"}) {
		t.Errorf("alice's sessions: %v", got)
	}
	if len(before) != 2 || !slices.Contains(before, "s1") {
		t.Errorf("an earlier snapshot became %v", before)
	}
	r.Leave("alice", "s2")
	if got := r.Sessions("alice"); got != nil {
		t.Errorf("sessions of a user who left: %v", got)
	}
	if got := r.Sessions(""); got != nil {
		t.Errorf("sessions without a name: %v", got)
	}
}

func TestRouterDestinations(t *testing.T) {
	r := NewRouter[int]()
	for i, name := range []string{"/topic/a", "/topic/a", "/topic/*", "/queue/q", "/user/queue/x", "/user/bob/queue/x"} {
		r.Subscribe(fmt.Sprint("s", i), parse(t, name), i)
	}
	want := map[string]int{"/topic/a": 2, "/topic/*": 1, "/queue/q": 1, "/user/queue/x": 2}
	if got := maps.Collect(r.Destinations()); !maps.Equal(got, want) {
		t.Errorf("Destinations() = %v, want %v", got, want)
	}
	for stop := 1; stop <= len(want); stop++ {
		n := 0
		for range r.Destinations() {
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Errorf("%d destinations before a break at %d", n, stop)
		}
	}
}

// A history of sessions, subscriptions and publications, compared with a Router
// that scans a list.
func TestRouterAgainstNaive(t *testing.T) {
	type private struct {
		session, path string
		s             int
	}
	rapid.Check(t, func(rt *rapid.T) {
		r := NewRouter[int]()
		var shared naiveIndex
		var own []private
		users := make(map[string]map[string]bool)
		session := rapid.SampledFrom([]string{"s1", "s2", "s3"})
		user := rapid.SampledFrom([]string{"alice", "bob"})
		subscriber := rapid.IntRange(0, 3)
		destination := rapid.SampledFrom([]Destination{
			parse(t, "/topic/x"), parse(t, "/queue/x"), parse(t, "/topic/*"), parse(t, "/queue/**"), parse(t, "/topic/x/y"),
			parse(t, "/user/queue/x"), parse(t, "/user/topic/x"), parse(t, "/user/alice/queue/x"), parse(t, "/user/queue/*"),
		})
		rt.Repeat(map[string]func(*rapid.T){
			"subscribe": func(t *rapid.T) {
				in, d, s := session.Draw(t, "session"), destination.Draw(t, "destination"), subscriber.Draw(t, "s")
				r.Subscribe(in, d, s)
				if d.Kind == Topic || d.Kind == Queue {
					shared.add(d.Path, s)
				} else {
					own = append(own, private{in, d.Path, s})
				}
			},
			"unsubscribe": func(t *rapid.T) {
				in, d, s := session.Draw(t, "session"), destination.Draw(t, "destination"), subscriber.Draw(t, "s")
				var want bool
				if d.Kind == Topic || d.Kind == Queue {
					want = shared.remove(d.Path, s)
				} else if i := slices.Index(own, private{in, d.Path, s}); i >= 0 {
					want, own = true, slices.Delete(own, i, i+1)
				}
				if got := r.Unsubscribe(in, d, s); got != want {
					t.Fatalf("Unsubscribe(%q, %q, %d) = %v, want %v", in, d.Name, s, got, want)
				}
			},
			"join": func(t *rapid.T) {
				u, in := user.Draw(t, "user"), session.Draw(t, "session")
				r.Join(u, in)
				if users[u] == nil {
					users[u] = make(map[string]bool)
				}
				users[u][in] = true
			},
			"leave": func(t *rapid.T) {
				u, in := user.Draw(t, "user"), session.Draw(t, "session")
				r.Leave(u, in)
				delete(users[u], in)
			},
			"": func(t *rapid.T) {
				for _, name := range []string{"/topic/x", "/queue/x", "/topic/x/y", "/queue/z"} {
					if got, want := r.Match(Destination{Kind: Topic, Path: name}), shared.match(name); !slices.Equal(sorted(got), want) {
						t.Fatalf("Match(%q) = %v, want %v", name, got, want)
					}
				}
				for _, in := range []string{"s1", "s2", "s3"} {
					for _, path := range []string{"/queue/x", "/topic/x", "/queue/*", "/queue/y"} {
						var want []int
						for _, p := range own {
							if p.session == in && p.path == path {
								want = append(want, p.s)
							}
						}
						if got := r.MatchSession(in, path); !slices.Equal(sorted(got), sorted(want)) {
							t.Fatalf("MatchSession(%q, %q) = %v, want %v", in, path, got, want)
						}
					}
				}
				for _, u := range []string{"alice", "bob"} {
					got := slices.Sorted(slices.Values(r.Sessions(u)))
					if want := slices.Sorted(maps.Keys(users[u])); !slices.Equal(got, want) {
						t.Fatalf("Sessions(%q) = %v, want %v", u, got, want)
					}
				}
				if got, want := r.Len(), len(shared)+len(own); got != want {
					t.Fatalf("Len() = %d, want %d", got, want)
				}
			},
		})
	})
}

func TestRouterConcurrently(t *testing.T) {
	r := NewRouter[int]()
	reply, all := parse(t, "/user/queue/reply"), parse(t, "/topic/**")
	var g sync.WaitGroup
	for w := range 4 {
		g.Go(func() {
			for i := range 300 {
				session := fmt.Sprint("s", w, "-", i)
				r.Join("alice", session)
				r.Subscribe(session, reply, i)
				r.Subscribe(session, all, i)
				if !slices.Contains(r.Sessions("alice"), session) || !slices.Equal(r.MatchSession(session, "/queue/reply"), []int{i}) {
					t.Errorf("%s is not found", session)
				}
				for _, other := range r.Sessions("alice") {
					r.MatchSession(other, "/queue/reply")
				}
				if !r.Unsubscribe(session, reply, i) || !r.Unsubscribe(session, all, i) {
					t.Errorf("%s cannot unsubscribe", session)
				}
				r.Leave("alice", session)
			}
		})
	}
	testkit.Wait(t, &g)
	if n := r.Len(); n != 0 || r.Sessions("alice") != nil {
		t.Errorf("%d subscriptions and sessions %v are left", n, r.Sessions("alice"))
	}
}
