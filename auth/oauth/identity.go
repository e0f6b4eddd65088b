package oauth

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// identity is the signed-in user, as reported by the provider.
type identity struct {
	user    string // the principal's name
	subject string // the provider's sub
	sid     string // the session at the provider, if the provider names it
	issued  time.Time
	roles   []string
	claims  map[string]any
}

// Errors of a login. They are logged but not shown to the user.
var (
	errNoIDToken  = errors.New("the reply has no id_token")
	errNonce      = errors.New("the ID token is for another login")
	errParty      = errors.New("the ID token was issued to another client")
	errNoClaim    = errors.New("the user claim is missing or neither text nor a whole number")
	errUnverified = errors.New("the e-mail address is not verified")
	errSubject    = errors.New("ID token and userinfo are about different users")
	errLongID     = errors.New("the sub or sid is longer than 1024 bytes")
	errRoles      = errors.New("the roles are malformed, more than 128 or longer than 256 bytes")
	errClaims     = errors.New("the claims to keep are longer than 4096 bytes")
)

// identify returns the user of the tokens in r.
func (p *provider) identify(ctx context.Context, client *http.Client, m *metadata, r *reply, l *login) (*identity, error) {
	id := &identity{issued: time.Now()}
	var claims map[string]any
	var err error
	if p.oidc() {
		if claims, err = p.verifyIDToken(ctx, m, r, l.nonce, id); err != nil {
			return nil, err
		}
	}
	if p.needsUserInfo(m, claims, l.localUser != "") {
		if claims, err = p.userInfo(ctx, client, m, r.access, claims); err != nil {
			return nil, err
		}
	}
	id.subject, _ = claims["sub"].(string)
	if max(len(id.subject), len(id.sid)) > maxIDBytes {
		return nil, errLongID
	}
	if id.user = l.localUser; id.user == "" {
		if id.user, err = p.userName(claims); err != nil {
			return nil, err
		}
	}
	if err := auth.ValidName(id.user); err != nil {
		return nil, err
	}
	if id.roles, err = p.rolesOf(claims); err != nil {
		return nil, err
	}
	id.claims, err = p.keptClaims(claims)
	return id, err
}

// verifyIDToken validates the ID token according to OpenID Connect Core section
// 3.1.3.7 and returns its claims.
func (p *provider) verifyIDToken(ctx context.Context, m *metadata, r *reply, nonce string, id *identity) (map[string]any, error) {
	if r.idToken == "" {
		return nil, errNoIDToken
	}
	token, err := m.verifier.Verify(ctx, r.idToken) // signature, iss, aud, exp and nbf
	if err != nil {
		return nil, fmt.Errorf("the ID token is not valid: %s", shorten(err.Error()))
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1 {
		return nil, errNonce
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(r.access); err != nil {
			return nil, errors.New("the ID token is not for this access token")
		}
	}
	var raw json.RawMessage
	if err := token.Claims(&raw); err != nil {
		return nil, errMalformedReply
	}
	var claims map[string]any
	if err := decode(bytes.NewReader(raw), &claims); err != nil {
		return nil, err
	}
	party, named := claims["azp"].(string)
	if named && party != p.ClientID || !named && len(token.Audience) > 1 {
		return nil, errParty
	}
	if token.Subject == "" {
		return nil, errNoClaim
	}
	id.issued = token.IssuedAt
	id.sid, _ = claims["sid"].(string)
	return claims, nil
}

// needsUserInfo reports whether to query the userinfo endpoint: there is no ID
// token, or it lacks configured claims, which some providers return only there.
func (p *provider) needsUserInfo(m *metadata, claims map[string]any, local bool) bool {
	if m.userinfo == "" {
		return !local && claims == nil
	}
	if !local && lookup(claims, p.userClaim()) == nil {
		return true
	}
	if p.RolesClaim != "" && lookup(claims, p.RolesClaim) == nil {
		return true
	}
	return slices.ContainsFunc(p.Claims, func(name string) bool { return claims[name] == nil })
}

// userInfo adds the claims of the userinfo endpoint to claims. The claims of
// the ID token take precedence.
func (p *provider) userInfo(ctx context.Context, client *http.Client, m *metadata, access string, claims map[string]any) (map[string]any, error) {
	if m.userinfo == "" {
		return nil, errors.New("there is neither an ID token nor a userinfo endpoint")
	}
	var more map[string]any
	if err := p.getJSON(ctx, client, "userinfo", m.userinfo, access, &more); err != nil {
		return nil, err
	}
	if more == nil {
		return nil, errMalformedReply
	}
	if claims != nil && more["sub"] != claims["sub"] {
		return nil, errSubject
	}
	for name, value := range claims {
		more[name] = value
	}
	return more, nil
}

func (p *provider) userName(claims map[string]any) (string, error) {
	if p.userClaim() == "email" && claims["email_verified"] != true {
		return "", errUnverified
	}
	switch value := lookup(claims, p.userClaim()).(type) {
	case string:
		if value != "" {
			return p.UserPrefix + value, nil
		}
	case json.Number:
		if n, err := value.Int64(); err == nil {
			return fmt.Sprintf("%s%d", p.UserPrefix, n), nil
		}
	}
	return "", errNoClaim
}

// rolesOf returns all roles or an error: with a role missing, a rule that
// denies by role would not apply.
func (p *provider) rolesOf(claims map[string]any) ([]string, error) {
	if p.RolesClaim == "" {
		return nil, nil
	}
	var roles []string
	switch value := lookup(claims, p.RolesClaim).(type) {
	case nil:
	case string:
		roles = strings.Fields(value)
		for i := range roles[:min(len(roles), maxRoles)] {
			roles[i] = strings.Clone(roles[i]) // without the space between them
		}
	case []any:
		for _, item := range value {
			role, ok := item.(string)
			if !ok {
				return nil, errRoles
			}
			roles = append(roles, role)
		}
	default:
		return nil, errRoles
	}
	if len(roles) > maxRoles || slices.ContainsFunc(roles, func(r string) bool { return len(r) > maxRoleBytes }) {
		return nil, errRoles
	}
	return roles, nil
}

func (p *provider) keptClaims(claims map[string]any) (map[string]any, error) {
	kept := make(map[string]any, len(p.Claims))
	for _, name := range p.Claims {
		if value := claims[name]; value != nil {
			kept[name] = value
		}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return nil, errMalformedReply
	}
	if len(text) > maxClaimBytes {
		return nil, errClaims
	}
	return kept, nil
}

// lookup returns the claim with that name; if there is none, it follows the
// dotted name into nested objects. It returns nil for a missing claim.
func lookup(claims map[string]any, name string) any {
	if value, ok := claims[name]; ok {
		return value
	}
	first, rest, dotted := strings.Cut(name, ".")
	if !dotted {
		return nil
	}
	inner, ok := claims[first].(map[string]any)
	if !ok {
		return nil
	}
	return lookup(inner, rest)
}

// shorten limits the length of a text that quotes a provider.
func shorten(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
