package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// signedPrefix is the version of the signed form.
const signedPrefix = "v1."

// minNonceBytes is the minimum length of the nonce, which makes each ticket
// unique.
const minNonceBytes = 16

// signedTicket is the payload of a signed ticket: base64url of this as JSON.
// The signature covers the text before the last dot.
type signedTicket struct {
	Nonce      []byte         `json:"nonce"`   // base64 of at least 16 random bytes
	Created    int64          `json:"created"` // nanoseconds since 1970
	Expires    int64          `json:"expires"` // seconds since 1970
	Origin     string         `json:"origin,omitempty"`
	User       string         `json:"user,omitempty"`
	Roles      []string       `json:"roles,omitempty"`
	Scopes     []string       `json:"scopes,omitempty"`
	Claims     map[string]any `json:"claims,omitempty"`
	Issued     time.Time      `json:"issued,omitzero"`
	Until      time.Time      `json:"until,omitzero"` // when the credential expires
	Credential string         `json:"credential,omitempty"`
	Passcode   bool           `json:"passcode,omitempty"` // Principal.Passcode
}

func (m *signedTicket) created() time.Time { return time.Unix(0, m.Created) }

func (m *signedTicket) expires() time.Time { return time.Unix(m.Expires, 0) }

func (m *signedTicket) principal() *Principal {
	return &Principal{
		Name: m.User, Roles: m.Roles, Claims: m.Claims, Expires: m.Until, Issued: m.Issued,
		CredentialID: m.Credential, Scopes: m.Scopes, Method: "ticket", Passcode: m.Passcode,
	}
}

func (t *Tickets) mintSigned(p *Principal, origin string, expires time.Time, since int64) (Ticket, error) {
	if !utf8.ValidString(p.CredentialID) {
		// JSON would change the id, and revocations would no longer match it.
		return Ticket{}, ErrTicketContent
	}
	created, err := t.store.date(p, since)
	if err != nil {
		return Ticket{}, err
	}
	m := signedTicket{
		Nonce: make([]byte, 32), Created: created, Expires: expires.Unix(), Origin: origin,
		User: p.Name, Roles: p.Roles, Scopes: p.Scopes, Claims: p.Claims, Issued: p.Issued.UTC(), Until: p.Expires.UTC(),
		Passcode: p.Passcode,
	}
	if p.Recheck != nil { // a signed ticket cannot carry it
		if end := p.Recheck.unchecked().UTC(); m.Until.IsZero() || end.Before(m.Until) {
			m.Until = end
		}
	}
	rand.Read(m.Nonce) // never fails
	p.nameAfter(sha256.Sum256(m.Nonce))
	m.Credential = p.CredentialID
	payload, err := json.Marshal(&m)
	if err != nil {
		return Ticket{}, ErrTicketContent
	}
	key := &t.secrets[0]
	text := signedPrefix + key.id + "." + base64.RawURLEncoding.EncodeToString(payload)
	text += "." + key.mac(text)
	if len(text) > MaxTicketBytes {
		return Ticket{}, ErrTicketContent
	}
	return Ticket{Value: text, Expires: expires}, nil
}

func signer(key []byte) func(text string) string {
	return func(text string) string {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
	}
}

func (t *Tickets) consumeSigned(ctx context.Context, value string, origin *string) (*Principal, error) {
	m, cause := t.verify(value)
	if cause != 0 {
		return nil, &TicketError{Cause: cause}
	}
	if end := m.created().Add(t.ttl + time.Second - 1).Unix(); end < m.Expires {
		// The signer cannot exceed the broker's limit.
		m.Expires = end
	}
	if err := t.awaitCreation(ctx, m); err != nil {
		return nil, err
	}
	if cause := t.store.spend(sha256.Sum256(m.Nonce), m, origin, t.outstanding); cause != 0 {
		return nil, &TicketError{cause, m.User}
	}
	return m.principal(), nil
}

// awaitCreation waits for a ticket that was created a little in the future, by
// a clock ahead of ours. No ticket is accepted before its creation time.
// Otherwise the next process, which accepts tickets created after its start,
// could accept a ticket again that this process has accepted, and a revocation
// could miss a ticket that was already used.
func (t *Tickets) awaitCreation(ctx context.Context, m *signedTicket) error {
	ahead := t.store.ahead(m.Created)
	switch {
	case ahead <= 0:
		return nil
	case ahead > MaxTicketAhead:
		return &TicketError{TicketFromFuture, m.User}
	}
	patience := time.NewTimer(ahead)
	defer patience.Stop()
	select {
	case <-patience.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// verify checks the signature first, so that it never decodes untrusted text.
func (t *Tickets) verify(value string) (*signedTicket, TicketCause) {
	end := strings.LastIndexByte(value, '.')
	rest, ok := strings.CutPrefix(value, signedPrefix)
	if !ok || len(value) > MaxTicketBytes || end < len(signedPrefix) {
		return nil, TicketMalformed
	}
	id, _, _ := strings.Cut(rest, ".")
	i := slices.IndexFunc(t.secrets, func(s secret) bool { return s.id == id })
	if i < 0 || !hmac.Equal([]byte(value[end+1:]), []byte(t.secrets[i].mac(value[:end]))) {
		return nil, TicketWrongSignature
	}
	_, encoded, _ := strings.Cut(value[len(signedPrefix):end], ".")
	payload, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil, TicketMalformed
	}
	m := new(signedTicket)
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber() // keep large numbers in claims exact
	if d.Decode(m) != nil || !m.sound() {
		return nil, TicketMalformed
	}
	return m, 0
}

// sound reports whether a correctly signed ticket also follows the rules.
func (m *signedTicket) sound() bool {
	life := m.expires().Sub(m.created())
	return len(m.Nonce) >= minNonceBytes && life <= MaxTicketTTL+time.Second &&
		(m.User == "" && slices.Contains(m.Roles, RoleBackend) || ValidName(m.User) == nil)
}
