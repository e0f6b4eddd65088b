// Package storetest tests implementations of stores against their contracts:
// one table for that in memory and for that which survives.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// Operations runs the contract of a [webflow.Store]. make returns a new, empty
// store: two views of it, as two nodes have, which may be the same.
func Operations(t *testing.T, make func(t *testing.T) (a, b webflow.Store)) {
	for name, test := range map[string]func(*testing.T, webflow.Store, webflow.Store){
		"steps":       operationSteps,
		"names":       operationNames,
		"revisions":   operationRevisions,
		"round trip":  operationRoundTrip,
		"one wins":    oneWins,
		"watch":       operationWatch,
		"context":     operationContext,
		"again":       operationAgain,
		"name passed": namePassedOn,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := make(t)
			test(t, a, b)
		})
	}
}

// record returns a record that no clock ends during a test.
func record(webSocketID string) *webflow.Record {
	return &webflow.Record{WebSocketID: webSocketID, Owner: webflow.Owner{User: "alice"}, Expires: time.Now().Add(time.Hour).UnixNano()}
}

func named(webSocketID, id string) *webflow.Record {
	r := record(webSocketID)
	r.ID, r.Named = id, true
	return r
}

// next returns the record that replaces r.
func next(r *webflow.Record, change func(*webflow.Record)) *webflow.Record {
	n := *r
	change(&n)
	return &n
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if want == nil && got != nil || want != nil && !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func wantRecord(t *testing.T, what string, got *webflow.Record, err error, want *webflow.Record) {
	t.Helper()
	if err != nil || got == nil || *got != *want {
		t.Errorf("%s: %+v, %v, want %+v", what, got, err, want)
	}
}

// operationSteps does each step on one node and looks on the other.
func operationSteps(t *testing.T, a, b webflow.Store) {
	ctx := t.Context()
	_, err := b.Get(ctx, "ws")
	wantErr(t, "get before create", err, webflow.ErrUnknown)
	missing := record("ws")
	missing.Revision = 7
	wantErr(t, "update before create", a.Update(ctx, missing), webflow.ErrUnknown)
	wantErr(t, "delete before create", a.Delete(ctx, missing), webflow.ErrUnknown)
	wantErr(t, "update without a revision", a.Update(ctx, record("ws")), webflow.ErrUnknown)
	r := record("ws")
	wantErr(t, "create", a.Create(ctx, r), nil)
	got, err := b.Get(ctx, "ws")
	wantRecord(t, "get", got, err, r)
	wantErr(t, "create again", b.Create(ctx, record("ws")), webflow.ErrExists)
	wantErr(t, "update without a revision", b.Update(ctx, record("ws")), webflow.ErrConflict)
	second := next(r, func(r *webflow.Record) { r.Result, r.Number, r.Terminal = "CONFIRMED", 1, true })
	wantErr(t, "update", b.Update(ctx, second), nil)
	got, err = a.Get(ctx, "ws")
	wantRecord(t, "get after update", got, err, second)
	wantErr(t, "update of an old revision", a.Update(ctx, next(r, func(r *webflow.Record) { r.Result = "CANCELED" })), webflow.ErrConflict)
	wantErr(t, "delete of an old revision", a.Delete(ctx, r), webflow.ErrConflict)
	got, err = b.Get(ctx, "ws")
	wantRecord(t, "get after conflicts", got, err, second)
	wantErr(t, "delete", a.Delete(ctx, second), nil)
	_, err = b.Get(ctx, "ws")
	wantErr(t, "get after delete", err, webflow.ErrUnknown)
	wantErr(t, "delete again", b.Delete(ctx, second), webflow.ErrUnknown)
	wantErr(t, "update after delete", b.Update(ctx, next(second, func(*webflow.Record) {})), webflow.ErrUnknown)
}

func operationNames(t *testing.T, a, b webflow.Store) {
	ctx := t.Context()
	_, err := b.Find(ctx, "op")
	wantErr(t, "find before create", err, webflow.ErrUnknown)
	r := named("ws", "op")
	wantErr(t, "create", a.Create(ctx, r), nil)
	got, err := b.Find(ctx, "op")
	wantRecord(t, "find", got, err, r)
	wantErr(t, "the same name", b.Create(ctx, named("other", "op")), webflow.ErrExists)
	_, err = a.Get(ctx, "other")
	wantErr(t, "the record that was refused", err, webflow.ErrUnknown)
	wantErr(t, "the same record with another name", b.Create(ctx, named("ws", "other")), webflow.ErrExists)
	_, err = a.Find(ctx, "other")
	wantErr(t, "the name that was refused", err, webflow.ErrUnknown)
	got, err = a.Find(ctx, "op")
	wantRecord(t, "find after refusals", got, err, r)

	// An unannounced record gets its name, or another one's.
	late := record("late")
	wantErr(t, "create", a.Create(ctx, late), nil)
	_, err = a.Find(ctx, "late-op")
	wantErr(t, "find", err, webflow.ErrUnknown)
	wantErr(t, "a name that is taken", b.Update(ctx, next(late, func(r *webflow.Record) { r.ID, r.Named = "op", true })), webflow.ErrExists)
	renamed := next(late, func(r *webflow.Record) { r.ID, r.Named = "late-op", true })
	wantErr(t, "name", b.Update(ctx, renamed), nil)
	got, err = a.Find(ctx, "late-op")
	wantRecord(t, "find", got, err, renamed)
	again := next(renamed, func(r *webflow.Record) { r.Expires += int64(time.Hour) })
	wantErr(t, "update of a named record", a.Update(ctx, again), nil)
	got, err = b.Find(ctx, "late-op")
	wantRecord(t, "find after update", got, err, again)
	wantErr(t, "an old revision does not take a name", b.Update(ctx, next(renamed, func(r *webflow.Record) { r.ID = "stolen" })), webflow.ErrConflict)
	_, err = a.Find(ctx, "stolen")
	wantErr(t, "find", err, webflow.ErrUnknown)
	// A record whose ID leads to it does not need to be found.
	derived := record("derived")
	derived.ID = "derived-op"
	wantErr(t, "create", a.Create(ctx, derived), nil)
	_, err = b.Find(ctx, "derived-op")
	wantErr(t, "find a derived one", err, webflow.ErrUnknown)
}

// namePassedOn: the name of a record that has ended is free.
func namePassedOn(t *testing.T, a, b webflow.Store) {
	ctx := t.Context()
	for i := range 3 {
		r := named(fmt.Sprint("ws-", i), "op")
		wantErr(t, "create", a.Create(ctx, r), nil)
		got, err := b.Find(ctx, "op")
		wantRecord(t, "find", got, err, r)
		wantErr(t, "delete", b.Delete(ctx, r), nil)
		_, err = a.Find(ctx, "op")
		wantErr(t, "find after delete", err, webflow.ErrUnknown)
	}
}

// operationAgain: a record that was deleted can be announced again.
func operationAgain(t *testing.T, a, b webflow.Store) {
	ctx := t.Context()
	var last uint64
	for range 3 {
		r := record("ws")
		wantErr(t, "create", a.Create(ctx, r), nil)
		if r.Revision <= last {
			t.Errorf("revision %d after %d", r.Revision, last)
		}
		last = r.Revision
		got, err := b.Get(ctx, "ws")
		wantRecord(t, "get", got, err, r)
		wantErr(t, "delete", b.Delete(ctx, r), nil)
	}
}

func operationRevisions(t *testing.T, a, b webflow.Store) {
	ctx, last := t.Context(), uint64(0)
	for i := range 20 {
		s := []webflow.Store{a, b}[i%2]
		r := record(fmt.Sprint("ws-", i))
		for _, step := range []func() error{
			func() error { return s.Create(ctx, r) },
			func() error { r = next(r, func(r *webflow.Record) { r.Interims++ }); return s.Update(ctx, r) },
		} {
			wantErr(t, "step", step(), nil)
			if r.Revision <= last {
				t.Fatalf("revision %d after %d", r.Revision, last)
			}
			last = r.Revision
		}
	}
}

// operationRoundTrip: every field comes back.
func operationRoundTrip(t *testing.T, a, b webflow.Store) {
	ctx := t.Context()
	r := &webflow.Record{
		WebSocketID: "ws \"é\"", ID: "op", Owner: webflow.Owner{User: "alice", Anyone: true}, PollToken: [16]byte{1, 2, 255},
		Expires: time.Now().Add(time.Hour).UnixNano(), Session: "s", User: "bob", Abandon: 1 << 62, Result: "CONFIRMED", Number: 1<<64 - 1,
		Registration: 7, Interims: 3, Code: 1006, Reason: 2, Gone: true, Scoped: true, Unannounced: true, Named: true, Terminal: true,
		Offered: true, Acked: true,
	}
	wantErr(t, "create", a.Create(ctx, r), nil)
	got, err := b.Get(ctx, r.WebSocketID)
	wantRecord(t, "get", got, err, r)
	got, err = b.Find(ctx, r.ID)
	wantRecord(t, "find", got, err, r)
	empty := next(record("empty"), func(r *webflow.Record) { r.Owner = webflow.Owner{} })
	wantErr(t, "create", a.Create(ctx, empty), nil)
	got, err = b.Get(ctx, "empty")
	wantRecord(t, "get", got, err, empty)
}

// oneWins: of many steps on one revision, on both nodes, one succeeds.
func oneWins(t *testing.T, a, b webflow.Store) {
	ctx := t.Context()
	const n = 16
	race := func(what string, lost error, step func(s webflow.Store, i int) error) {
		t.Helper()
		errs := make([]error, n)
		var group sync.WaitGroup
		for i := range n {
			group.Go(func() { errs[i] = step([]webflow.Store{a, b}[i%2], i) })
		}
		testkit.Wait(t, &group)
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, lost) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if won != 1 {
			t.Errorf("%s: %d have won", what, won)
		}
	}
	race("create", webflow.ErrExists, func(s webflow.Store, i int) error {
		return s.Create(ctx, next(record("ws"), func(r *webflow.Record) { r.Interims = int32(i) }))
	})
	race("name", webflow.ErrExists, func(s webflow.Store, i int) error {
		return s.Create(ctx, named(fmt.Sprint("named-", i), "op"))
	})
	r, err := a.Get(ctx, "ws")
	wantErr(t, "get", err, nil)
	race("update", webflow.ErrConflict, func(s webflow.Store, i int) error {
		return s.Update(ctx, next(r, func(r *webflow.Record) { r.Number = uint64(i) + 1 }))
	})
	r, err = a.Get(ctx, "ws")
	wantErr(t, "get", err, nil)
	race("delete", webflow.ErrUnknown, func(s webflow.Store, _ int) error { return s.Delete(ctx, r) })
}

