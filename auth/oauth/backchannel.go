package oauth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	maxLogoutToken = 64 << 10         // bytes of a back-channel logout request
	logoutAge      = 5 * time.Minute  // maximum age of a logout token
	clockSkew      = time.Minute      // maximum lead of a provider's clock over ours
	replayMemory   = 10 * time.Minute // more than logoutAge and clockSkew
	maxReplays     = 10_000
	maxIDBytes     = 1 << 10 // bytes of a provider's id for a user, session or token
)

// BackchannelLogout is the endpoint through which a provider reports that a
// user has signed out: POST logout_token= (OpenID Connect Back-Channel Logout
// 1.0). It ends the sessions that began at the provider, calls
// [Options.OnLogout] for each so that its sockets are closed, and deletes the
// tokens unless they were granted for offline access. A logout token is valid
// once, for 5 minutes.
func (c *Client) BackchannelLogout(w http.ResponseWriter, r *http.Request) {
	secureHeaders(w.Header())
	r.Body = http.MaxBytesReader(w, r.Body, maxLogoutToken)
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || err != nil || media != "application/x-www-form-urlencoded" || r.ParseForm() != nil {
		refuseLogout(w, http.StatusBadRequest)
		return
	}
	tokens := r.PostForm["logout_token"]
	if len(tokens) != 1 {
		refuseLogout(w, http.StatusBadRequest)
		return
	}
	p, t, err := c.verifyLogout(r.Context(), tokens[0])
	if err != nil {
		c.warn(r, "back-channel logout failed", err)
		refuseLogout(w, http.StatusBadRequest)
		return
	}
	if err := c.endAt(r.Context(), p, t); err != nil {
		c.logoutIDs.forget(p.Name, t.TokenID) // the provider may repeat it
		c.warn(r, "back-channel logout failed", err)
		refuseLogout(w, http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// refuseLogout sends the error answer of section 2.8.
func refuseLogout(w http.ResponseWriter, status int) {
	code := "invalid_request"
	if status == http.StatusInternalServerError {
		code = "server_error"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"error\":%q}\n", code)
}

var (
	errLogoutIssuer = errors.New("the logout token's issuer is not a configured provider")
	errLogoutEvent  = errors.New("the logout token's event is not an object")
	errLogoutAge    = errors.New("the logout token is older than 5m, from the future or without iat")
	errLogoutReplay = errors.New("the logout token has been used")
	errLogoutLong   = errors.New("the logout token's jti, sid or sub is longer than 1024 bytes")
)

// verifyLogout validates a logout token according to section 2.6. It reads the
// issuer before verification to choose the keys.
func (c *Client) verifyLogout(ctx context.Context, raw string) (*provider, *oidc.LogoutToken, error) {
	issuer := unverifiedIssuer(raw)
	failed := errLogoutIssuer
	for _, p := range c.providers {
		if !p.oidc() || p.Issuer != issuer {
			continue
		}
		t, err := p.verifyLogout(ctx, raw)
		if err == nil && !c.logoutIDs.first(p.Name, t.TokenID) {
			err = errLogoutReplay
		}
		if err == nil {
			return p, t, nil
		}
		failed = p.failed("logout", err)
	}
	return nil, nil, failed
}

func (p *provider) verifyLogout(ctx context.Context, raw string) (*oidc.LogoutToken, error) {
	m, err := p.source.get(ctx)
	if err != nil {
		return nil, err
	}
	t, err := m.logouts.VerifyLogout(ctx, raw) // signature, iss, aud, exp, jti, event, sub or sid, and no nonce
	if err != nil {
		return nil, errors.New(shorten(err.Error()))
	}
	var claims struct {
		Events map[string]json.RawMessage `json:"events"`
	}
	if err := t.Claims(&claims); err != nil {
		return nil, errMalformedReply
	}
	event := claims.Events["http://schemas.openid.net/event/backchannel-logout"]
	now := time.Now()
	switch {
	case !bytes.HasPrefix(bytes.TrimSpace(event), []byte("{")):
		return nil, errLogoutEvent
	case t.IssuedAt.Before(now.Add(-logoutAge)) || t.IssuedAt.After(now.Add(clockSkew)):
		return nil, errLogoutAge
	case max(len(t.TokenID), len(t.SessionID), len(t.Subject)) > maxIDBytes:
		return nil, errLogoutLong
	}
	return t, nil
}

// unverifiedIssuer returns the iss of a JWT, or "" if raw is not a JWT.
func unverifiedIssuer(raw string) string {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

// endAt ends the sessions that a logout token names, and deletes the provider's
// tokens of users without another session there.
func (c *Client) endAt(ctx context.Context, p *provider, t *oidc.LogoutToken) error {
	ended := c.sessions.endAt(p.Name, t.SessionID, t.Subject, t.IssuedAt)
	var users []string
	mark := markOf(p.Name, t.SessionID, t.Subject)
	errs := []error{c.markLogout(ctx, mark.provider, mark.sid, mark.subject, t.IssuedAt), c.finish(ctx, ended...)}
	for _, s := range ended {
		if slices.Contains(users, s.user) || c.sessions.has(s.user, p.Name) {
			continue
		}
		users = append(users, s.user)
		errs = append(errs, c.update(ctx, Key{s.user, p.Name}, func(old *Token) *Token {
			if old != nil && old.offline() {
				return old
			}
			return nil
		}))
	}
	return errors.Join(errs...)
}

// replays remembers used logout tokens.
type replays struct {
	mu   sync.Mutex
	seen *aging[[2]string, struct{}]
}

func newReplays() *replays {
	return &replays{seen: newAging[[2]string, struct{}](replayMemory, maxReplays)}
}

// forget makes a provider's token id new again.
func (r *replays) forget(provider, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen.remove([2]string{provider, id})
}

// first reports whether this is the first use of a provider's token id.
func (r *replays) first(provider, id string) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	key := [2]string{provider, id}
	if _, ok := r.seen.get(key, now); ok {
		return false
	}
	r.seen.put(key, struct{}{}, now)
	return true
}
