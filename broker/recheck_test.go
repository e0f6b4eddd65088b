package broker_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// issuer is a third party that knows whether credentials are still good.
type issuer struct {
	grace  time.Duration
	answer atomic.Pointer[func(ctx context.Context) error]

	mu    sync.Mutex
	asked []time.Time
	now   int // questions under way
	most  int
}

func (i *issuer) says(f func(ctx context.Context) error) { i.answer.Store(&f) }

func (i *issuer) check(ctx context.Context, maxAge time.Duration) error {
	if maxAge > 15*time.Second {
		return errors.New("the answer may be too old")
	}
	i.mu.Lock()
	i.asked = append(i.asked, time.Now())
	i.now++
	i.most = max(i.most, i.now)
	i.mu.Unlock()
	defer func() {
		i.mu.Lock()
		i.now--
		i.mu.Unlock()
	}()
	return (*i.answer.Load())(ctx)
}

// Authenticate lets everybody in, and is asked again.
func (i *issuer) Authenticate(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Stage == auth.StageHandshake {
		return nil, auth.ErrNotMine
	}
	return &auth.Principal{Name: "ann", Recheck: &auth.Recheck{Every: time.Minute, Grace: i.grace, Asked: time.Now(), Check: i.check}}, nil
}

func (i *issuer) questions() []time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]time.Time(nil), i.asked...)
}

func good(context.Context) error        { return nil }
func withdrawn(context.Context) error   { return &auth.Refusal{Status: http.StatusUnauthorized} }
func unavailable(context.Context) error { return &auth.Refusal{Status: http.StatusServiceUnavailable} }
func hanging(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// asking runs f with a broker whose credentials an issuer looks at again.
func asking(t *testing.T, grace time.Duration, answer func(context.Context) error, f func(*testing.T, *issuer, *broker.Broker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{grace: grace}
		i.says(answer)
		f(t, i, brokertest.New(t, broker.Options{Authenticator: i}))
	})
}

// wantEndIn fails the test unless the session ends between those times from now, for
// that reason.
func wantEndIn(t *testing.T, c *brokertest.Client, least, most time.Duration, why string) {
	t.Helper()
	if least > 0 {
		time.Sleep(least)
		c.Sync(t)
	}
	time.Sleep(most - least)
	since := time.Now()
	if got := c.Expect(t, "ERROR").Get("message"); got != why {
		t.Errorf("it ended with %q, want %q", got, why)
	}
	if after := time.Since(since); after > 0 {
		t.Errorf("it ended %v too late", after)
	}
}

// A credential is looked at again at least every minute, and a session of a good
// one goes on.
func TestRecheckOfAGoodCredential(t *testing.T) {
	asking(t, 10*time.Minute, good, func(t *testing.T, i *issuer, b *broker.Broker) {
		c := brokertest.Connect(t, b)
		last := time.Now()
		time.Sleep(time.Hour)
		synctest.Wait()
		asked := i.questions()
		if len(asked) < 60 || len(asked) > 121 {
			t.Errorf("asked %d times in an hour", len(asked))
		}
		for _, at := range asked {
			if gap := at.Sub(last); gap > 46*time.Second {
				t.Errorf("not asked for %v", gap)
			}
			last = at
		}
		c.Sync(t)
		c.Close()
	})
}

func TestRecheckEndsTheSessionOfAWithdrawnCredential(t *testing.T) {
	asking(t, 10*time.Minute, good, func(t *testing.T, i *issuer, b *broker.Broker) {
		c := brokertest.Connect(t, b)
		time.Sleep(5 * time.Minute)
		i.says(withdrawn)
		wantEndIn(t, c, 0, 46*time.Second, "session revoked")
		if code := c.CloseCode(); code != 1008 {
			t.Errorf("close code %d", code)
		}
	})
}

