//go:build unix

package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// clockBinary builds the binary with a clock that TEST_CLOCK moves.
func clockBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hoofbeat")
	const set = "-X github.com/hoofbeat/hoofbeat/auth.clockVariable=TEST_CLOCK"
	if out, err := exec.Command("go", "build", "-ldflags", set, "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// restarted kills a broker and starts it again with another clock.
func (s *server) restarted(t *testing.T, clock time.Duration) *server {
	t.Helper()
	s.Kill(t)
	next := s.RestartIn(t, "TEST_CLOCK="+clock.String())
	return &server{next, next.URL, next.Admin, next.TCP}
}

// the broker is killed and comes back with a clock that is a minute ahead
// or behind, and later with the right one. Whatever was used, revoked or decided
// stays so through all of it.
func TestX38WrongClockAfterARestart(t *testing.T) {
	binary := clockBinary(t)
	for _, off := range []time.Duration{-time.Minute, time.Minute} {
		for _, signed := range []bool{false, true} {
			t.Run(fmt.Sprintf("clock %v, signed=%v", off, signed), func(t *testing.T) {
				t.Parallel()
				wrongClock(t, binary, off, signed)
			})
		}
	}
}

// rightClock is what counts as right. The engine's clock is not moved, and what
// is older than the store is refused, so a clock must not be behind that.
const rightClock = 2 * time.Minute

func wrongClock(t *testing.T, binary string, off time.Duration, signed bool) {
	env := []string{
		"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_AUTH_TICKETS_TTL=1h", "HOOFBEAT_AUTH_FIRST_FRAME=false",
		"HOOFBEAT_WEBFLOW_TTL=1h", "HOOFBEAT_ADMIN_TOKEN=" + testToken, "TEST_CLOCK=" + rightClock.String(),
	}
	if signed {
		env = append(env, "HOOFBEAT_AUTH_TICKETS_SIGNED=true", "HOOFBEAT_AUTH_TICKETS_SECRET=0123456789abcdef0123456789abcdef")
	}
	s := serveWith(t, process.Options{
		Binary: binary, Restartable: true, Env: env, Args: []string{"--store-dir", filepath.Join(t.TempDir(), "store")},
	})
	mint := func(user string) string { return adminTicket(t, s, fmt.Sprintf(`{"user":%q}`, user)) }
	connects := func(user, ticket string) *client.Conn {
		t.Helper()
		return connectAs(t, user, s.url+"?ticket="+ticket, client.Options{})
	}
	dead := func(what, ticket string) {
		t.Helper()
		if conn, err := dial(t, s.url+"?ticket="+ticket, client.Options{}); err == nil {
			t.Errorf("a ticket %s connects %s", what, conn.Header().Get("user-name"))
		}
	}
	revoke := func(user string) {
		t.Helper()
		if status := s.call(t, "POST", "/api/v1/revocations", fmt.Sprintf(`{"user":%q}`, user), nil); status != http.StatusOK {
			t.Fatalf("revocation: HTTP %d", status)
		}
	}
	report := func(operation, value string, want int) {
		t.Helper()
		if status := s.call(t, "POST", "/api/v1/operations/"+operation+"/result", `{"result":"`+value+`"}`, nil); status != want {
			t.Errorf("reporting %s of %s: HTTP %d, want %d", value, operation, status, want)
		}
	}
	page := func(operation, id string) bool {
		t.Helper()
		conn := connects("visitor", adminTicket(t, s, `{"user":"visitor","operation":"`+operation+`"}`))
		ok, _ := newWaiter(t, conn).register(t, id)
		return ok
	}

	// By the right clock.
	unused, later, used := mint("ann"), mint("ann"), mint("bob")
	short := adminTicket(t, s, `{"user":"bob","ttl":1}`)
	revoked, revokedLater := mint("carol"), mint("dave")
	connects("bob", used)
	shortUsed := true
	if _, err := dial(t, s.url+"?ticket="+short, client.Options{}); err != nil { // the machine was too slow for it
		shortUsed = false
	}
	revoke("carol")
	decided, open := announce(t, s, "decided", `{}`), announce(t, s, "open", `{}`)
	announce(t, s, "ended", `{"ttl":1}`)
	report("decided", "CONFIRMED", http.StatusOK)
	if !page("open", open) {
		t.Fatal("the page may not wait")
	}
	brokertest.Eventually(t, "an operation of one second has ended", func() bool {
		return s.call(t, "GET", "/api/v1/operations/ended", "", nil) == http.StatusNotFound
	})

	// By the wrong one. A signed ticket of before is from the future for a clock
	// that is behind.
	s = s.restarted(t, rightClock+off)
	early := signed && off < 0
	dead("that was used", used)
	if shortUsed {
		dead("that was used and has expired", short)
	}
	dead("of who was revoked", revoked)
	if early {
		dead("from the future", unused)
	} else {
		connects("ann", unused)
		dead("that was used just now", unused)
	}
	revoke("dave")
	dead("of who was revoked by the wrong clock", revokedLater)
	report("decided", "CANCELED", http.StatusConflict)
	report("ended", "CONFIRMED", http.StatusNotFound)
	if !page("open", open) {
		t.Error("the page may not wait by the wrong clock")
	}
	if page("decided", open) {
		t.Error("a page takes another one's operation")
	}
	usedWrong, revokedWrong := mint("eve"), mint("frank")
	connects("eve", usedWrong)
	revoke("frank")
	report("open", "CONFIRMED", http.StatusOK)

	// By the right one again.
	s = s.restarted(t, rightClock)
	for what, ticket := range map[string]string{
		"that was used at first": used, "that was used by the wrong clock": usedWrong, "revoked at first": revoked,
		"revoked by the wrong clock": revokedLater, "minted and revoked by the wrong clock": revokedWrong,
	} {
		dead(what, ticket)
	}
	if !early {
		dead("that was used in between", unused)
	}
	connects("ann", later) // nothing has happened to it
	dead("that was used at last", later)
	connects("carol", mint("carol"))
	report("decided", "CANCELED", http.StatusConflict)
	report("open", "CANCELED", http.StatusConflict)
	if !page("decided", decided) {
		t.Error("the page of an operation that is decided does not get its result")
	}
}
