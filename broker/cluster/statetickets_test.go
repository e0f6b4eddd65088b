package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// A ticket that was minted on one node is good on another, once, whoever tries
// at the same time.
func TestTicketIsGoodOnceOnAllNodes(t *testing.T) {
	bothForms(t, func(t *testing.T, signed bool) {
		e := startEngine(t)
		a, b := issuer(t, e.state(StateOptions{}), ticket.Options{Signed: signed}), issuer(t, e.state(StateOptions{}), ticket.Options{Signed: signed})
		for round := range 20 {
			value := mint(t, a, &auth.Principal{Name: "alice"})
			var won, used atomic.Int32
			var group sync.WaitGroup
			for i := range 16 {
				group.Go(func() {
					p, err := []*ticket.Issuer{a, b}[i%2].Consume(t.Context(), value, "")
					var rejected *ticket.Error
					switch {
					case err == nil && p.Name == "alice":
						won.Add(1)
					case errors.As(err, &rejected) && rejected.Cause == ticket.Used:
						used.Add(1)
					default:
						t.Errorf("%v, %v", p, err)
					}
				})
			}
			testkit.Wait(t, &group)
			if won.Load() != 1 || used.Load() != 15 {
				t.Fatalf("round %d: %d have won, %d were told that it was used", round, won.Load(), used.Load())
			}
		}
	})
}

// Tickets survive a restart, unused and used.
func TestTicketsSurviveARestart(t *testing.T) {
	bothForms(t, func(t *testing.T, signed bool) {
		e := startEngine(t)
		o := ticket.Options{Signed: signed}
		i := issuer(t, e.state(StateOptions{}), o)
		issued := time.Now().Add(-time.Minute)
		unused := mint(t, i, &auth.Principal{Name: "alice", Roles: []string{"r"}, Claims: map[string]any{"n": "1"}, CredentialID: "c", Issued: issued})
		spent, revoked := mint(t, i, &auth.Principal{Name: "bob"}), mint(t, i, &auth.Principal{Name: "carol"})
		if got := consumed(t, i, spent); got != "bob" {
			t.Fatal(got)
		}
		e.restart()
		s := e.state(StateOptions{})
		i = issuer(t, s, o)
		if got := consumed(t, i, spent); got != "used before" {
			t.Errorf("a used ticket: %s", got)
		}
		if err := s.Revocations().BumpEpoch(t.Context(), "carol"); err != nil {
			t.Fatal(err)
		}
		if got := consumed(t, i, revoked); got != "revoked" && got != "used before" {
			t.Errorf("a ticket of an older epoch: %s", got)
		}
		p, err := i.Consume(t.Context(), unused, "")
		if err != nil || p.Name != "alice" || !p.HasRole("r") || !p.HasClaim("n", "1") || p.CredentialID != "c" || !p.Issued.Equal(issued) {
			t.Errorf("an unused ticket: %+v, %v", p, err)
		}
		if got := consumed(t, i, unused); got != "used before" {
			t.Errorf("again: %s", got)
		}
	})
}