// Nobody who can tell is no reason to end a session at once, and none to let it go
// on for ever.
func TestRecheckWithoutAnAnswer(t *testing.T) {
	for name, silent := range map[string]func(context.Context) error{
		"down": unavailable, "hanging": hanging, "another error": func(context.Context) error { return errors.New("x") },
		"panic": func(context.Context) error { panic("the client is broken") },
	} {
		t.Run(name, func(t *testing.T) {
			asking(t, 10*time.Minute, good, func(t *testing.T, i *issuer, b *broker.Broker) {
				c := brokertest.Connect(t, b)
				time.Sleep(5 * time.Minute)
				i.says(silent)
				time.Sleep(8 * time.Minute)
				i.says(good) // in time
				time.Sleep(10 * time.Minute)
				c.Sync(t)
				i.says(silent)
				wantEndIn(t, c, 9*time.Minute-time.Second, 10*time.Minute+time.Second, "the credential could not be checked again")
			})
		})
	}
	t.Run("no end", func(t *testing.T) {
		asking(t, 0, unavailable, func(t *testing.T, _ *issuer, b *broker.Broker) {
			c := brokertest.Connect(t, b)
			time.Sleep(24 * time.Hour)
			c.Sync(t)
			c.Close()
		})
	})
}

// However many sessions wait for an issuer that hangs, it gets a bounded number of
// questions at once, and each session ends when it should.
func TestRechecksAreBounded(t *testing.T) {
	asking(t, 2*time.Minute, hanging, func(t *testing.T, i *issuer, b *broker.Broker) {
		const n = 500
		var all []*brokertest.Client
		for range n {
			all = append(all, brokertest.Connect(t, b))
		}
		time.Sleep(2*time.Minute + time.Second)
		since := time.Now()
		for _, c := range all {
			if got := c.Expect(t, "ERROR").Get("message"); got != "the credential could not be checked again" {
				t.Fatalf("it ended with %q", got)
			}
		}
		if after := time.Since(since); after > 0 {
			t.Errorf("the last ended %v too late", after)
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.most > 64 || i.most < 2 {
			t.Errorf("%d questions at once", i.most)
		}
	})
}

// A renewed credential is the one that is looked at; a principal that says nothing
// of it ends the rechecks.
func TestRecheckOfARenewedCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, plain := &issuer{grace: time.Hour}, false
		old.says(good)
		b := brokertest.New(t, broker.Options{Authenticator: auth.AuthenticatorFunc(func(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
			p, err := old.Authenticate(ctx, a)
			if plain && err == nil {
				p.Recheck = nil
			}
			return p, err
		})})
		c := brokertest.Connect(t, b)
		time.Sleep(2 * time.Minute)
		plain = true
		c.Send("SEND", "", "destination", "/app/session/refresh", "Authorization", "Bearer new", "receipt", "r")
		c.ExpectReceipt(t, "r")
		synctest.Wait()
		before := len(old.questions())
		old.says(withdrawn)
		time.Sleep(time.Hour)
		if n := len(old.questions()); n != before || before == 0 {
			t.Errorf("asked %d times, then %d", before, n)
		}
		c.Sync(t)
		c.Close()
	})
}

// What was let in long ago, as by a ticket that is used late, is looked at at once.
func TestRecheckOfAnOldAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{grace: 10 * time.Minute}
		i.says(withdrawn)
		store := auth.NewRevocations()
		tickets, err := ticket.New(ticket.NewMemory(), store, ticket.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := i.Authenticate(t.Context(), &auth.Attempt{Stage: auth.StageConnect})
		if err != nil {
			t.Fatal(err)
		}
		ticket, err := tickets.Mint(t.Context(), ticket.Grant{Principal: p})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Minute)
		c := brokertest.Connect(t, brokertest.New(t, broker.Options{Authenticator: tickets, Revocations: store}), "ticket", ticket.Value)
		wantEndIn(t, c, 0, time.Second, "session revoked")
	})
}
