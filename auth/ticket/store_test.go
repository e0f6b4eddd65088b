package ticket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// A store that fails lets nobody in and mints nothing. Nothing has happened, so
// the ticket is good when the store is back.
func TestStoreThatFails(t *testing.T) {
	withBothStores(t, func(t *testing.T, tickets *Issuer, store *fakeStore) {
		value := mint(t, tickets, user("alice")).Value
		store.before = func(context.Context, string) error { return errDown }
		mintsNone(t, tickets)
		consumesNone(t, tickets, value)
		p, err := tickets.Authenticate(t.Context(), attempt(auth.StageConnect, value, ""))
		if wantTemporary(t, err, errDown); p != nil {
			t.Errorf("let in %+v", p)
		}
		store.before = newFakeStore().before
		if got := consumed(t, tickets, value, ""); got != "alice" {
			t.Errorf("when the store is back: %s", got)
		}
	})
}

// mintsNone expects that errDown keeps an Issuer from minting. One that signs
// its tickets needs no Store for it.
func mintsNone(t *testing.T, tickets *Issuer) {
	t.Helper()
	if tickets.signed {
		return
	}
	ticket, err := tickets.Mint(t.Context(), user("alice"))
	if wantTemporary(t, err, errDown); ticket != (Ticket{}) {
		t.Errorf("minted %v all the same", ticket)
	}
}

// consumesNone expects that errDown keeps an Issuer from consuming a ticket.
func consumesNone(t *testing.T, tickets *Issuer, value string) {
	t.Helper()
	p, err := tickets.Consume(t.Context(), value, "")
	if wantTemporary(t, err, errDown); p != nil {
		t.Errorf("let in %+v", p)
	}
}

// An operation that took effect, but whose answer is lost, counts as done: the
// ticket is used up, or was never handed out.
func TestStoreWhoseAnswersAreLost(t *testing.T) {
	withBothStores(t, func(t *testing.T, tickets *Issuer, store *fakeStore) {
		value := mint(t, tickets, user("alice")).Value
		store.after = func(context.Context, string) error { return errDown }
		mintsNone(t, tickets)
		consumesNone(t, tickets, value)
		store.after = newFakeStore().after
		if got := consumed(t, tickets, value, ""); got != "used before" {
			t.Errorf("again: %s", got)
		}
	})
}

// A store that does not answer holds nobody longer than their context.
func TestSlowStore(t *testing.T) {
	withBothStores(t, func(t *testing.T, tickets *Issuer, store *fakeStore) {
		value := mint(t, tickets, user("alice")).Value
		store.before = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
		start := time.Now()
		within := func(name string, d time.Duration) {
			t.Helper()
			if took := time.Since(start); took != d {
				t.Errorf("%s took %v, want %v", name, took, d)
			}
			start = time.Now()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p, err := tickets.Consume(ctx, value, "")
		wantTemporary(t, err, context.DeadlineExceeded)
		if within("Consume", time.Second); p != nil {
			t.Errorf("let in %+v", p)
		}
		if !tickets.signed {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			ticket, err := tickets.Mint(ctx, user("alice"))
			wantTemporary(t, err, context.DeadlineExceeded)
			if within("Mint", time.Second); ticket != (Ticket{}) {
				t.Errorf("minted %v", ticket)
			}
		}
		start = time.Now()
		p, err = tickets.Consume(t.Context(), value, "") // whose caller would wait for ever
		wantTemporary(t, err, context.DeadlineExceeded)
		if within("Consume without a deadline", storePatience); p != nil {
			t.Errorf("let in %+v", p)
		}
		store.before = newFakeStore().before
		if got := consumed(t, tickets, value, ""); got != "alice" {
			t.Errorf("when the store is back: %s", got)
		}
	})
}

// The endpoint answers 503, tells the log why, and does not wait for ever for a
// store that hangs.
func TestEndpointWithoutAStore(t *testing.T) {
	for name, c := range map[string]struct {
		before func(context.Context, string) error
		cause  error
		took   time.Duration
	}{
		"failing": {func(context.Context, string) error { return errDown }, errDown, 0},
		"hanging": {func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }, context.DeadlineExceeded, storePatience},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tickets, store := withStore(t, false)
				store.before = c.before
				var refused error
				h := mustHandler(t, tickets, HandlerOptions{Bearer: bearers, OnRefused: func(_ *http.Request, err error) { refused = err }})
				start := time.Now()
				w := ask(h, "POST", "/ws_ticket", "", "Authorization: Bearer alice")
				wantTemporary(t, refused, c.cause)
				if _, problem := reply(t, w); w.Code != 503 || w.Header().Get("Retry-After") != "2" || problem != "tickets are not available at the moment" {
					t.Errorf("answered %d %v %s", w.Code, w.Header(), w.Body)
				}
				if took := time.Since(start); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
			})
		})
	}
}

