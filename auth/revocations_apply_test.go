package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// sharing returns Revocations that count with the same source, as processes with
// one store for it will.
func sharing(n int) []*Revocations {
	all := make([]*Revocations, n)
	for i := range all {
		all[i] = NewRevocations()
		all[i].source = all[0].source
	}
	return all
}

// connect passes what is decided at each of all to the others, and counts what is
// told.
func connect(t *testing.T, all []*Revocations) (local, applied []int) {
	local, applied = make([]int, len(all)), make([]int, len(all))
	for i, v := range all {
		v.Watch(func(e Event) {
			if !e.Local {
				applied[i]++
				return
			}
			local[i]++
			for j, other := range all {
				if j == i {
					continue
				}
				if err := other.Apply(e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	return local, applied
}

// What one process decides takes effect in all, is told once in each, and is not
// announced again by those that learned of it.
func TestApplyHasNoEcho(t *testing.T) {
	for name, all := range map[string][]*Revocations{
		"one source":      sharing(3),
		"separate source": {NewRevocations(), NewRevocations(), NewRevocations()},
	} {
		t.Run(name, func(t *testing.T) {
			local, applied := connect(t, all)
			issued := time.Now().Add(-time.Hour)
			revoke(t, all[0], Revocation{User: "alice"})
			revoke(t, all[1], Revocation{Credential: "c"})
			revoke(t, all[2], Revocation{Session: "s"})
			if err := all[0].BumpEpoch(t.Context(), "bob"); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(local, []int{2, 1, 1}) || !slices.Equal(applied, []int{2, 3, 3}) {
				t.Errorf("told of %v local events and %v of others", local, applied)
			}
			for i, v := range all {
				if !v.Revoked(&Principal{Name: "alice", Issued: issued}) || !v.Revoked(&Principal{CredentialID: "c"}) {
					t.Errorf("%d does not know what was revoked", i)
				}
				if v.Epoch("alice") == 0 || v.Epoch("bob") == 0 || v.Epoch("carol") != 0 {
					t.Errorf("%d: epochs %d, %d, %d", i, v.Epoch("alice"), v.Epoch("bob"), v.Epoch("carol"))
				}
				if name == "one source" && v.Epoch("alice") != all[0].Epoch("alice") {
					t.Errorf("%d has another epoch", i)
				}
			}
		})
	}
}

// A store that is read again from the start tells what is known already: no
// session is ended twice, and no ticket dies that was minted meanwhile.
func TestApplyIgnoresWhatIsKnown(t *testing.T) {
	all := sharing(2)
	var events []Event
	all[0].Watch(func(e Event) { events = append(events, e) })
	revoke(t, all[0], Revocation{User: "alice"})
	revoke(t, all[0], Revocation{Credential: "c"})
	if err := all[0].BumpEpoch(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	told := 0
	all[1].Watch(func(Event) { told++ })
	var now Moment
	for round := range 3 {
		for _, e := range events {
			if err := all[1].Apply(e); err != nil {
				t.Fatal(err)
			}
		}
		if round == 0 {
			now = all[1].Now()
		}
	}
	if told != len(events) {
		t.Errorf("told %d times of %d events", told, len(events))
	}
	if all[1].Now() != now || all[1].Withdrawn(&Principal{Name: "alice"}, now) || all[1].Withdrawn(&Principal{Name: "bob"}, now) {
		t.Error("what is known already has begun another epoch")
	}
	// Its own decisions, which come back, are known too.
	for _, e := range events {
		if err := all[0].Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	if len(events) != 3 {
		t.Errorf("its own decisions were told again: %d events", len(events))
	}
}

// Events that overtake each other lose nothing: sessions are ended by an older
// revocation although a newer epoch is known, and the newest epoch stays.
func TestApplyInAnyOrder(t *testing.T) {
	at := time.Now().Add(-time.Minute)
	source := sharing(1)[0].source
	events := []Event{
		{Revocation: Revocation{User: "alice", At: at}, User: "alice", Source: source, Epoch: 3},
		{User: "alice", Source: source, Epoch: 5},
		{User: "alice", Source: source, Epoch: 4},
	}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		v := NewRevocations()
		v.source = source
		ended := 0
		v.Watch(func(e Event) {
			if e.Revocation.User == "alice" {
				ended++
			}
		})
		for _, i := range order {
			if err := v.Apply(events[i]); err != nil {
				t.Fatal(err)
			}
		}
		if v.Epoch("alice") != 5 || ended != 1 || !v.Revoked(&Principal{Name: "alice", Issued: at.Add(-1)}) || v.Revoked(&Principal{Name: "alice", Issued: at}) {
			t.Errorf("%v: epoch %d, sessions ended %d times", order, v.Epoch("alice"), ended)
		}
		if err := v.BumpEpoch(t.Context(), "bob"); err != nil || v.Epoch("bob") != 6 {
			t.Errorf("%v: the next epoch is %d, %v", order, v.Epoch("bob"), err)
		}
	}
}

// An epoch that cannot be compared counts as new, whatever its number.
func TestApplyFromAnotherSource(t *testing.T) {
	for name, e := range map[string]Event{
		"another source": {User: "alice", Source: "elsewhere", Epoch: 1},
		"no epoch":       {User: "alice"},
		"no user":        {Revocation: Revocation{User: "alice"}},
		"far too large":  {User: "alice", Epoch: 1<<64 - 1},
	} {
		v := NewRevocations()
		if name == "far too large" {
			e.Source = v.Source()
		}
		for range 3 {
			if err := v.BumpEpoch(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
		}
		epoch, since := v.Epoch("alice"), v.Now()
		if err := v.Apply(e); err != nil {
			t.Fatal(err)
		}
		if v.Epoch("alice") != epoch+1 || !v.Withdrawn(&Principal{Name: "alice"}, since) {
			t.Errorf("%s: epoch %d after %d", name, v.Epoch("alice"), epoch)
		}
	}
}

func TestApplyChecksItsEvents(t *testing.T) {
	v := NewRevocations()
	v.Watch(func(e Event) { t.Errorf("told of %+v", e) })
	for _, e := range []Event{
		{},
		{Revocation: Revocation{User: "a", Session: "b"}, User: "a"},
		{Revocation: Revocation{User: "a"}, User: "b"},
		{Revocation: Revocation{Session: "s"}, User: "b"},
		{Revocation: Revocation{Credential: "c"}, User: "b"},
		{Source: v.Source(), Epoch: 1},
	} {
		if err := v.Apply(e); err != ErrRevocation {
			t.Errorf("%+v: %v", e, err)
		}
	}
	if v.Epoch("a") != 0 || v.Epoch("b") != 0 {
		t.Error("it took effect")
	}
}

// Another machine's clock may be wrong. Its revocation counts all the same, and
// one without a time takes ours.
func TestApplyTakesAnyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, now := NewRevocations(), time.Now()
		var told Event
		v.Watch(func(e Event) { told = e })
		if err := v.Apply(Event{Revocation: Revocation{User: "alice", At: now.Add(time.Hour)}}); err != nil {
			t.Error(err)
		}
		if !v.Revoked(&Principal{Name: "alice", Issued: now}) {
			t.Error("not revoked")
		}
		if err := v.Apply(Event{Revocation: Revocation{Session: "s"}}); err != nil || !told.Revocation.At.Equal(now) {
			t.Errorf("told of %+v, %v", told, err)
		}
	})
}

// Watchers hear of both kinds of event, with everything that Apply needs.
func TestWatchReportsEpochs(t *testing.T) {
	v := NewRevocations()
	var told []Event
	v.Watch(func(e Event) {
		if e.User != "" && v.Epoch(e.User) != e.Epoch {
			t.Error("told before it took effect")
		}
		told = append(told, e)
	})
	if err := v.BumpEpoch(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	revoke(t, v, Revocation{User: "bob"})
	revoke(t, v, Revocation{Credential: "c"})
	if err := v.BumpEpoch(t.Context(), ""); err != nil { // nobody
		t.Fatal(err)
	}
	var got []string
	for _, e := range told {
		got = append(got, fmt.Sprint(e.User, e.Epoch, e.Revocation.User, e.Revocation.Credential, e.Local, e.Source == v.Source() || e.User == ""))
	}
	if want := []string{"alice1true true", "bob2bobtrue true", "0ctrue true"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// A caller that has gone changes nothing.
func TestRevocationsHonourTheContext(t *testing.T) {
	v := NewRevocations()
	v.Watch(func(e Event) { t.Errorf("told of %+v", e) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.Revoke(ctx, Revocation{User: "alice"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Revoke: %v", err)
	}
	if err := v.BumpEpoch(ctx, "alice"); !errors.Is(err, context.Canceled) {
		t.Errorf("BumpEpoch: %v", err)
	}
	if v.Epoch("alice") != 0 || v.Revoked(&Principal{Name: "alice", Issued: time.Now().Add(-time.Hour)}) {
		t.Error("it took effect")
	}
}

func TestWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, now := NewRevocations(), time.Now()
		since := v.Now()
		if err := v.BumpEpoch(t.Context(), "bumped"); err != nil {
			t.Fatal(err)
		}
		revoke(t, v, Revocation{User: "revoked"})
		revoke(t, v, Revocation{Credential: "c"})
		for _, c := range []struct {
			p           *Principal
			since, then bool // withdrawn since, and withdrawn now
		}{
			{nil, false, false},
			{&Principal{Name: "alice"}, false, false},
			{&Principal{}, false, false},
			{&Principal{Name: "bumped"}, true, false},
			{&Principal{Name: "revoked"}, true, false},
			{&Principal{Name: "revoked", Issued: now.Add(-1)}, true, true},
			{&Principal{Name: "alice", CredentialID: "c"}, true, true},
			{&Principal{Name: "alice", Expires: now}, true, true},
		} {
			if got := v.Withdrawn(c.p, since); got != c.since {
				t.Errorf("%+v: since then %v", c.p, got)
			}
			if got := v.Withdrawn(c.p, v.Now()); got != c.then {
				t.Errorf("%+v: now %v", c.p, got)
			}
		}
		if !v.Withdrawn(&Principal{Name: "bumped"}, 0) {
			t.Error("the zero Moment is not before every epoch")
		}
		if got := v.EpochBegan("bumped"); !got.Equal(now) || !v.EpochBegan("alice").IsZero() {
			t.Errorf("began %v, alice's %v", got, v.EpochBegan("alice"))
		}
	})
}

func TestRevocationsAreSafeForConcurrentUse(t *testing.T) {
	all := sharing(2)
	for i, v := range all {
		v.Watch(func(e Event) {
			if e.Local {
				if err := all[1-i].Apply(e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			v, p := all[i%2], &Principal{Name: fmt.Sprint("u", i%3), CredentialID: fmt.Sprint("c", i)}
			for j := range 300 {
				before := v.Epoch(p.Name)
				if err := v.BumpEpoch(t.Context(), p.Name); err != nil || v.Epoch(p.Name) <= before {
					t.Errorf("epoch %d after %d, %v", v.Epoch(p.Name), before, err)
				}
				if j%50 == 0 {
					revoke(t, v, Revocation{Credential: p.CredentialID})
				}
				cancel := v.Watch(func(Event) {})
				v.Withdrawn(p, v.Now())
				cancel()
			}
		})
	}
	testkit.Wait(t, &group)
	for i := range 3 {
		if name := fmt.Sprint("u", i); all[0].Epoch(name) == 0 || all[1].Epoch(name) == 0 {
			t.Errorf("%s has no epoch", name)
		}
	}
}
