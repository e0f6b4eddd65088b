package auth

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func revoke(t testing.TB, s *Revocations, r Revocation) {
	t.Helper()
	if err := s.Revoke(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// pass advances the time in a bubble.
func pass(d time.Duration) { <-time.After(d) }

func TestRevocationNamesOneThing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewRevocations()
		s.Watch(func(r Event) { t.Errorf("told of %+v", r) })
		for _, r := range []Revocation{
			{}, {User: "a", Session: "b"}, {User: "a", Credential: "b"}, {Session: "a", Credential: "b"}, {User: "a", Session: "b", Credential: "c"},
		} {
			if err := s.Revoke(t.Context(), r); err != ErrRevocation {
				t.Errorf("%+v: %v", r, err)
			}
		}
		if err := s.Revoke(t.Context(), Revocation{User: "a", At: time.Now().Add(MaxClockSkew + 1)}); err != ErrRevocationTime {
			t.Error(err)
		}
		if s.Revoked(&Principal{Name: "a", Issued: time.Now().Add(-time.Hour)}) || s.Epoch("a") != 0 {
			t.Error("a revocation that failed took effect")
		}
	})
}

func TestT4PlusRevokedUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, now := NewRevocations(), time.Now()
		revoke(t, s, Revocation{User: "alice"})
		revoke(t, s, Revocation{User: "alice", At: now.Add(-time.Hour)}) // does not take the first one back
		revoke(t, s, Revocation{User: "bob", At: now.Add(-time.Hour)})
		revoke(t, s, Revocation{User: "carol", At: now.Add(MaxClockSkew)})
		for _, c := range []struct {
			p    *Principal
			want bool
		}{
			{nil, false},
			{&Principal{}, false},
			{&Principal{Issued: now.Add(-time.Hour)}, false},
			{&Principal{Name: "alice", Issued: now.Add(-time.Nanosecond)}, true},
			{&Principal{Name: "alice", Issued: now}, false},
			{&Principal{Name: "alice"}, false}, // nobody knows when it was issued
			{&Principal{Name: "Alice", Issued: now.Add(-time.Hour)}, false},
			{&Principal{Name: "bob", Issued: now.Add(-time.Minute)}, false},
			{&Principal{Name: "bob", Issued: now.Add(-2 * time.Hour)}, true},
			{&Principal{Name: "carol", Issued: now.Add(MaxClockSkew - 1)}, true},
		} {
			if got := s.Revoked(c.p); got != c.want {
				t.Errorf("%+v: %v", c.p, got)
			}
		}
	})
}

func TestN8RevokedCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewRevocations()
		revoke(t, s, Revocation{Credential: "long", Until: time.Now().Add(48 * time.Hour)})
		revoke(t, s, Revocation{Credential: "long", Until: time.Now().Add(2 * time.Hour)}) // does not shorten it
		revoke(t, s, Revocation{Credential: "short", Until: time.Now().Add(time.Minute)})
		revoke(t, s, Revocation{Credential: "unknown"})
		is := func(id string, want bool) {
			t.Helper()
			if got := s.Revoked(&Principal{Name: "alice", CredentialID: id}); got != want {
				t.Errorf("%s: %v", id, got)
			}
		}
		is("long", true)
		is("short", true)
		is("unknown", true)
		is("other", false)
		is("", false)
		pass(59 * time.Minute) // a ticket minted with it may still be there
		is("short", true)
		pass(46 * time.Hour)
		is("short", false)
		is("long", true)
		is("unknown", true)
		pass(1000 * 24 * time.Hour)
		is("long", false)
		is("unknown", true)
	})
}

func TestRevokedCredentialsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewRevocations()
		for i := range 10_000 {
			revoke(t, s, Revocation{Credential: fmt.Sprint(i), Until: time.Now()})
			pass(time.Minute)
		}
		if n := s.credentials.Len(); n > 200 {
			t.Errorf("%d are remembered, and 60 matter", n)
		}
	})
}

func TestWatchIsToldBeforeRevokeReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, now := NewRevocations(), time.Now()
		var told []string
		watch := func(name string) func() {
			return s.Watch(func(e Event) {
				r := e.Revocation
				if r.Credential != "" && !s.Revoked(&Principal{CredentialID: r.Credential}) {
					t.Error("told before it took effect")
				}
				told = append(told, fmt.Sprint(name, r.User, r.Session, r.Credential, r.At.Sub(now)))
			})
		}
		first, second := watch("1"), watch("2")
		revoke(t, s, Revocation{User: "u"})
		first()
		first()
		revoke(t, s, Revocation{Session: "s", At: now.Add(-time.Second)})
		second()
		third := watch("3")
		revoke(t, s, Revocation{Credential: "c"})
		third()
		revoke(t, s, Revocation{Session: "s"})
		if want := []string{"1u0s", "2u0s", "2s-1s", "3c0s"}; !slices.Equal(told, want) {
			t.Errorf("told %q", told)
		}
		if len(s.watchers) != 0 {
			t.Error("watchers are kept")
		}
	})
}

// A watcher may call Watch, cancel and Revoke.
func TestWatchersMayCallTheStore(t *testing.T) {
	s := NewRevocations()
	calls := 0
	var cancel func()
	cancel = s.Watch(func(r Event) {
		calls++
		cancel()
		s.Watch(func(Event) { calls += 10 })
		if err := s.Revoke(t.Context(), Revocation{Session: "other"}); err != nil {
			t.Error(err)
		}
	})
	revoke(t, s, Revocation{Session: "one"})
	if calls != 11 {
		t.Errorf("%d", calls)
	}
}

func BenchmarkRevoked(b *testing.B) {
	s := NewRevocations()
	for i := range 1000 {
		revoke(b, s, Revocation{Credential: fmt.Sprint(i)})
	}
	p := &Principal{Name: "alice", CredentialID: "c", Issued: time.Now()}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Revoked(p)
		}
	})
}
