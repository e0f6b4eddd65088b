package users

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
)

func hashOf(t testing.TB, passcode string, cost int) string {
	t.Helper()
	h, err := Hash(passcode, cost)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newStore(t testing.TB, list ...User) *Store {
	t.Helper()
	s, err := New(list)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func connect(login, passcode string) *auth.Attempt {
	return &auth.Attempt{Stage: auth.StageConnect, Login: login, Passcode: passcode}
}

func handshake(authorization string) *auth.Attempt {
	h := http.Header{}
	if authorization != "" {
		h.Set("Authorization", authorization)
	}
	return &auth.Attempt{Stage: auth.StageHandshake, Handshake: &auth.Handshake{Header: h}}
}

func basic(userinfo string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(userinfo))
}

// outcome describes an authenticator's answer in a word or two.
func outcome(t testing.TB, p *auth.Principal, err error) string {
	t.Helper()
	var refusal *auth.Refusal
	switch {
	case err == nil && p != nil:
		return p.Name
	case p != nil:
		t.Fatalf("a principal and the error %v", err)
	case errors.Is(err, auth.ErrNotMine):
		return "not mine"
	case errors.As(err, &refusal):
		return refusal.Reason
	}
	t.Fatalf("answered %v, %v", p, err)
	return ""
}

const refused = "the login or the passcode is wrong"

func TestAuthenticate(t *testing.T) {
	s := newStore(t,
		User{Name: "alice", Hash: hashOf(t, "open:sesame", MinCost), Roles: []string{"service"}},
		User{Name: "72", Hash: hashOf(t, strings.Repeat("x", 72), MinCost)},
		User{Name: "a", Hash: hashOf(t, "a", MinCost)},
		User{Name: "empty", Hash: string(mustBcrypt(t, ""))},
	)
	alice, nobody := &auth.Principal{Name: "alice"}, &auth.Principal{}
	with := func(p *auth.Principal, a *auth.Attempt) *auth.Attempt { a.Principal = p; return a }
	tcp := handshake("")
	tcp.Handshake = nil
	for _, c := range []struct {
		name string
		a    *auth.Attempt
		want string
	}{
		{"right", connect("alice", "open:sesame"), "alice"},
		{"wrong passcode", connect("alice", "open"), refused},
		{"no passcode", connect("alice", ""), refused},
		{"unknown user", connect("bob", "open:sesame"), refused},
		{"names are compared byte by byte", connect("Alice", "open:sesame"), refused},
		{"no login", connect("", "open:sesame"), "not mine"},
		{"no stage", &auth.Attempt{Login: "alice", Passcode: "open:sesame"}, "not mine"},
		{"72 bytes", connect("72", strings.Repeat("x", 72)), "72"},
		{"bcrypt ignores the 73rd byte", connect("72", strings.Repeat("x", 73)), refused},
		{"bcrypt repeats the key after a NUL", connect("a", "a\x00a"), refused},
		{"an empty passcode that was hashed elsewhere", connect("empty", ""), refused},

		{"N-11 another user", with(alice, connect("bob", "x")), "the login names another user than the one this connection was opened for"},
		{"N-11 another user with the right passcode", with(alice, connect("a", "a")), "the login names another user than the one this connection was opened for"},
		{"N-11 anonymous stays anonymous", with(nobody, connect("a", "a")), "the login names another user than the one this connection was opened for"},
		{"the same user again", with(alice, connect("alice", "open:sesame")), "not mine"},
		{"established and no login", with(alice, connect("", "")), "not mine"},

		{"basic", handshake(basic("alice:open:sesame")), "alice"},
		{"basic in small letters", handshake("basic" + basic("alice:open:sesame")[5:]), "alice"},
		{"basic, wrong passcode", handshake(basic("alice:x")), refused},
		{"basic, unknown user", handshake(basic("bob:open:sesame")), refused},
		{"basic, no user", handshake(basic(":open:sesame")), refused},
		{"basic, no colon", handshake(basic("alice")), refused},
		{"basic, not base64", handshake("Basic !!"), refused},
		{"basic and nothing", handshake("Basic"), refused},
		{"bearer", handshake("Bearer abc"), "not mine"},
		{"a scheme that begins with basic", handshake("Basics abc"), "not mine"},
		{"no authorization", handshake(""), "not mine"},
		{"plain TCP", tcp, "not mine"},
	} {
		p, err := s.Authenticate(t.Context(), c.a)
		if got := outcome(t, p, err); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func mustBcrypt(t testing.TB, passcode string) []byte {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(passcode), MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestPrincipal(t *testing.T) {
	list := []User{{Name: "alice", Hash: hashOf(t, "one", MinCost), Roles: []string{"service"}}}
	s := newStore(t, list...)
	list[0].Roles[0] = "changed"
	before, err := s.Authenticate(t.Context(), connect("alice", "one"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before.Roles, []string{"service"}) || !before.Expires.IsZero() || time.Since(before.Issued) > time.Minute || !strings.HasPrefix(before.CredentialID, "users:") {
		t.Errorf("got %+v", before)
	}
	again, err := s.Authenticate(t.Context(), connect("alice", "one"))
	if err != nil || again.CredentialID != before.CredentialID {
		t.Errorf("the same credential has two ids: %v", err)
	}
	before.Roles[0] = "changed"
	if again.Roles[0] != "service" {
		t.Error("two principals share their roles")
	}
	if err := s.Replace([]User{{Name: "alice", Hash: hashOf(t, "one", MinCost)}}); err != nil {
		t.Fatal(err)
	}
	after, err := s.Authenticate(t.Context(), connect("alice", "one"))
	if err != nil || after.CredentialID == before.CredentialID {
		t.Errorf("a new hash has the old credential id: %v", err)
	}
}

// The time of a login is the sum of 2^cost of its comparisons. It must be the
// same for every name.
func TestEveryLoginCostsTheSame(t *testing.T) {
	s := newStore(t,
		User{Name: "low", Hash: hashOf(t, "p", MinCost)},
		User{Name: "mid", Hash: hashOf(t, "p", MinCost+1)},
		User{Name: "high", Hash: hashOf(t, "p", MinCost+2)},
	)
	work := 0
	s.compare = func(hash, passcode []byte) error {
		cost, err := bcrypt.Cost(hash)
		if err != nil {
			t.Error(err)
		}
		work += 1 << cost
		if len(passcode) > MaxPasscodeBytes {
			t.Error("bcrypt sees a passcode that it would cut off")
		}
		err = bcrypt.CompareHashAndPassword(hash, passcode)
		if err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			t.Errorf("%s costs no time: %v", hash, err)
		}
		return err
	}
	for _, login := range []string{"low", "mid", "high", "unknown", "low\x00", strings.Repeat("n", 9000)} {
		for _, passcode := range []string{"p", "wrong", "", strings.Repeat("p", 73), "p\x00"} {
			work = 0
			s.table.Load().known = newKnown() // a user who comes back costs nothing
			p, err := s.Authenticate(t.Context(), connect(login, passcode))
			right := passcode == "p" && slices.Contains([]string{"low", "mid", "high"}, login)
			if got := outcome(t, p, err) == login; got != right {
				t.Errorf("%.10q with %.10q: let in is %v", login, passcode, got)
			}
			if work != 1<<(MinCost+2) {
				t.Errorf("%.10q with %.10q: work %d", login, passcode, work)
			}
		}
	}
}

func TestAnEmptyListCostsTheDefault(t *testing.T) {
	s := newStore(t)
	var costs []int
	s.compare = func(hash, _ []byte) error {
		cost, err := bcrypt.Cost(hash)
		costs = append(costs, cost)
		return err // nil: even then a dummy lets nobody in
	}
	if p, err := s.Authenticate(t.Context(), connect("alice", "x")); outcome(t, p, err) != refused {
		t.Error("a dummy hash let somebody in")
	}
	if !slices.Equal(costs, []int{DefaultCost}) {
		t.Errorf("costs %v", costs)
	}
}

// The number of concurrent passcode checks is limited, and a login that waits
// too long is told to retry.
func TestConcurrentChecksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, User{Name: "alice", Hash: hashOf(t, "p", MinCost)})
		limit := max(1, runtime.GOMAXPROCS(0)/2)
		var mu sync.Mutex
		running, most := 0, 0
		release := make(chan struct{})
		s.compare = func(_, _ []byte) error {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-release
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		}
		outcomes := make(chan string, 100)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		for range 20 {
			go func() {
				p, err := s.Authenticate(t.Context(), connect("alice", "p"))
				outcomes <- outcome(t, p, err)
			}()
		}
		synctest.Wait()
		if running != limit {
			t.Errorf("%d checks at once, want %d", running, limit)
		}
		// This one comes too late to get a turn before its deadline.
		start := time.Now()
		p, err := s.Authenticate(ctx, connect("bob", "p"))
		var refusal *auth.Refusal
		if p != nil || !errors.As(err, &refusal) || refusal.StatusCode() != http.StatusServiceUnavailable || refusal.RetryAfter <= 0 {
			t.Errorf("got %v, %v", p, err)
		}
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("gave up after %v", waited)
		}
		close(release)
		for range 20 {
			if got := <-outcomes; got != "alice" {
				t.Errorf("got %q", got)
			}
		}
		if taken, _ := s.turns.Usage(); most != limit || taken != 0 {
			t.Errorf("at most %d at once, %d turns not given back", most, taken)
		}
	})
}

