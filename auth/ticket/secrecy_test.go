package ticket

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
)

// T-12: printing any value of the package, in any way, shows no ticket and no
// key.
func TestT12NothingShowsATicket(t *testing.T) {
	secret := Secret{ID: "id", Key: []byte("correct-horse-battery-staple-0123456789")}
	for _, signed := range []bool{false, true} {
		store := newState()
		o := Options{Signed: signed, Secrets: []Secret{secret}}
		tickets := mustTickets(t, store, o)
		grant := Grant{Principal: &auth.Principal{Name: "alice"}, Origin: app, Operation: "op"}
		ticket := mint(t, tickets, grant)
		h := mustHandler(t, tickets, HandlerOptions{Bearer: bearers})
		a := attempt(auth.StageRenew, ticket.Value, "")
		a.Bearer, a.Passcode = ticket.Value, ticket.Value

		_, wrongOrigin := tickets.Consume(t.Context(), ticket.Value, evil)
		_, used := tickets.Authenticate(t.Context(), a)
		_, malformed := tickets.Consume(t.Context(), ticket.Value+"x", evil)
		_, wrongSecret := tickets.MintBackend(t.Context(), string(secret.Key)+"x", Grant{})
		for _, err := range []error{wrongOrigin, used, malformed, wrongSecret} {
			if err == nil {
				t.Fatal("no error")
			}
		}
		var refusal *auth.Refusal
		errors.As(used, &refusal)
		live := mint(t, tickets, grant)

		var out bytes.Buffer
		loggers := []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))}
		for _, v := range []any{
			ticket, &ticket, []Ticket{live}, struct{ T Ticket }{live}, map[string]Ticket{"t": live},
			secret, &secret, o, &o, tickets, store, grant, &grant, a, *a, h, live,
			wrongOrigin, used, malformed, wrongSecret, refusal, *refusal,
		} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				fmt.Fprintf(&out, verb+"\n", v)
			}
			if text, err := json.Marshal(v); err == nil { // an auth.Attempt has none
				out.Write(text)
			}
			for _, l := range loggers {
				l.Info("x", "value", v)
			}
		}
		for _, hidden := range []string{ticket.Value, live.Value, string(secret.Key)} {
			for form, text := range map[string]string{
				"itself":  hidden,
				"hex":     hex.EncodeToString([]byte(hidden[:8])),
				"HEX":     fmt.Sprintf("%X", hidden[:8]),
				"base64":  base64.StdEncoding.EncodeToString([]byte(hidden[:9])),
				"bytes":   strings.Trim(fmt.Sprint([]byte(hidden[:8])), "[]"),
				"Go":      strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(hidden[:8])), "[]byte{"), "}"),
				"its end": hidden[len(hidden)-10:],
			} {
				if strings.Contains(out.String(), text) {
					t.Errorf("signed=%v: there is a %.6s… as %s", signed, hidden, form)
				}
			}
		}
		if n := strings.Count(out.String(), "secret id"); n < 10 {
			t.Errorf("only %d secrets were printed", n)
		}
	}
}

// T-9: the contents of the Store cannot be presented as tickets.
func TestT9StoreKeepsHashesOnly(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{})
	value := mint(t, tickets, user("alice")).Value
	raw, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	for key, e := range memoryOf(tickets).entries {
		if text := fmt.Sprintf("%+v %+v %s", *e, *e.Principal, key[:]); strings.Contains(text, value) || strings.Contains(text, string(raw)) || bytes.Equal(key[:], raw) {
			t.Errorf("the store has the ticket: %s", text)
		}
		if id := e.Principal.CredentialID; id != "ticket:"+hex.EncodeToString(key[:16]) {
			t.Errorf("credential id %q", id)
		}
	}
}

func TestTicketCausesHaveNames(t *testing.T) {
	seen := make(map[string]bool)
	for c := Malformed; c <= WrongSignature; c++ {
		if seen[c.String()] || strings.Contains(c.String(), "Cause") || c.String() == "" {
			t.Errorf("%d: %v", c, c)
		}
		seen[c.String()] = true
	}
	if got := fmt.Sprint(Cause(0), WrongSignature+1, auth.StageRenew); got != "Cause(0) Cause(12) renew" {
		t.Error(got)
	}
}
