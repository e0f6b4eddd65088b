package ticket

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// sign makes a ticket as another program with the secret would.
func sign(t testing.TB, s Secret, m any) string {
	t.Helper()
	payload, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	text := "v1." + s.ID + "." + base64.RawURLEncoding.EncodeToString(payload)
	return text + "." + signer(s.Key)(text)
}

func TestSignedTicketFromAnotherProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tickets := mustTickets(t, newState(), Options{Signed: true, Secrets: []Secret{key('a')}})
		pass(time.Hour)
		now := time.Now()
		nonce := make([]byte, minNonceBytes)
		good := func() *signedTicket {
			nonce[0]++
			return &signedTicket{
				Nonce: append([]byte(nil), nonce...), Created: now.UnixNano(), Expires: now.Unix() + 300, User: "alice",
			}
		}
		for _, c := range []struct {
			name   string
			change func(m *signedTicket)
			want   string
		}{
			{"good", func(*signedTicket) {}, "alice"},
			{"S-7 in the future", func(m *signedTicket) { m.Created += int64(MaxAhead) + 1 }, "created in the future"},
			{"older than the store", func(m *signedTicket) { m.Created -= int64(time.Hour) + 1; m.Expires = now.Unix() }, "older than this process"},
			{"lives too long", func(m *signedTicket) { m.Expires += 3600 }, "malformed"},
			{"lives for ever", func(m *signedTicket) { m.Expires = 1 << 60 }, "malformed"},
			{"short nonce", func(m *signedTicket) { m.Nonce = m.Nonce[1:] }, "malformed"},
			{"illegal name", func(m *signedTicket) { m.User = "a\nb" }, "malformed"},
			{"nobody", func(m *signedTicket) { m.User = "" }, "malformed"},
			{"a backend", func(m *signedTicket) { m.User, m.Roles = "", []string{auth.RoleBackend} }, ""},
			{"expired", func(m *signedTicket) { m.Expires = now.Unix() }, "expired"},
		} {
			m := good()
			c.change(m)
			if got := consumed(t, tickets, sign(t, key('a'), m), ""); got != c.want {
				t.Errorf("%s: %s", c.name, got)
			}
		}
		for name, text := range map[string]string{
			"another key":    sign(t, Secret{ID: "ka", Key: key('b').Key}, good()),
			"another key ID": sign(t, key('b'), good()),
		} {
			if got := consumed(t, tickets, text, ""); got != wrongSignature {
				t.Errorf("%s: %s", name, got)
			}
		}
		for name, text := range map[string]string{
			"no JSON object": sign(t, key('a'), []int{1}),
			"no base64":      func() string { s := "v1.ka.!!!"; return s + "." + signer(key('a').Key)(s) }(),
			"no payload":     func() string { s := "v1.ka"; return s + "." + signer(key('a').Key)(s) }(),
			"other version":  strings.Replace(sign(t, key('a'), good()), "v1", "v2", 1),
		} {
			if got := consumed(t, tickets, text, ""); got != "malformed" {
				t.Errorf("%s: %s", name, got)
			}
		}
	})
}

// A nonce identifies a ticket, whatever else differs.
func TestSignedTicketNonceIsSpentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tickets := mustTickets(t, newState(), Options{Signed: true, Secrets: []Secret{key('a'), key('b')}})
		m := &signedTicket{Nonce: make([]byte, 32), Created: time.Now().UnixNano(), Expires: time.Now().Unix() + 100, User: "alice"}
		if got := consumed(t, tickets, sign(t, key('a'), m), ""); got != "alice" {
			t.Fatal(got)
		}
		m.User = "bob"
		if got := consumed(t, tickets, sign(t, key('b'), m), ""); got != "used before" {
			t.Error(got)
		}
	})
}

func TestSignedTicketNoByteCanBeChanged(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{Signed: true, Secrets: []Secret{key('a')}})
	value := mint(t, tickets, user("alice")).Value
	for i := range value {
		for _, c := range []byte{value[i] ^ 1, 'A', '.', '\n'} {
			if c == value[i] {
				continue
			}
			if got := consumed(t, tickets, value[:i]+string(c)+value[i+1:], ""); got != "malformed" && got != wrongSignature {
				t.Fatalf("byte %d: %s", i, got)
			}
		}
		if got := consumed(t, tickets, value[:i], ""); got != "malformed" && got != wrongSignature {
			t.Fatalf("%d bytes: %s", i, got)
		}
	}
	if got := consumed(t, tickets, value, ""); got != "alice" {
		t.Error(got)
	}
}

// wrongSignature is the log's text for a ticket that another secret signed or
// that was changed.
const wrongSignature = "its signature is wrong, or made with a secret that is not known here"

