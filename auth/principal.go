package auth

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"
)

// Principal is the identity of a session. Spring's counterpart is
// java.security.Principal with its Authentication.
//
// A principal is read-only once an [Authenticator] has returned it: the broker,
// its hooks and the rules read it from many goroutines without a lock. A
// renewed credential makes a new Principal. All methods accept a nil
// *Principal, which has no name, role, scope or claim.
type Principal struct {
	// Name is the user's name: the {name} of /user/{name}/** and CONNECTED's
	// user-name. Empty means anonymous. A name that is not empty must satisfy
	// [ValidName]; otherwise the broker rejects the principal.
	Name string
	// Roles are compared with [Rule].Roles. Their order has no meaning.
	Roles []string
	// Claims are further facts about the user from the credential, for example
	// the claims of a JWT as encoding/json decodes them. [Rule.Claims] and the
	// {claim.NAME} variable read them.
	Claims map[string]any
	// Expires is when the session ends unless it is renewed. The zero time
	// means never.
	Expires time.Time
	// Issued is when the credential was issued; the zero time means unknown.
	// Revoking a user rejects credentials that were issued before the
	// revocation.
	Issued time.Time
	// CredentialID identifies the credential that this principal was made from,
	// so that it can be revoked by id. It is not secret: it is not a
	// credential, and none can be computed from it. Empty means that the
	// credential cannot be revoked by itself. The id includes its source, so
	// that two sources never choose the same id.
	CredentialID string
	// Method names the kind of credential that was verified, for logs and lists
	// of sessions. The authenticators of Hoofbeat set "ticket", "jwt",
	// "introspection", "userinfo", "oauth", "users", "webhook" or "anonymous".
	// It grants nothing. Empty means that the authenticator did not set it.
	Method string
	// Scopes are the credential's scopes in the sense of OAuth 2.0. A [Rule]
	// can require them.
	Scopes []string
	// Recheck says how to check the credential again while the session lives.
	// Nil means no recheck: the session ends when the credential expires or is
	// revoked at this broker.
	Recheck *Recheck
	// Passcode reports that the credential is a reusable passcode of a user
	// account. A logout then ends the session without revoking CredentialID,
	// which would lock the user out. It is also true for a ticket made from
	// such a principal. An [Authenticator] sets it after it has verified a
	// passcode; where the handshake has a cookie or another credential besides,
	// the broker forgives earlier wrong passcodes of a login only then.
	Passcode bool
}

// Anonymous reports whether p has no name. A nil p is anonymous too.
func (p *Principal) Anonymous() bool { return p == nil || p.Name == "" }

// HasRole reports whether role is one of p's roles. It compares bytes.
func (p *Principal) HasRole(role string) bool { return p != nil && slices.Contains(p.Roles, role) }

// HasScope reports whether scope is one of p's scopes. It compares bytes.
func (p *Principal) HasScope(scope string) bool { return p != nil && slices.Contains(p.Scopes, scope) }

// Expired reports whether p's credential has expired at now. At the instant of
// Expires it has.
func (p *Principal) Expired(now time.Time) bool {
	return p != nil && !p.Expires.IsZero() && !now.Before(p.Expires)
}

// Claim returns the named claim as text: strings unchanged, booleans as true or
// false, whole numbers in decimal digits. For a missing claim or any other type
// it returns "" and false.
func (p *Principal) Claim(name string) (string, bool) {
	if p == nil {
		return "", false
	}
	return claimText(p.Claims[name])
}

// HasClaim reports whether the named claim equals value or is a list that
// contains value. It compares the texts that [Principal.Claim] returns.
func (p *Principal) HasClaim(name, value string) bool {
	if p == nil {
		return false
	}
	switch claim := p.Claims[name].(type) {
	case []string:
		return slices.Contains(claim, value)
	case []any:
		return slices.ContainsFunc(claim, func(item any) bool {
			text, ok := claimText(item)
			return ok && text == value
		})
	default:
		text, ok := claimText(claim)
		return ok && text == value
	}
}

// legible reports whether HasClaim can compare the named claim: it is missing,
// or a text, a boolean, a whole number or a list of these.
func (p *Principal) legible(name string) bool {
	if p == nil {
		return true
	}
	switch claim := p.Claims[name].(type) {
	case nil, []string:
		return true
	case []any:
		return !slices.ContainsFunc(claim, func(item any) bool { _, ok := claimText(item); return !ok })
	default:
		_, ok := claimText(claim)
		return ok
	}
}

// maxExact is the limit below which every whole number has an exact float64. A
// larger float64 may stand for several numbers, which is not acceptable for an
// identity.
const maxExact = 1 << 53

func claimText(claim any) (string, bool) {
	switch v := claim.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		if v != math.Trunc(v) || math.Abs(v) >= maxExact {
			return "", false
		}
		return strconv.FormatInt(int64(v), 10), true
	case json.Number:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			return "", false
		}
		return strconv.FormatInt(n, 10), true
	default:
		return "", false
	}
}
