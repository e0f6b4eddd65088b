package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

const (
	maxTokenBytes = 64 << 10           // bytes of one token
	maxScopeBytes = 4 << 10            // bytes of all scopes
	maxLifetime   = 10 * 8760 * 3600.0 // seconds; longer lifetimes are cut to ten years
)

var (
	errNoAccessToken = errors.New("the reply has no access_token, or one that cannot be sent in a header")
	errTokenType     = errors.New("the reply's token_type is not bearer")
)

// reply is a token endpoint's answer (RFC 6749 section 5.1).
type reply struct {
	access, refresh, idToken string
	scopes                   []string      // nil if not in the reply
	lifetime                 time.Duration // 0 if not in the reply
}

// parseReply accepts the variations of providers: token_type in any case or
// missing, and expires_in as a number or as text. Everything but access_token
// is optional.
func parseReply(body []byte) (*reply, error) {
	var wire struct {
		Access   string          `json:"access_token"`
		Type     string          `json:"token_type"`
		Refresh  string          `json:"refresh_token"`
		ID       string          `json:"id_token"`
		Lifetime json.RawMessage `json:"expires_in"`
		Scope    string          `json:"scope"`
	}
	if err := decode(bytes.NewReader(body), &wire); err != nil {
		return nil, err
	}
	if wire.Type != "" && !strings.EqualFold(wire.Type, "bearer") {
		return nil, errTokenType
	}
	if wire.Access == "" || !sendable(wire.Access) {
		return nil, errNoAccessToken
	}
	if len(wire.Refresh) > maxTokenBytes || len(wire.ID) > maxTokenBytes || len(wire.Scope) > maxScopeBytes {
		return nil, errMalformedReply
	}
	lifetime, err := parseLifetime(wire.Lifetime)
	if err != nil {
		return nil, err
	}
	r := &reply{access: wire.Access, refresh: wire.Refresh, idToken: wire.ID, lifetime: lifetime}
	if fields := strings.Fields(wire.Scope); len(fields) > 0 {
		r.scopes = fields
	}
	return r, nil
}

// sendable reports whether a token consists of visible ASCII, according to RFC
// 6749 appendix A.12.
func sendable(token string) bool {
	if len(token) > maxTokenBytes {
		return false
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return true
}

// parseLifetime parses expires_in. It returns 0 for a missing, zero or negative
// lifetime.
func parseLifetime(raw json.RawMessage) (time.Duration, error) {
	text := strings.TrimSpace(strings.Trim(string(raw), `"`))
	if text == "" || text == "null" {
		return 0, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds != seconds {
		return 0, errMalformedReply
	}
	return time.Duration(max(0, min(seconds, maxLifetime)) * float64(time.Second)), nil
}

// token returns the Token to store for r, which was requested at asked, for the
// provider's subject.
func (r *reply) token(asked time.Time, subject string, scopes []string) *Token {
	t := &Token{Access: r.access, Refresh: r.refresh, Subject: subject, Scopes: scopes}
	if r.scopes != nil {
		t.Scopes = r.scopes
	}
	if r.lifetime > 0 {
		t.Expires = asked.Add(r.lifetime)
	}
	return t
}