func TestSignedTicketKeyRotation(t *testing.T) {
	store, a, b := newState(), key('a'), key('b')
	with := func(secrets ...Secret) *Issuer {
		return mustTickets(t, store, Options{Signed: true, Secrets: secrets})
	}
	before, both, after := with(a), with(b, a), with(b)
	if got := consumed(t, both, mint(t, before, user("alice")).Value, ""); got != "alice" {
		t.Errorf("the old key: %s", got)
	}
	fresh := mint(t, both, user("alice")).Value
	if !strings.HasPrefix(fresh, "v1.kb.") {
		t.Errorf("signed by %.6s", fresh)
	}
	if got := consumed(t, before, fresh, ""); got != wrongSignature {
		t.Errorf("before the rotation: %s", got)
	}
	if got := consumed(t, after, fresh, ""); got != "alice" {
		t.Errorf("the new key: %s", got)
	}
	if got := consumed(t, after, mint(t, before, user("alice")).Value, ""); got != wrongSignature {
		t.Errorf("the withdrawn key: %s", got)
	}
}

func TestFormsAreNotMixed(t *testing.T) {
	store := newState()
	opaque := mustTickets(t, store, Options{Secrets: []Secret{key('a')}})
	signed := mustTickets(t, store, Options{Secrets: []Secret{key('a')}, Signed: true})
	if got := consumed(t, opaque, mint(t, signed, user("alice")).Value, ""); got != "malformed" {
		t.Error(got)
	}
	if got := consumed(t, signed, mint(t, opaque, user("alice")).Value, ""); got != "malformed" {
		t.Error(got)
	}
}

func TestSignedTicketHasALimit(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{Signed: true, Secrets: []Secret{key('a')}})
	for name, p := range map[string]*auth.Principal{
		"long":             {Name: "alice", Claims: map[string]any{"c": strings.Repeat("x", 3000)}},
		"no JSON":          {Name: "alice", Claims: map[string]any{"c": func() {}}},
		"no such year":     {Name: "alice", Expires: time.Unix(1<<40, 0)},
		"credential id":    {Name: "alice", CredentialID: "\xff"},
		"many, many roles": {Name: "alice", Roles: make([]string, 2000)},
	} {
		if ticket, err := tickets.Mint(t.Context(), Grant{Principal: p}); err != ErrContent || ticket.Value != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := &auth.Principal{Name: strings.Repeat("n", auth.MaxNameBytes), Claims: map[string]any{"c": strings.Repeat("x", 1000)}}
	if got := consumed(t, tickets, mint(t, tickets, Grant{Principal: p}).Value, ""); got != p.Name {
		t.Error("a long one does not work")
	}
}

// A ticket is accepted only once, even if its signer's clock is ahead and the
// process restarts in between: it is not accepted before its creation time.
func TestSignedTicketAheadIsNotTakenAgainAfterARestart(t *testing.T) {
	for _, ahead := range []time.Duration{0, 1, time.Millisecond, MaxAhead, MaxAhead + 1, 20 * time.Second, auth.MaxClockSkew} {
		synctest.Test(t, func(t *testing.T) {
			o := Options{Signed: true, Secrets: []Secret{key('a')}}
			before := mustTickets(t, newState(), o)
			pass(time.Minute)
			now := time.Now()
			m := &signedTicket{Nonce: make([]byte, 16), Created: now.Add(ahead).UnixNano(), Expires: now.Unix() + 100, User: "alice"}
			want := "alice"
			if ahead > MaxAhead {
				want = "created in the future"
			}
			if got := consumed(t, before, sign(t, key('a'), m), ""); got != want {
				t.Errorf("%v ahead: %s, want %s", ahead, got, want)
			}
			pass(1)
			after := mustTickets(t, newState(), o)
			if got := consumed(t, after, sign(t, key('a'), m), ""); want == "alice" && got != "older than this process" {
				t.Errorf("%v ahead, after a restart: %s", ahead, got)
			}
		})
	}
}

// While Consume waits for a ticket's creation time, the user can be revoked,
// and the client can leave.
func TestSignedTicketAheadIsRevocable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newState()
		tickets := mustTickets(t, store, Options{Signed: true, Secrets: []Secret{key('a')}})
		pass(time.Minute)
		now := time.Now()
		m := &signedTicket{Nonce: make([]byte, 16), Created: now.Add(500 * time.Millisecond).UnixNano(), Expires: now.Unix() + 100, User: "alice"}
		text := sign(t, key('a'), m)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := tickets.Consume(ctx, text, ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without patience: %v", err)
		}
		time.Sleep(450 * time.Millisecond)
		bump(t, store.revocations, "alice")
		if got := consumed(t, tickets, text, ""); got != "revoked" {
			t.Errorf("after the revocation: %s", got)
		}
	})
}

