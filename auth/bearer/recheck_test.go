package bearer

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// A recheck asks the endpoint that accepted the token again, if the cached
// answer is too old.
func TestRecheck(t *testing.T) {
	srv := newServer(t, active(""))
	v, clock := introspector(t, srv, func(o *Options) { o.RecheckGrace = time.Hour })
	r := accept(t, v, "abcdef").Recheck
	if r == nil || r.Every != auth.DefaultRecheck || r.Grace != time.Hour || !r.Asked.Equal(clock.now()) {
		t.Fatalf("%+v", r)
	}
	srv.asked(t, 1)
	check := func(maxAge time.Duration, more int64, want error) {
		t.Helper()
		err := r.Check(t.Context(), maxAge)
		if !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%v, want %v", err, want)
		}
		srv.asked(t, more)
	}
	clock.advance(10 * time.Second)
	check(15*time.Second, 0, nil)
	check(5*time.Second, 1, nil)
	check(5*time.Second, 0, nil)
	srv.answer(status(500))
	check(-1, 1, ErrUnavailable)
	if err := r.Check(t.Context(), -1); auth.Withdrawn(err) {
		t.Errorf("an endpoint that is down withdraws: %v", err)
	}
	srv.asked(t, 1)
	clock.advance(time.Second)
	srv.answer(text(`{"active":false}`))
	clock.advance(goodFor)
	check(15*time.Second, 1, errInactive)
	if err := r.Check(t.Context(), 15*time.Second); !auth.Withdrawn(err) {
		t.Errorf("a revoked token is not withdrawn: %v", err)
	}
	clock.advance(goodFor)
	srv.answer(text(`{"active":true,"sub":"bob"}`)) // nobody's token becomes another's
	check(-1, 1, errAnother)
	clock.advance(goodFor)
	srv.answer(text(`{"active":true,"sub":"alice","roles":7}`))
	check(-1, 1, errRoles)
	refuse(t, v, "abcdef", errRoles)
}

// When a session's recheck finds a revocation, it also applies to new sessions
// at once.
func TestRecheckForgetsTheGoodAnswer(t *testing.T) {
	srv := newServer(t, active(""))
	v, clock := introspector(t, srv, nil)
	r := accept(t, v, "abcdef").Recheck
	srv.answer(text(`{"active":false}`))
	clock.advance(time.Second)
	if err := r.Check(t.Context(), 0); !errors.Is(err, errInactive) {
		t.Fatal(err)
	}
	refuse(t, v, "abcdef", errInactive)
	clock.advance(badFor)
	refuse(t, v, "abcdef", errInactive)
}

func TestRecheckScopes(t *testing.T) {
	srv := newServer(t, active(""))
	v, _ := introspector(t, srv, func(o *Options) { o.Introspection[0].Scopes = []string{"sensor-data"} })
	r := accept(t, v, "abcdef").Recheck
	srv.answer(text(`{"active":true,"sub":"alice","scope":"other"}`))
	if err := r.Check(context.Background(), -1); !errors.Is(err, ErrScope) || !auth.Withdrawn(err) {
		t.Errorf("%v", err)
	}
}

func TestRecheckOptions(t *testing.T) {
	srv := newServer(t, active(""))
	v := newVerifier(t, Options{UserInfo: []UserInfo{{URL: srv.URL, Recheck: 7 * time.Second}}, RecheckGrace: -1})
	if r := accept(t, v, "abcdef").Recheck; r == nil || r.Every != 7*time.Second || r.Grace != 0 {
		t.Errorf("%+v", r)
	}
	v, _ = introspector(t, srv, func(o *Options) { o.Introspection[0].Recheck = -1 })
	if r := accept(t, v, "abcdef").Recheck; r != nil {
		t.Errorf("%+v", r)
	}
	s := es256("k")
	v, _ = issuerAt(t, newServer(t, keySetOf(t, s.public())), nil)
	if r := accept(t, v, s.sign(t, goodClaims(issuerName), nil)).Recheck; r != nil {
		t.Errorf("a JWT, which nobody is asked about: %+v", r)
	}
}
