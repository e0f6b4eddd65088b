package auth

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// shelf is a Keeper in memory, for several processes. after runs when an event
// is stored and before Keep returns: its error loses the answer.
type shelf struct {
	mu     sync.Mutex
	events []Event
	down   error
	after  func() error
}

func (s *shelf) Keep(_ context.Context, e Event) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return 0, s.down
	}
	e.Epoch = 100 + uint64(len(s.events))
	s.events = append(s.events, e)
	if s.after != nil {
		if err := s.after(); err != nil {
			return 0, err
		}
	}
	return e.Epoch, nil
}

const shelfSource = "shelf"

// read passes what is stored to a process.
func (s *shelf) read(t testing.TB, v *Revocations) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.User != "" {
			e.Source = shelfSource
		} else {
			e.Epoch = 0
		}
		if err := v.Apply(e); err != nil {
			t.Error(err)
		}
	}
}

var errShelf = errors.New("dial tcp 10.0.0.1:4222: connection refused")

// What is kept is known to the next process, and to every other one: the same
// epochs, and nothing is told twice.
func TestKeptRevocationsSurvive(t *testing.T) {
	s := &shelf{}
	v := NewKeptRevocations(shelfSource, s)
	issued := time.Now().Add(-time.Minute)
	told := 0
	v.Watch(func(e Event) {
		if !e.Local {
			t.Errorf("told of %+v as if another process had decided it", e)
		}
		told++
	})
	revoke(t, v, Revocation{User: "alice"})
	revoke(t, v, Revocation{Credential: "c", Until: time.Now().Add(time.Hour)})
	if err := v.BumpEpoch(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	if err := v.BumpEpoch(t.Context(), ""); err != nil { // nobody has no epoch
		t.Fatal(err)
	}
	s.read(t, v) // it comes back
	if told != 3 {
		t.Errorf("told %d times", told)
	}
	for name, v := range map[string]*Revocations{"this process": v, "the next one": NewKeptRevocations(shelfSource, s)} {
		s.read(t, v)
		if v.Source() != shelfSource || v.Epoch("alice") != 100 || v.Epoch("bob") != 102 || v.Epoch("carol") != 0 {
			t.Errorf("%s: epochs %d and %d of %s", name, v.Epoch("alice"), v.Epoch("bob"), v.Source())
		}
		if !v.Revoked(&Principal{Name: "alice", Issued: issued}) || !v.Revoked(&Principal{CredentialID: "c"}) || v.Revoked(&Principal{Name: "bob", Issued: issued}) {
			t.Errorf("%s: what was revoked is not", name)
		}
		if !v.Outdated("alice", 99) || v.Outdated("alice", 100) || v.Outdated("carol", 0) {
			t.Errorf("%s: the wrong tickets are outdated", name)
		}
	}
}

// What may not be stored is not confirmed, but has taken effect here. Repeating
// it ends the doubt, and so does the report that it was stored after all.
func TestKeptRevocationsInDoubt(t *testing.T) {
	revokeAlice := func(ctx context.Context, v *Revocations) error { return v.Revoke(ctx, Revocation{User: "alice"}) }
	bumpAlice := func(ctx context.Context, v *Revocations) error { return v.BumpEpoch(ctx, "alice") }
	for name, decide := range map[string]func(context.Context, *Revocations) error{"revoke": revokeAlice, "bump": bumpAlice} {
		for _, stored := range []bool{false, true} {
			s := &shelf{}
			v := NewKeptRevocations(shelfSource, s)
			if err := v.BumpEpoch(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			epoch, since := v.Epoch("alice"), v.Now()
			var told []Event
			v.Watch(func(e Event) { told = append(told, e) })
			if stored {
				s.after = func() error { return errShelf }
			} else {
				s.down = errShelf
			}
			if err := decide(t.Context(), v); !errors.Is(err, ErrNotKept) || !errors.Is(err, errShelf) {
				t.Errorf("%s: %v", name, err)
			}
			if len(told) != 1 || told[0].User != "alice" || told[0].Revocation.User != map[string]string{"revoke": "alice"}[name] {
				t.Errorf("%s: told %+v", name, told)
			}
			alice := &Principal{Name: "alice", Issued: time.Now().Add(-time.Minute)}
			if !v.Withdrawn(&Principal{Name: "alice"}, v.Now()) || !v.Withdrawn(alice, since) || !v.Outdated("alice", epoch) || !v.Outdated("alice", epoch+1000) {
				t.Errorf("%s: it has no effect", name)
			}
			if v.Revoked(alice) != (name == "revoke") || v.Withdrawn(&Principal{Name: "bob"}, since) || v.Outdated("bob", 0) {
				t.Errorf("%s: it has the wrong effect", name)
			}
			s.down, s.after = nil, nil
			if stored {
				s.read(t, v)
			} else if err := decide(t.Context(), v); err != nil {
				t.Error(err)
			}
			now := v.Epoch("alice")
			if now <= epoch || !v.Outdated("alice", epoch) || v.Outdated("alice", now) || v.Withdrawn(&Principal{Name: "alice"}, v.Now()) {
				t.Errorf("%s, stored %v: epoch %d after %d", name, stored, now, epoch)
			}
		}
	}
}

// A credential and a session are rejected and ended here as well.
func TestKeptRevocationOfACredentialInDoubt(t *testing.T) {
	s := &shelf{down: errShelf}
	v := NewKeptRevocations(shelfSource, s)
	told := 0
	v.Watch(func(Event) { told++ })
	for _, r := range []Revocation{{Credential: "c"}, {Session: "s"}} {
		if err := v.Revoke(t.Context(), r); !errors.Is(err, ErrNotKept) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if told != 2 || !v.Revoked(&Principal{CredentialID: "c"}) {
		t.Errorf("told %d times", told)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.Revoke(ctx, Revocation{Credential: "d"}); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNotKept) || v.Revoked(&Principal{CredentialID: "d"}) {
		t.Errorf("a caller that has gone: %v", err)
	}
}

// An epoch that was read from the store began when it was decided, and not when
// it was read, so that a ticket which somebody else has signed since is good.
func TestEpochBeganWhenItWasDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for name, c := range map[string]struct{ decided, began time.Time }{
			"unknown":       {time.Time{}, now},
			"long ago":      {now.Add(-time.Hour), now.Add(-time.Hour + MaxClockSkew)},
			"just now":      {now.Add(-time.Second), now},
			"in the future": {now.Add(time.Hour), now},
		} {
			v := NewRevocations()
			if err := v.Apply(Event{User: "alice", Source: v.Source(), Epoch: 5, Decided: c.decided}); err != nil {
				t.Fatal(err)
			}
			if got := v.EpochBegan("alice"); !got.Equal(c.began) {
				t.Errorf("%s: began %v, want %v", name, got, c.began)
			}
		}
	})
}

// A Keeper that answers nonsense has not kept anything.
func TestKeeperWithoutRevision(t *testing.T) {
	v := NewKeptRevocations(shelfSource, zeroKeeper{})
	if err := v.BumpEpoch(t.Context(), "alice"); !errors.Is(err, ErrNotKept) || v.Epoch("alice") != 0 {
		t.Errorf("%v, epoch %d", err, v.Epoch("alice"))
	}
}

type zeroKeeper struct{}

func (zeroKeeper) Keep(context.Context, Event) (uint64, error) { return 0, nil }
