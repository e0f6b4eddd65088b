package ticket

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/auth"
)

// signedPrefix is the version of the signed form.
const signedPrefix = "v1."

// minNonceBytes is the minimum length of the nonce, which makes each ticket
// unique.
const minNonceBytes = 16

// signatureLength is that of an HMAC-SHA-256 in base64.
const signatureLength = 43

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
	Source     string         `json:"source,omitempty"`   // where Epoch was counted
	Epoch      uint64         `json:"epoch,omitempty"`    // of the user
}

func (m *signedTicket) created() time.Time { return time.Unix(0, m.Created) }

func (m *signedTicket) expires() time.Time { return time.Unix(m.Expires, 0) }

func (m *signedTicket) principal() *auth.Principal {
	return &auth.Principal{
		Name: m.User, Roles: m.Roles, Claims: m.Claims, Expires: m.Until, Issued: m.Issued,
		CredentialID: m.Credential, Scopes: m.Scopes, Method: "ticket", Passcode: m.Passcode,
	}
}

func (t *Issuer) mintSigned(p *auth.Principal, origin string, expires time.Time, epoch uint64) (Ticket, error) {
	if !utf8.ValidString(p.CredentialID) {
		// JSON would change the id, and revocations would no longer match it.
		return Ticket{}, ErrContent
	}
	m := signedTicket{
		Nonce: make([]byte, 32), Created: auth.Now().UnixNano(), Expires: expires.Unix(), Origin: origin,
		User: p.Name, Roles: p.Roles, Scopes: p.Scopes, Claims: p.Claims, Issued: p.Issued.UTC(), Until: p.Expires.UTC(),
		Passcode: p.Passcode, Source: t.revocations.Source(), Epoch: epoch,
	}
	if p.Recheck != nil { // a signed ticket cannot carry it
		if end := p.Recheck.Unchecked().UTC(); m.Until.IsZero() || end.Before(m.Until) {
			m.Until = end
		}
	}
	rand.Read(m.Nonce) // never fails
	nameAfter(p, sha256.Sum256(m.Nonce))
	m.Credential = p.CredentialID
	payload, err := json.Marshal(&m)
	if err != nil {
		return Ticket{}, ErrContent
	}
	key := &t.secrets[0]
	text := signedPrefix + key.id + "." + base64.RawURLEncoding.EncodeToString(payload)
	text += "." + key.mac(text)
	if len(text) > MaxBytes {
		return Ticket{}, ErrContent
	}
	return Ticket{Value: text, Expires: expires}, nil
}

func signer(key []byte) func(text string) string {
	return func(text string) string {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		var signature [signatureLength]byte
		base64.RawURLEncoding.Encode(signature[:], h.Sum(nil))
		return string(signature[:])
	}
}

func (t *Issuer) consumeSigned(ctx context.Context, value string, origin *string) (*auth.Principal, error) {
	m, cause := t.verify(value)
	if cause != 0 {
		return nil, &Error{Cause: cause}
	}
	if end := m.created().Add(t.ttl + time.Second - 1).Unix(); end < m.Expires {
		// The signer cannot exceed the broker's limit.
		m.Expires = end
	}
	if err := t.awaitCreation(ctx, m); err != nil {
		return nil, err
	}
	use := Use{Key: sha256.Sum256(m.Nonce), Created: m.created(), Expires: m.expires()}
	ctx, cancel := t.patience(ctx)
	defer cancel()
	if err := t.store.Spend(ctx, use, t.limits); err != nil {
		return nil, rejected(err, m.User)
	}
	p := m.principal()
	cause = t.verdict(p, m.expires(), m.Origin, origin)
	switch {
	case auth.Now().Before(m.created()): // the clock was set back meanwhile
		cause = FromFuture
	case t.outdated(m):
		cause = Revoked
	}
	if cause != 0 {
		return nil, &Error{cause, m.User}
	}
	return p, nil
}

// outdated reports whether the user's credentials have changed since a ticket
// was signed. A ticket whose signer counts epochs elsewhere, or not at all, has
// only a time, by a clock that may be ahead of ours by MaxAhead.
func (t *Issuer) outdated(m *signedTicket) bool {
	if m.Source == t.revocations.Source() {
		return t.revocations.Outdated(m.User, m.Epoch)
	}
	began := t.revocations.EpochBegan(m.User)
	return !began.IsZero() && !m.created().After(began.Add(MaxAhead))
}

// awaitCreation waits for a ticket that was created a little in the future, by
// a clock ahead of ours. No ticket is accepted before its creation time.
// Otherwise the next process, which accepts tickets created after its start,
// could accept a ticket again that this process has accepted, and a revocation
// could miss a ticket that was already used.
func (t *Issuer) awaitCreation(ctx context.Context, m *signedTicket) error {
	for {
		ahead := m.created().Sub(auth.Now())
		switch {
		case ahead <= 0:
			return nil
		case ahead > MaxAhead:
			return &Error{FromFuture, m.User}
		}
		patience := time.NewTimer(ahead)
		select {
		case <-patience.C:
		case <-ctx.Done():
			patience.Stop()
			return ctx.Err()
		}
	}
}

// verify checks the signature first, so that it never decodes untrusted text.
func (t *Issuer) verify(value string) (*signedTicket, Cause) {
	end := strings.LastIndexByte(value, '.')
	rest, ok := strings.CutPrefix(value, signedPrefix)
	if !ok || len(value) > MaxBytes || end < len(signedPrefix) {
		return nil, Malformed
	}
	id, _, _ := strings.Cut(rest, ".")
	i := slices.IndexFunc(t.secrets, func(s secret) bool { return s.id == id })
	if i < 0 || !sameSignature(value[end+1:], t.secrets[i].mac(value[:end])) {
		return nil, WrongSignature
	}
	_, encoded, _ := strings.Cut(value[len(signedPrefix):end], ".")
	payload, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil, Malformed
	}
	m := new(signedTicket)
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber() // keep large numbers in claims exact
	if d.Decode(m) != nil || !m.sound() {
		return nil, Malformed
	}
	return m, 0
}

// sameSignature compares in constant time, without allocating.
func sameSignature(a, b string) bool {
	var x, y [signatureLength]byte
	if len(a) != len(x) || len(b) != len(y) {
		return false
	}
	copy(x[:], a)
	copy(y[:], b)
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// sound reports whether a correctly signed ticket also follows the rules.
func (m *signedTicket) sound() bool {
	life := m.expires().Sub(m.created())
	return len(m.Nonce) >= minNonceBytes && life <= MaxTTL+time.Second &&
		(m.User == "" && slices.Contains(m.Roles, auth.RoleBackend) || auth.ValidName(m.User) == nil)
}