// The broker's TTL also limits tickets that others sign.
func TestSignedTicketLivesNoLongerThanTheTTL(t *testing.T) {
	for _, c := range []struct {
		says, age time.Duration
		want      string
	}{
		{time.Hour, 4 * time.Minute, "alice"}, {time.Hour, 330 * time.Second, "expired"}, {time.Hour, 5*time.Minute + time.Second, "expired"},
		{time.Minute, 59 * time.Second, "alice"}, {time.Minute, time.Minute, "expired"},
	} {
		synctest.Test(t, func(t *testing.T) {
			tickets := mustTickets(t, newState(), Options{Signed: true, Secrets: []Secret{key('a')}, TTL: 5 * time.Minute})
			pass(time.Second)
			now := time.Now()
			m := &signedTicket{Nonce: make([]byte, 16), Created: now.UnixNano(), Expires: now.Add(c.says).Unix(), User: "alice"}
			pass(c.age)
			if got := consumed(t, tickets, sign(t, key('a'), m), ""); got != c.want {
				t.Errorf("says %v, %v old: %s, want %s", c.says, c.age, got, c.want)
			}
		})
	}
}

func TestMintBackendFor(t *testing.T) {
	bothForms(t, Options{Secrets: []Secret{key('a')}}, func(t *testing.T, tickets *Issuer) {
		ticket, err := tickets.MintBackendFor(t.Context(), "@admin", Grant{Principal: &auth.Principal{Name: "mallory"}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := tickets.Consume(t.Context(), ticket.Value, "")
		if err != nil || !p.Anonymous() || !p.HasRole(auth.RoleBackend) || p.CredentialID != "backend:@admin" {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// A signed ticket cannot carry a auth.Recheck, so its session ends after Grace.
func TestSignedTicketOfACredentialToRecheck(t *testing.T) {
	store := newState()
	now := time.Now()
	recheck := func(grace time.Duration) *auth.Recheck {
		return &auth.Recheck{Every: time.Minute, Grace: grace, Asked: now, Check: func(context.Context, time.Duration) error { return nil }}
	}
	for _, signed := range []bool{true, false} {
		o := Options{Signed: signed}
		if signed {
			o.Secrets = []Secret{{ID: "main", Key: make([]byte, auth.MinSecretBytes)}}
		}
		tickets, err := New(store.memory, store.revocations, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			p    auth.Principal
			want time.Time
		}{
			{auth.Principal{Recheck: recheck(10 * time.Minute)}, now.Add(10 * time.Minute)},
			{auth.Principal{Recheck: recheck(0)}, now.Add(MaxTTL)},
			{auth.Principal{Recheck: recheck(10 * time.Minute), Expires: now.Add(8 * time.Minute)}, now.Add(8 * time.Minute)},
			{auth.Principal{Recheck: recheck(10 * time.Minute), Expires: now.Add(time.Hour)}, now.Add(10 * time.Minute)},
			{auth.Principal{}, time.Time{}},
		} {
			c.p.Name = "alice"
			ticket, err := tickets.Mint(t.Context(), Grant{Principal: &c.p})
			if err != nil {
				t.Fatal(err)
			}
			p, err := tickets.Consume(t.Context(), ticket.Value, "")
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case signed && (!p.Expires.Equal(c.want) || p.Recheck != nil):
				t.Errorf("%+v: expires %v, want %v", c.p, p.Expires, c.want)
			case !signed && (!p.Expires.Equal(c.p.Expires) || p.Recheck != c.p.Recheck):
				t.Errorf("%+v: became %+v", c.p, p)
			}
		}
	}
}

// The log can name the user of a rejected ticket, if the name is proven.
func TestTicketErrorSaysWhose(t *testing.T) {
	store := newState()
	opaque := mustTickets(t, store, Options{Secrets: []Secret{key('a')}})
	signed := mustTickets(t, store, Options{Secrets: []Secret{key('a')}, Signed: true})
	backend, err := opaque.MintBackend(t.Context(), string(key('a').Key), Grant{})
	if err != nil {
		t.Fatal(err)
	}
	used := func(tickets *Issuer, value string) string {
		if _, err := tickets.Consume(t.Context(), value, ""); err != nil {
			t.Fatal(err)
		}
		return value
	}
	for name, c := range map[string]struct {
		tickets     *Issuer
		value, want string
	}{
		"used":            {opaque, used(opaque, mint(t, opaque, user("alice")).Value), "alice"},
		"used, signed":    {signed, used(signed, mint(t, signed, user("alice")).Value), "alice"},
		"used, backend":   {opaque, used(opaque, backend.Value), ""},
		"invented":        {opaque, strings.Repeat("A", 43), ""},
		"wrong signature": {signed, sign(t, Secret{ID: "ka", Key: key('b').Key}, &signedTicket{User: "alice"}), ""},
	} {
		var e *Error
		if _, err := c.tickets.Consume(t.Context(), c.value, ""); !errors.As(err, &e) || e.Whose() != c.want {
			t.Errorf("%s: %v, of %q, want %q", name, err, e.Whose(), c.want)
		}
	}
}
