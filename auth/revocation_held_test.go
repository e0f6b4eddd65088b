package auth

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// A ticket is single-use, so its revocation need not outlive the tickets minted
// with it.
func TestRevokedTicketIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewRevocations()
		revoke := func(credential string) {
			if err := s.Revoke(t.Context(), Revocation{Credential: credential}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 1000 {
			revoke(fmt.Sprint("ticket:", i))
		}
		revoke("token")
		p, token := &Principal{CredentialID: "ticket:1"}, &Principal{CredentialID: "token"}
		time.Sleep(RevocationMemory - time.Second)
		if !s.Revoked(p) || !s.Revoked(token) {
			t.Error("it is forgotten while a ticket can live")
		}
		time.Sleep(2 * time.Second)
		if s.Revoked(p) || !s.Revoked(token) {
			t.Errorf("after an hour the ticket is revoked: %v, and what has no end: %v", s.Revoked(p), s.Revoked(token))
		}
		for i := range 2000 {
			revoke(fmt.Sprint("ticket:again", i))
		}
		if n := s.credentials.Len(); n > 2001 {
			t.Errorf("%d revocations are kept, want at most 2,001", n)
		}
	})
}

// However many credentials without expiry are revoked, and however long their
// ids are, the memory is bounded, and revocations that end first are forgotten
// first.
func TestRevocationsAreBounded(t *testing.T) {
	s := NewRevocations()
	before := testkit.Heap()
	soon := Revocation{Credential: "soon", Until: time.Now().Add(2 * RevocationMemory)}
	if err := s.Revoke(t.Context(), soon); err != nil {
		t.Fatal(err)
	}
	if !s.Revoked(&Principal{CredentialID: "soon"}) {
		t.Error("what was just revoked is not")
	}
	last := ""
	for i := range MaxRevocations + 5000 {
		last = fmt.Sprint(strings.Repeat("x", 500), i)
		if err := s.Revoke(t.Context(), Revocation{Credential: last}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.credentials.Len(); n > MaxRevocations || n < MaxRevocations/2 {
		t.Errorf("%d are kept, want at most %d", n, MaxRevocations)
	}
	if s.Revoked(&Principal{CredentialID: "soon"}) {
		t.Error("what ends first is not forgotten first")
	}
	if held := testkit.Heap() - before; held > MaxRevocations*200 {
		t.Errorf("%d bytes are held, want at most %d", held, MaxRevocations*200)
	}
	runtime.KeepAlive(s)
}