func TestDoneContextNeverChecks(t *testing.T) {
	s := newStore(t)
	s.compare = func(_, _ []byte) error { t.Error("checked"); return nil }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // a select with two ready cases would take either
		if _, err := s.Authenticate(ctx, connect("alice", "p")); err == nil {
			t.Fatal("let in")
		}
	}
}

func TestAPanicGivesTheTurnBack(t *testing.T) {
	s := newStore(t)
	s.compare = func(_, _ []byte) error { panic("boom") }
	n := s.turns.Limits().Turns
	for range n + 1 {
		func() {
			defer func() { _ = recover() }()
			_, _ = s.Authenticate(t.Context(), connect("alice", "p"))
			t.Error("no panic")
		}()
	}
	if taken, _ := s.turns.Usage(); taken != 0 {
		t.Error("a turn is lost")
	}
}

// S-11: after a passcode change the old one is invalid at once, even if its
// check has already begun.
func TestS11ReplaceTakesEffectAtOnce(t *testing.T) {
	old, changed := hashOf(t, "old", MinCost), hashOf(t, "new", MinCost)
	for _, c := range []struct {
		name string
		list []User
		want string
	}{
		{"changed", []User{{Name: "alice", Hash: changed}}, refused},
		{"removed", nil, refused},
		{"other roles", []User{{Name: "alice", Hash: old, Roles: []string{"new"}}}, "alice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t, User{Name: "alice", Hash: old, Roles: []string{"old"}})
			s.compare = func(hash, passcode []byte) error {
				if err := s.Replace(c.list); err != nil {
					t.Error(err)
				}
				return bcrypt.CompareHashAndPassword(hash, passcode)
			}
			p, err := s.Authenticate(t.Context(), connect("alice", "old"))
			if got := outcome(t, p, err); got != c.want {
				t.Errorf("while it is being checked: %q", got)
			}
			if p != nil && !slices.Equal(p.Roles, []string{"new"}) {
				t.Errorf("roles %v", p.Roles)
			}
			p, err = s.Authenticate(t.Context(), connect("alice", "old"))
			if got := outcome(t, p, err); got != c.want {
				t.Errorf("afterwards: %q", got)
			}
		})
	}
}

