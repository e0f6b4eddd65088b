package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// logins are what a provider can say of a user at most, and a usual one.
var logins = map[string]map[string]any{
	"usual":   {"a": "Ann Example", "roles": []string{"user", "editor"}},
	"objects": {"a": json.RawMessage("[" + strings.Repeat(`{"b":1},`, 120) + "0]")},
	"numbers": {"a": json.RawMessage("[" + strings.Repeat("1,", 1200) + "0]")},
	"roles":   {"roles": strings.Split(strings.Repeat(strings.Repeat("r", 255)+" ", 120), " ")[:120]},
	"spaces":  {"roles": "user" + strings.Repeat(" ", 30_000) + "editor"},
	"ids":     {"sub": strings.Repeat("s", 1000), "sid": strings.Repeat("i", 1000)},
}

func keepingClaims(o *Options) {
	o.Providers[0].Claims, o.Providers[0].RolesClaim, o.Providers[0].UserClaim = []string{"a"}, "roles", "user"
}

// A login session holds what it counts, and the sessions of one user at most
// what Options.MaxSessionsPerUser says, whatever the provider says of the user
// and however many times the user signs in.
func TestLoginSessionsHoldWhatIsDocumented(t *testing.T) {
	const n = 50
	for name, more := range logins {
		t.Run(name, func(t *testing.T) {
			claims := map[string]any{"user": "ann", "a": "a", "roles": "user"}
			maps.Copy(claims, more)
			s := newStandin()
			c := newClient(t, s, keepingClaims)
			signIn := func() {
				s.set(func(s *standin) { s.claims, s.tokens = claims, nil })
				newBrowser(t, c).signIn(s)
			}
			signIn() // fetches the metadata
			for _, ended := range c.sessions.endUser("ann", "") {
				c.ended(ended)
			}
			before := testkit.Heap()
			for range n {
				signIn()
			}
			held, counted := testkit.Heap()-before, c.sessions.bytes
			kept := len(c.sessions.byID)
			t.Logf("%d sessions hold %d bytes, %d are counted", kept, held, counted)
			if kept == 0 || kept > c.o.MaxSessionsPerUser {
				t.Errorf("%d sessions are kept", kept)
			}
			if held > counted*5/4+64<<10 {
				t.Errorf("%d bytes are held, %d are counted", held, counted)
			}
			if counted > c.sessions.userBytes {
				t.Errorf("%d bytes are counted, at most %d may be", counted, c.sessions.userBytes)
			}
			runtime.KeepAlive(c)
		})
	}
}

// All sessions together take at most 4 KiB each on average. What is too much
// for one session is refused, and what is too much for all.
func TestLoginSessionsAreBounded(t *testing.T) {
	o := Options{SessionTTL: time.Hour, SessionIdle: time.Hour, MaxSessions: 1000, MaxSessionsPerUser: 32}
	table := newSessions(&o)
	add := func(user string, role int) error {
		_, err := table.add(&session{id: digestOf(user + newSecret()), user: user, roles: []string{strings.Repeat("r", role)}}, time.Now())
		return err
	}
	if err := add("ann", maxSessionBytes); !errors.Is(err, errSessionBytes) {
		t.Errorf("a session of more than the limit: %v", err)
	}
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		err = add(fmt.Sprint("user", n), 40<<10)
	}
	if !errors.Is(err, errSessions) || n < 90 || n > 110 {
		t.Errorf("%d sessions of 40 KiB, and then %v", n, err)
	}
	if most := int64(1000 * averageSession); table.bytes > most {
		t.Errorf("%d bytes are counted, at most %d may be", table.bytes, most)
	}
	for i := range n {
		table.endUser(fmt.Sprint("user", i), "")
	}
	if table.bytes != 0 || len(table.byID) != 0 {
		t.Errorf("%d sessions are left, of %d bytes", len(table.byID), table.bytes)
	}
}

// A user with more claims than a session may hold is not signed in, and the log
// says why.
func TestHeavyLoginIsRefused(t *testing.T) {
	s := newStandin()
	var log bytes.Buffer
	c := newClient(t, s, func(o *Options) { keepingClaims(o); o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	s.set(func(s *standin) {
		s.claims = map[string]any{"user": "ann", "roles": "user", "a": json.RawMessage("[" + strings.Repeat(`{"b":1},`, 300) + "0]")}
	})
	b := newBrowser(t, c)
	if resp := b.callback(s, b.login("")); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("status %d, want 502", resp.StatusCode)
	}
	if text := log.String(); !strings.Contains(text, "take more than 65536 bytes") {
		t.Errorf("the log is %q", text)
	}
	if _, err := c.Token(t.Context(), "ann", "idp"); !errors.Is(err, ErrNoToken) {
		t.Errorf("the token of a refused login: %v", err)
	}
}
