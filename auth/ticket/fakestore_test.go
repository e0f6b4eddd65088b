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

// fakeStore is a Memory behind hooks, as a store at the other end of a network:
// before runs before each operation and after it when it has taken effect. An
// error of before means that nothing has happened; an error of after loses the
// answer.
type fakeStore struct {
	memory        *Memory
	before, after func(ctx context.Context, op string) error
}

func newFakeStore() *fakeStore {
	nothing := func(context.Context, string) error { return nil }
	return &fakeStore{NewMemory(), nothing, nothing}
}

func (s *fakeStore) Put(ctx context.Context, r Record, l Limits) error {
	if err := s.before(ctx, "put"); err != nil {
		return err
	}
	return errors.Join(s.memory.Put(ctx, r, l), s.after(ctx, "put"))
}

func (s *fakeStore) Take(ctx context.Context, key Key) (Record, error) {
	if err := s.before(ctx, "take"); err != nil {
		return Record{}, err
	}
	r, err := s.memory.Take(ctx, key)
	if lost := s.after(ctx, "take"); lost != nil {
		return Record{}, lost
	}
	return r, err
}

func (s *fakeStore) Spend(ctx context.Context, u Use, l Limits) error {
	if err := s.before(ctx, "spend"); err != nil {
		return err
	}
	return errors.Join(s.memory.Spend(ctx, u, l), s.after(ctx, "spend"))
}

// withStore returns an issuer whose store is a fake.
func withStore(t testing.TB, signed bool) (*Issuer, *fakeStore) {
	t.Helper()
	store := newFakeStore()
	tickets, err := New(store, auth.NewRevocations(), Options{Signed: signed, Secrets: []Secret{key('a')}, Rate: -1})
	if err != nil {
		t.Fatal(err)
	}
	return tickets, store
}

// withBothStores runs a test in a bubble for each form of tickets.
func withBothStores(t *testing.T, test func(t *testing.T, tickets *Issuer, store *fakeStore)) {
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tickets, store := withStore(t, signed)
				test(t, tickets, store)
			})
		})
	}
}

// once returns a hook that runs fn in the first of the given operations.
func once(op string, fn func() error) func(context.Context, string) error {
	done := false
	return func(_ context.Context, o string) error {
		if o != op || done {
			return nil
		}
		done = true
		return fn()
	}
}

// spending is the operation that consumes a ticket of this issuer.
func spending(tickets *Issuer) string {
	if tickets.signed {
		return "spend"
	}
	return "take"
}

var errDown = errors.New("dial tcp 10.0.0.1:4222: connection refused")

// wantTemporary checks the error of a store that could not answer: the client
// gets a 503 with a constant text, and the log the cause.
func wantTemporary(t testing.TB, err, cause error) {
	t.Helper()
	var down *StoreError
	var refusal *auth.Refusal
	var wrong *Error
	if !errors.As(err, &down) || !errors.As(err, &refusal) || errors.As(err, &wrong) || !errors.Is(err, cause) || !strings.Contains(err.Error(), cause.Error()) {
		t.Errorf("got %v, want a StoreError for %v", err, cause)
		return
	}
	if *refusal != (auth.Refusal{Status: http.StatusServiceUnavailable, RetryAfter: 2 * time.Second, Reason: "tickets are not available at the moment"}) {
		t.Errorf("the client gets %+v", *refusal)
	}
}