// withdrawals are the ways in which a principal may lose its credential, with
// the cause that the log gives for its ticket.
var withdrawals = map[string]struct {
	cause string
	do    func(t *testing.T, r *auth.Revocations) error
}{
	"user revoked": {"revoked", func(t *testing.T, r *auth.Revocations) error {
		return r.Revoke(t.Context(), auth.Revocation{User: "alice"})
	}},
	"credential revoked": {"revoked", func(t *testing.T, r *auth.Revocations) error {
		return r.Revoke(t.Context(), auth.Revocation{Credential: "c"})
	}},
	"new epoch": {"revoked", func(t *testing.T, r *auth.Revocations) error { return r.BumpEpoch(t.Context(), "alice") }},
	"decided elsewhere": {"revoked", func(_ *testing.T, r *auth.Revocations) error {
		return r.Apply(auth.Event{User: "alice", Source: r.Source(), Epoch: 7})
	}},
	"expired": {"expired", func(*testing.T, *auth.Revocations) error { pass(5 * time.Second); return nil }},
}

func aliceUntil(d time.Duration) Grant {
	return Grant{Principal: &auth.Principal{Name: "alice", CredentialID: "c", Issued: time.Now().Add(-time.Hour), Expires: time.Now().Add(d)}}
}

// A principal that is withdrawn between any two steps of Mint gets no ticket, and
// what was stored is removed again.
func TestWithdrawnWhileTheStoreKeepsTheTicket(t *testing.T) {
	for name, w := range withdrawals {
		for _, when := range []string{"before it is stored", "after it is stored"} {
			t.Run(name+" "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tickets, store := withStore(t, false)
					hook := once("put", func() error { return w.do(t, tickets.revocations) })
					if when == "before it is stored" {
						store.before = hook
					} else {
						store.after = hook
					}
					ticket, err := tickets.Mint(t.Context(), aliceUntil(5*time.Second))
					if code, _ := status(t, err); code != 401 || ticket != (Ticket{}) {
						t.Errorf("minted %v, %v", ticket, err)
					}
					if store.memory.total != 0 {
						t.Errorf("%d tickets are kept", store.memory.total)
					}
				})
			})
		}
	}
}

// The removal of such a ticket may fail: nobody has it.
func TestWithdrawnTicketCannotBeRemoved(t *testing.T) {
	tickets, store := withStore(t, false)
	store.after = once("put", func() error { return tickets.revocations.BumpEpoch(t.Context(), "alice") })
	store.before = once("take", func() error { return errDown })
	ticket, err := tickets.Mint(t.Context(), user("alice"))
	if code, _ := status(t, err); code != 401 || ticket != (Ticket{}) {
		t.Errorf("minted %v, %v", ticket, err)
	}
}

// A principal that is withdrawn at any moment of Consume does not get in, unless
// Consume had its answer before, and the ticket is used up.
func TestWithdrawnWhileTheStoreTakesTheTicket(t *testing.T) {
	for name, w := range withdrawals {
		for _, when := range []string{"before it is taken", "after it is taken"} {
			t.Run(name+" "+when, func(t *testing.T) {
				withBothStores(t, func(t *testing.T, tickets *Issuer, store *fakeStore) {
					value := mint(t, tickets, aliceUntil(5*time.Second)).Value
					hook := once(spending(tickets), func() error { return w.do(t, tickets.revocations) })
					if when == "before it is taken" {
						store.before = hook
					} else {
						store.after = hook
					}
					if got := consumed(t, tickets, value, ""); got != w.cause {
						t.Errorf("got %s, want %s", got, w.cause)
					}
					if got := consumed(t, tickets, value, ""); got != "used before" && got != "expired" {
						t.Errorf("again: %s", got)
					}
				})
			})
		}
	}
}

