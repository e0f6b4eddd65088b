package users

import (
	"errors"
	"net/http"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Beside a ticket, the passcode of a handshake is not checked, because the
// broker does not count the attempt.
func TestNoPasscodeBesideATicket(t *testing.T) {
	hash, err := Hash("one", MinCost)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New([]User{{Name: "ann", Hash: hash}})
	if err != nil {
		t.Fatal(err)
	}
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth("ann", "one")
	a := &auth.Attempt{Stage: auth.StageHandshake, Header: r.Header.Get, Handshake: &auth.Handshake{Header: r.Header}}
	if p, err := s.Authenticate(t.Context(), a); err != nil || p.Name != "ann" || !p.Passcode {
		t.Errorf("Basic: %+v, %v", p, err)
	}
	a.Ticket = "t"
	if p, err := s.Authenticate(t.Context(), a); !errors.Is(err, auth.ErrNotMine) {
		t.Errorf("beside a ticket: %+v, %v", p, err)
	}
}
