//go:build unix

package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// S-7: a ticket lives for 300 s, or for what auth.tickets.ttl says, and not longer.
func TestS7TicketLifetime(t *testing.T) {
	t.Parallel()
	mint := func(s *server) (ticket string, left time.Duration) {
		var minted struct {
			Ticket  string
			Expires int64
		}
		if status := s.call(t, "POST", "/api/v1/tickets", `{"user":"ann"}`, &minted); status != http.StatusCreated {
			t.Fatalf("HTTP %d", status)
		}
		return minted.Ticket, time.Until(time.Unix(minted.Expires, 0))
	}
	for _, signed := range []string{"false", "true"} {
		env := []string{"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_AUTH_TICKETS_SIGNED=" + signed, "HOOFBEAT_ADMIN_TOKEN=" + testToken}
		if signed == "true" {
			env = append(env, "HOOFBEAT_AUTH_TICKETS_SECRET=secret-of-the-tickets-0123456789")
		}
		s := serve(t, env)
		ticket, left := mint(s)
		if left < 290*time.Second || left > 301*time.Second {
			t.Errorf("signed=%s: by default a ticket lives for %v", signed, left)
		}
		connectAs(t, "ann", s.url+"?ticket="+ticket, client.Options{})
		short := serve(t, append(env, "HOOFBEAT_AUTH_TICKETS_TTL=2s"))
		ticket, left = mint(short)
		if left > 3*time.Second {
			t.Errorf("signed=%s: with a ttl of 2 s it lives for %v", signed, left)
		}
		time.Sleep(left + 100*time.Millisecond) // of the binary's clock: there is no other way to let it pass
		refused(t, http.StatusUnauthorized, short.url+"?ticket="+ticket, client.Options{})
	}
}