func TestReplaceKeepsTheOldListOnError(t *testing.T) {
	s := newStore(t, User{Name: "alice", Hash: hashOf(t, "p", MinCost)})
	var e *UserError
	if err := s.Replace([]User{{Name: "bob", Hash: "plain text"}}); !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	if p, err := s.Authenticate(t.Context(), connect("alice", "p")); outcome(t, p, err) != "alice" {
		t.Error("the old list is gone")
	}
}

func TestNewNamesTheBadUser(t *testing.T) {
	good := hashOf(t, "p", MinCost)
	for _, c := range []struct {
		user User
		want string
	}{
		{User{Name: "", Hash: good}, "blank"},
		{User{Name: "a\nb", Hash: good}, "CR, LF or NUL"},
		{User{Name: "ok", Hash: good}, "already taken"},
		{User{Name: "x", Hash: ""}, "0 bytes instead of 60"},
		{User{Name: "x", Hash: "secret"}, "6 bytes instead of 60"},
		{User{Name: "x", Hash: "$2x$" + good[4:]}, "does not begin with"},
		{User{Name: "x", Hash: "$2b$1é$" + good[8:]}, "damaged"},
		{User{Name: "x", Hash: good[:59] + "!"}, "damaged"},
		{User{Name: "x", Hash: good[:40] + "=" + good[41:]}, "damaged"},
		{User{Name: "x", Hash: good[:6] + "." + good[7:]}, "damaged"},
		{User{Name: "x", Hash: "$2b$ab$" + good[7:]}, "cost is not between 4 and 16"},
		{User{Name: "x", Hash: "$2b$17$" + good[7:]}, "cost is not between 4 and 16"},
		{User{Name: "x", Hash: "$2b$03$" + good[7:]}, "cost is not between 4 and 16"},
	} {
		_, err := New([]User{{Name: "ok", Hash: good}, c.user})
		var e *UserError
		if !errors.As(err, &e) || e.Index != 1 || e.Name != c.user.Name || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.user, err)
			continue
		}
		if c.user.Hash != "" && strings.Contains(err.Error(), c.user.Hash) || strings.Contains(err.Error(), "\n") {
			t.Errorf("the error shows too much: %v", err)
		}
	}
	for _, prefix := range []string{"$2a$", "$2b$", "$2y$"} {
		s := newStore(t, User{Name: "x", Hash: prefix + good[4:]})
		if p, err := s.Authenticate(t.Context(), connect("x", "p")); outcome(t, p, err) != "x" {
			t.Errorf("%s is not understood", prefix)
		}
	}
}