// An Issuer does not trust a store to give out what was asked for, or to know
// the causes.
func TestStoreThatAnswersNonsense(t *testing.T) {
	for name, c := range map[string]struct {
		r   Record
		err error
	}{
		"nothing":                   {},
		"no principal":              {Record{Key: keyOf(1), Expires: time.Now().Add(time.Hour)}, nil},
		"another ticket":            {Record{Key: keyOf(2), Principal: &auth.Principal{Name: "mallory"}, Expires: time.Now().Add(time.Hour)}, nil},
		"no cause":                  {Record{}, Cause(0)},
		"a cause that is not known": {Record{}, Cause(200)},
	} {
		t.Run(name, func(t *testing.T) {
			tickets, err := New(constantStore{c.r, c.err}, auth.NewRevocations(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			p, err := tickets.Consume(t.Context(), strings.Repeat("A", 43), "")
			var down *StoreError
			if !errors.As(err, &down) || p != nil {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

func keyOf(b byte) (k Key) { k[0] = b; return k }

// constantStore gives the same answer to everything.
type constantStore struct {
	r   Record
	err error
}

func (s constantStore) Put(context.Context, Record, Limits) error { return s.err }
func (s constantStore) Take(context.Context, Key) (Record, error) { return s.r, s.err }
func (s constantStore) Spend(context.Context, Use, Limits) error  { return s.err }

// The store's own verdicts are those of the log, wrapped or not.
func TestStoreKnowsTheCause(t *testing.T) {
	for _, cause := range []Cause{Unknown, Used, Expired, Revoked} {
		for _, err := range []error{cause, fmt.Errorf("bucket: %w", cause)} {
			tickets, e := New(constantStore{Record{Subject: "alice"}, err}, auth.NewRevocations(), Options{})
			if e != nil {
				t.Fatal(e)
			}
			_, e = tickets.Consume(t.Context(), strings.Repeat("A", 43), "")
			var rejected *Error
			if !errors.As(e, &rejected) || *rejected != (Error{cause, "alice"}) {
				t.Errorf("%v: %v", err, e)
			}
		}
	}
	tickets, err := New(constantStore{err: &FullError{RetryAfter: time.Minute}}, auth.NewRevocations(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tickets.Mint(t.Context(), user("alice"))
	if code, wait := status(t, err); code != 429 || wait != time.Minute {
		t.Errorf("a full store: %v", err)
	}
}

// Memory does nothing for a caller that has gone.
func TestMemoryHonoursTheContext(t *testing.T) {
	m, k := NewMemory(), keyOf(1)
	r := Record{Key: k, Subject: "alice", Principal: &auth.Principal{Name: "alice"}, Expires: time.Now().Add(time.Hour)}
	l := Limits{PerSubject: 1, Outstanding: 2, SubjectBytes: 1 << 20, Bytes: 1 << 20}
	if err := m.Put(cancelled(), r, l); err != context.Canceled {
		t.Errorf("Put: %v", err)
	}
	if err := m.Put(t.Context(), r, l); err != nil {
		t.Errorf("the first Put counts: %v", err)
	}
	if err := m.Put(t.Context(), r, l); err != Used {
		t.Errorf("Put of the same ticket: %v", err)
	}
	if _, err := m.Take(cancelled(), k); err != context.Canceled {
		t.Errorf("Take: %v", err)
	}
	if got, err := m.Take(t.Context(), k); err != nil || got != r {
		t.Errorf("the first Take counts: %+v, %v", got, err)
	}
	u := Use{keyOf(2), time.Now(), time.Now().Add(time.Hour)}
	if err := m.Spend(cancelled(), u, l); err != context.Canceled {
		t.Errorf("Spend: %v", err)
	}
	if err := m.Spend(t.Context(), u, l); err != nil {
		t.Errorf("the first Spend counts: %v", err)
	}
}

func TestFullErrorSaysHowLong(t *testing.T) {
	if got := (&FullError{RetryAfter: time.Minute}).Error(); !strings.Contains(got, "1m0s") {
		t.Error(got)
	}
}
