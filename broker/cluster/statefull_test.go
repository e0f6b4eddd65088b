package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// What is full says which limit that is, its value and the key, instead of what
// the engine says.
func TestAFullStateNamesItsLimit(t *testing.T) {
	s := startEngine(t).state(StateOptions{Bytes: 64 << 10})
	long := strings.Repeat("x", 200)
	tickets := issuer(t, s, ticket.Options{})
	for what, add := range map[string]func(i int) error{
		"tickets take all of their 16384 bytes": func(i int) error {
			_, err := tickets.Mint(t.Context(), ticket.Grant{Principal: &auth.Principal{Name: fmt.Sprint(i, long)}})
			return err
		},
		"operations and logins take all of their 32768 bytes": func(i int) error {
			return s.Operations().Create(t.Context(), &webflow.Record{WebSocketID: fmt.Sprint(i, long), Expires: time.Now().Add(time.Hour).UnixNano()})
		},
		"revocations take all of their 16384 bytes": func(i int) error {
			return s.Revocations().Revoke(t.Context(), auth.Revocation{User: fmt.Sprint(i, long)})
		},
	} {
		var err error
		for i := 0; i < 1000 && err == nil; i++ {
			err = add(i)
		}
		full, ok := errors.AsType[*auth.Refusal](err)
		if want := "store-full: " + what + ", which are a part of store.disk"; !ok || full.Error() != want || full.Key != "store.disk" || full.StatusCode() != 503 {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