// S-11 and oroinc/platform#1079: a ticket obtained with the old passcode
// becomes invalid at once, the new passcode gets a valid one, and nothing of
// the old hash remains.
func TestS11ReplaceKillsTheTicketsOfTheOldPasscode(t *testing.T) {
	old, changed := hashOf(t, "old", MinCost), hashOf(t, "new", MinCost)
	shared := auth.NewRevocations()
	tickets, err := ticket.New(ticket.NewMemory(), shared, ticket.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, User{Name: "alice", Hash: old}, User{Name: "bob", Hash: old}, User{Name: "carol", Hash: old})
	var heard []string
	s.OnChange = func(name string) {
		if p, err := s.Authenticate(t.Context(), connect(name, "old")); outcome(t, p, err) != refused {
			t.Errorf("%s's old passcode is still good", name)
		}
		heard = append(heard, name)
		if err := shared.BumpEpoch(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	mint := func(login, passcode string) string {
		t.Helper()
		p, err := s.Authenticate(t.Context(), connect(login, passcode))
		if err != nil {
			t.Fatal(err)
		}
		ticket, err := tickets.Mint(t.Context(), ticket.Grant{Principal: p})
		if err != nil {
			t.Fatal(err)
		}
		return ticket.Value
	}
	consume := func(value, want string) {
		t.Helper()
		p, err := tickets.Consume(t.Context(), value, "")
		var cause *ticket.Error
		switch {
		case err == nil && p.Name == want:
		case errors.As(err, &cause) && cause.Cause.String() == want:
		default:
			t.Errorf("got %v, %v", p, err)
		}
	}
	alice, bob, carol := mint("alice", "old"), mint("bob", "old"), mint("carol", "old")
	if err := s.Replace([]User{{Name: "alice", Hash: "plain"}}); err == nil {
		t.Fatal("no error")
	}
	if err := s.Replace([]User{
		{Name: "alice", Hash: changed}, {Name: "carol", Hash: old, Roles: []string{"new"}}, {Name: "dave", Hash: changed},
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(heard)
	if !slices.Equal(heard, []string{"alice", "bob"}) {
		t.Errorf("heard of %q", heard)
	}
	consume(alice, "revoked")
	consume(bob, "revoked")
	consume(carol, "carol")
	consume(mint("alice", "new"), "alice")
	consume(mint("dave", "new"), "dave")
}
