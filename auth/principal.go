package auth

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"
)

// Principal is who a session acts for. Spring's counterpart is java.security.Principal with its Authentication.
//
// A principal is read-only from the moment an [Authenticator] has returned it: the broker, its hooks and every
// rule read it from many goroutines at once without a lock. A renewed credential makes a new Principal.
// All methods may be called on a nil *Principal, which stands for nobody: it has no name, role, scope or claim.
type Principal struct {
	// Name is the user's name, the {name} of /user/{name}/** and CONNECTED's user-name. Empty means anonymous.
	// A name that is not empty satisfies [ValidName]; the broker refuses a principal whose name does not.
	Name string
	// Roles are what a [Rule] can ask for. Their order has no meaning.
	Roles []string
	// Claims are further facts about the user as the credential states them, for example those of a JWT as
	// encoding/json decodes them. [Rule.Claims] and the {claim.NAME} variable read them.
	Claims map[string]any
	// Expires is when the session must have been renewed or ends; the zero time means never.
	Expires time.Time
	// Issued is when the credential was issued; the zero time means that it is not known. Revoking a user refuses
	// what was issued before.
	Issued time.Time
	// CredentialID names the credential this principal was made from, so that it can be revoked by that name.
	// It is not secret: it is no credential, and none can be computed from it. Empty means not revocable alone.
	// It says which source it is from, so that no two sources ever choose the same.
	CredentialID string
	// Method names the kind of credential that was verified, for logs and lists of sessions: "ticket", "jwt",
	// "introspection", "userinfo", "oauth", "users", "webhook" or "anonymous" for the authenticators of Hoofbeat.
	// It grants nothing. Empty means that the authenticator did not say.
	Method string
	// Scopes are what the credential was issued for, as OAuth 2.0 means them; a [Rule] can ask for them.
	Scopes []string
	// Recheck says how the credential is looked at again while the session lives. Nil means that it is not: it
	// ends when it expires or is revoked here.
	Recheck *Recheck
	// Passcode says that the credential is the passcode of a person's account, by which she comes in again and again:
	// to log out ends the session and does not revoke CredentialID, which would lock her out. It is true for a ticket
	// that was made from such a principal as well. An [Authenticator] sets it when it has compared the passcode.
	Passcode bool
}

// Anonymous reports whether p is without a name: let in, but nobody in particular. A nil p is anonymous too.
func (p *Principal) Anonymous() bool { return p == nil || p.Name == "" }

// HasRole reports whether role is one of p's roles, compared byte by byte.
func (p *Principal) HasRole(role string) bool { return p != nil && slices.Contains(p.Roles, role) }

// HasScope reports whether scope is one of p's scopes, compared byte by byte.
func (p *Principal) HasScope(scope string) bool { return p != nil && slices.Contains(p.Scopes, scope) }

// Expired reports whether p's credential has run out at now. At the very instant of Expires it has.
func (p *Principal) Expired(now time.Time) bool {
	return p != nil && !p.Expires.IsZero() && !now.Before(p.Expires)
}

// Claim returns the claim of that name as text. Strings are returned as they are, booleans as true or false and
// whole numbers in decimal digits; a claim that is missing or of any other type gives "" and false.
func (p *Principal) Claim(name string) (string, bool) {
	if p == nil {
		return "", false
	}
	return claimText(p.Claims[name])
}

// HasClaim reports whether the claim of that name is value, or is a list that contains value. Items are compared
// as [Principal.Claim] writes them.
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

// legible reports whether the claim of that name, if there is one, is a text, a
// boolean, a whole number or a list of such: whatever HasClaim can compare.
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

// maxExact is the largest float64 below which every whole number is exact. A larger one may stand for several
// numbers, and an identity must not.
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