// operationWatch: a watch reports what there is, and then each change.
func operationWatch(t *testing.T, a, b webflow.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, gone := named("first", "op"), record("gone")
	wantErr(t, "create", a.Create(ctx, first), nil)
	wantErr(t, "create", a.Create(ctx, gone), nil)
	wantErr(t, "delete", a.Delete(ctx, gone), nil)
	var mu sync.Mutex
	var heard []string
	var last uint64
	ended := make(chan error, 1)
	go func() {
		ended <- b.Watch(ctx, func(c webflow.Change) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case c.Current:
				heard = append(heard, "current")
				return
			case c.Deleted:
				if c.Record.WebSocketID != "gone" { // it may be reported or not
					heard = append(heard, "deleted "+c.Record.WebSocketID)
				}
			default:
				heard = append(heard, fmt.Sprint(c.Record.WebSocketID, " ", c.Record.Number))
			}
			if c.Record.Revision <= last {
				t.Errorf("revision %d after %d", c.Record.Revision, last)
			}
			last = c.Record.Revision
		})
	}()
	hears := func(want ...string) {
		t.Helper()
		var got []string
		brokertest.Eventually(t, fmt.Sprintf("the watch reports %q", want), func() bool {
			mu.Lock()
			defer mu.Unlock()
			got = slices.Clone(heard)
			return slices.Equal(got, want)
		})
	}
	hears("first 0", "current")
	second := record("second")
	wantErr(t, "create", b.Create(ctx, second), nil)
	hears("first 0", "current", "second 0")
	first = next(first, func(r *webflow.Record) { r.Number = 5 })
	wantErr(t, "update", a.Update(ctx, first), nil)
	hears("first 0", "current", "second 0", "first 5")
	wantErr(t, "delete", a.Delete(ctx, second), nil)
	hears("first 0", "current", "second 0", "first 5", "deleted second")
	cancel()
	if err := testkit.Receive(t, ended); err == nil {
		t.Error("the watch has ended without an error")
	}
}

// operationContext: nobody waits longer than its context.
func operationContext(t *testing.T, a, _ webflow.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	r := record("ws")
	wantErr(t, "create", a.Create(ctx, r), nil)
	cancel()
	for name, step := range map[string]func() error{
		"create": func() error { return a.Create(ctx, record("other")) },
		"update": func() error { return a.Update(ctx, next(r, func(*webflow.Record) {})) },
		"delete": func() error { return a.Delete(ctx, r) },
		"get":    func() error { _, err := a.Get(ctx, "ws"); return err },
		"find":   func() error { _, err := a.Find(ctx, "op"); return err },
		"watch":  func() error { return a.Watch(ctx, func(webflow.Change) {}) },
	} {
		if err := step(); err == nil || errors.Is(err, webflow.ErrUnknown) || errors.Is(err, webflow.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