// On one node the limits are exact, and what is used, expired or of an older
// epoch takes no room.
func TestTicketLimits(t *testing.T) {
	e := startEngine(t)
	s := e.state(StateOptions{})
	i := issuer(t, s, ticket.Options{PerSubject: 3, MaxOutstanding: 5})
	mints := func(user string) (string, error) {
		m, err := i.Mint(t.Context(), ticket.Grant{Principal: &auth.Principal{Name: user}, TTL: 20 * time.Second})
		return m.Value, err
	}
	full := func(user string) {
		t.Helper()
		_, err := mints(user)
		var refusal *auth.Refusal
		if !errors.As(err, &refusal) || refusal.Status != http.StatusTooManyRequests || refusal.RetryAfter <= 0 || refusal.RetryAfter > 21*time.Second {
			t.Errorf("%s gets a ticket too many: %v", user, err)
		}
	}
	var group sync.WaitGroup
	var good atomic.Int32
	for range 10 {
		group.Go(func() {
			if _, err := mints("alice"); err == nil {
				good.Add(1)
			}
		})
	}
	testkit.Wait(t, &group)
	if good.Load() != 3 {
		t.Errorf("%d tickets of alice, want 3", good.Load())
	}
	full("alice")
	value, err := mints("bob")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mints("bob"); err != nil {
		t.Fatal(err)
	}
	full("carol") // of all
	if got := consumed(t, i, value); got != "bob" {
		t.Fatal(got)
	}
	if value, err = mints("carol"); err != nil {
		t.Error(err)
	}
	if err := s.Revocations().BumpEpoch(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	brokertest.Eventually(t, "the tickets of alice make room", func() bool { _, err := mints("alice"); return err == nil })
	if got := consumed(t, i, value); got != "carol" {
		t.Errorf("another user's ticket: %s", got)
	}
	// The next process counts what is there.
	e.restart()
	i = issuer(t, e.state(StateOptions{}), ticket.Options{PerSubject: 1, MaxOutstanding: 5})
	full("alice")
}

// Another node counts what this one mints.
func TestTicketLimitsOverNodes(t *testing.T) {
	e := startEngine(t)
	o := ticket.Options{PerSubject: 4}
	a, b := issuer(t, e.state(StateOptions{}), o), issuer(t, e.state(StateOptions{}), o)
	var values []string
	for range 4 {
		values = append(values, mint(t, a, &auth.Principal{Name: "alice"}))
	}
	brokertest.Eventually(t, "the other node has counted them", func() bool {
		m, err := b.Mint(t.Context(), ticket.Grant{Principal: &auth.Principal{Name: "alice"}})
		if err == nil {
			consumed(t, b, m.Value)
		}
		return err != nil
	})
	for _, v := range values {
		if got := consumed(t, b, v); got != "alice" {
			t.Error(got)
		}
	}
	brokertest.Eventually(t, "and that they were used", func() bool {
		_, err := a.Mint(t.Context(), ticket.Grant{Principal: &auth.Principal{Name: "alice"}})
		return err == nil
	})
}

// A limit of used signed tickets, which must not be forgotten.
func TestLimitOfUsedSignedTickets(t *testing.T) {
	e := startEngine(t)
	i := issuer(t, e.state(StateOptions{}), ticket.Options{Signed: true, MaxOutstanding: 2})
	for n, want := range []string{"u", "u", "no room to remember its use"} {
		if got := consumed(t, i, mint(t, i, &auth.Principal{Name: "u"})); got != want {
			t.Errorf("ticket %d: %s", n, got)
		}
	}
}

// A ticket passes on how to check its credential again, in the process that has
// minted it. In another one the session ends when it cannot be checked.
func TestRecheckOfATicket(t *testing.T) {
	e := startEngine(t)
	asked := time.Now()
	p := &auth.Principal{Name: "alice", Expires: asked.Add(time.Hour), Recheck: &auth.Recheck{
		Every: time.Minute, Grace: 10 * time.Minute, Asked: asked, Check: func(context.Context, time.Duration) error { return nil },
	}}
	a, b := issuer(t, e.state(StateOptions{}), ticket.Options{}), issuer(t, e.state(StateOptions{}), ticket.Options{})
	here, there := mint(t, a, p), mint(t, a, p)
	got, err := a.Consume(t.Context(), here, "")
	if err != nil || got.Recheck != p.Recheck || !got.Expires.Equal(p.Expires) {
		t.Errorf("here: %+v, %v", got, err)
	}
	got, err = b.Consume(t.Context(), there, "")
	if err != nil || got.Recheck != nil || !got.Expires.Equal(asked.Add(10*time.Minute)) {
		t.Errorf("there: %+v, %v", got, err)
	}
}

// A signed ticket that is older than the store may have been used before.
func TestSignedTicketOlderThanTheStore(t *testing.T) {
	e := startEngine(t)
	s := e.state(StateOptions{})
	u := ticket.Use{Key: ticket.Key{1}, Created: s.tickets.b.made.Add(-time.Millisecond), Expires: time.Now().Add(time.Minute)}
	l := ticket.Limits{Outstanding: 10}
	if err := s.Tickets().Spend(t.Context(), u, l); err != ticket.TooOld {
		t.Error(err)
	}
	u.Created = time.Now()
	if err := s.Tickets().Spend(t.Context(), u, l); err != nil {
		t.Error(err)
	}
	if err := s.Tickets().Spend(t.Context(), u, l); err != ticket.Used {
		t.Error(err)
	}
	u.Expires = time.Now()
	if err := s.Tickets().Spend(t.Context(), u, l); err != ticket.Expired {
		t.Error(err)
	}
}

// What the engine does not encrypt the State does, and with another key nothing
// is read or written.
func TestStateIsEncrypted(t *testing.T) {
	e := startEngine(t)
	key := bytes.Repeat([]byte{7}, 32)
	s := e.state(StateOptions{Key: key})
	if !s.Secret() {
		t.Error("it says that it is not secret")
	}
	i := issuer(t, s, ticket.Options{})
	value := mint(t, i, &auth.Principal{Name: "planted-user", Claims: map[string]any{"mail": "planted-claim"}})
	if _, err := s.Records().Create(t.Context(), "token", "planted-name", []byte("planted-token"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Revocations().Revoke(t.Context(), auth.Revocation{User: "planted-revoked"}); err != nil {
		t.Fatal(err)
	}
	e.restart()
	for name, wrong := range map[string]StateOptions{"another": {Key: bytes.Repeat([]byte{8}, 32)}, "no": {}, "a short": {Key: key[:16]}} {
		if _, err := e.open(e.js, wrong); err == nil {
			t.Errorf("it opens with %s key", name)
		}
	}
	if got := consumed(t, issuer(t, e.state(StateOptions{Key: key}), ticket.Options{}), value); got != "planted-user" {
		t.Error(got)
	}
	e.stop()
	defer e.start()
	files := 0
	err := filepath.WalkDir(e.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files++
		if bytes.Contains(content, []byte("planted-")) {
			t.Errorf("%s contains a secret", path)
		}
		return err
	})
	if err != nil || files < 3 {
		t.Errorf("%d files, %v", files, err)
	}
}

// A claim that cannot be kept is the caller's mistake, and there is no ticket.
func TestTicketThatCannotBeKept(t *testing.T) {
	e := startEngine(t)
	i := issuer(t, e.state(StateOptions{}), ticket.Options{})
	if m, err := i.Mint(t.Context(), ticket.Grant{Principal: &auth.Principal{Name: "a", Claims: map[string]any{"c": struct{}{}}}}); !errors.Is(err, ticket.ErrContent) {
		t.Errorf("%v, %v", m, err)
	}
}

// Without the engine nobody is let in, and nothing is minted.
func TestTicketsWithoutTheEngine(t *testing.T) {
	e := startEngine(t)
	i := issuer(t, e.state(StateOptions{}), ticket.Options{})
	value := mint(t, i, &auth.Principal{Name: "alice"})
	e.conn.Close()
	if p, err := i.Consume(t.Context(), value, ""); p != nil || !isUnavailable(err) {
		t.Errorf("%v, %v", p, err)
	}
	if m, err := i.Mint(t.Context(), ticket.Grant{Principal: &auth.Principal{Name: "alice"}}); m.Value != "" || !isUnavailable(err) {
		t.Errorf("%v, %v", m, err)
	}
}

func isUnavailable(err error) bool {
	var refusal *auth.Refusal
	return errors.As(err, &refusal) && refusal.Status == http.StatusServiceUnavailable
}

// The two streams must say that nothing is read from a node that lags behind,
// and must be bounded.
func TestStreamsOfTheState(t *testing.T) {
	e := startEngine(t)
	e.state(StateOptions{Bytes: 32 << 20})
	for _, name := range []string{"KV_HB_AUTH", "KV_HB_TICKET", "KV_HB_STATE"} {
		stream, err := e.js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		c := stream.CachedInfo().Config
		if c.AllowDirect || c.MaxBytes <= 0 || c.MaxBytes > 16<<20 || c.MaxMsgsPerSubject != 1 || !c.AllowMsgTTL || fmt.Sprint(c.Storage) != "File" || fmt.Sprint(c.Discard) != "DiscardNew" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if _, err := e.open(e.js, StateOptions{Prefix: "a.b"}); err == nil {
		t.Error("a prefix with a dot")
	}
}
