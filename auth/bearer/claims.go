package bearer

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/internal/weight"
)

// Skew is the maximum difference between the clocks of a token's issuer and of
// this machine, unless [JWT.Leeway] changes it.
const Skew = 60 * time.Second

// rules are the conditions for the claims of a token, and the claims that make
// the principal.
type rules struct {
	issuer      string // required iss, unless empty; an endpoint's answer may omit iss
	audience    string // required in aud, unless empty
	user, roles string
	prefix      string // begins the name
	scopes      []string
	leeway      time.Duration // maximum clock difference
	// selfMade reports that the claims are the token's own and must include
	// iss, sub and exp.
	selfMade bool
}

func newRules(user, prefix, roles string, scopes []string) rules {
	if roles == "" {
		roles = "roles"
	}
	return rules{leeway: Skew, user: userClaim(user), prefix: prefix, roles: roles, scopes: slices.Clone(scopes)}
}

// userClaim returns the claim named by a UserClaim option, or its default.
func userClaim(option string) string {
	if option == "" {
		return "sub"
	}
	return option
}

// principal validates claims at the time now and returns their principal. It
// does not check the required scopes.
func (r *rules) principal(claims map[string]any, now time.Time) (*auth.Principal, error) {
	if iss := claims["iss"]; r.issuer != "" && iss != r.issuer && (r.selfMade || iss != nil) {
		return nil, errIssuer
	}
	if r.audience != "" && !slices.Contains(texts(claims["aud"]), r.audience) {
		return nil, errAudience
	}
	if sub, ok := claims["sub"].(string); r.selfMade && (!ok || sub == "") {
		return nil, errSubject
	}
	if err := checkUse(claims); err != nil {
		return nil, err
	}
	expires, issued, err := r.times(claims, now)
	if err != nil {
		return nil, err
	}
	name := r.nameIn(claims)
	if name == "" {
		return nil, errName
	}
	if r.user == "email" && !isTrue(claims["email_verified"]) {
		return nil, errEmail
	}
	claim, found := find(claims, r.roles)
	roles, ok := textList(claim)
	if !found || !ok {
		return nil, errRoles
	}
	scopes, ok := scopesOf(claims)
	if !ok {
		return nil, errScopes
	}
	p := auth.Foreign(auth.Principal{
		Name:    name,
		Roles:   roles,
		Claims:  claims,
		Expires: expires,
		Issued:  issued,
		Scopes:  scopes,
	})
	if weigh(p) > weight.MaxClaims {
		return nil, errWeight
	}
	return p, nil
}

// nameIn returns the user's name with its prefix, or "" if it is missing or
// invalid.
func (r *rules) nameIn(claims map[string]any) string {
	claim, _ := find(claims, r.user)
	name, _ := claim.(string)
	if auth.ValidName(name) != nil || auth.ValidName(r.prefix+name) != nil {
		return ""
	}
	return r.prefix + name
}

// granted returns nil if p has all required scopes.
func (r *rules) granted(p *auth.Principal) error {
	for _, s := range r.scopes {
		if !p.HasScope(s) {
			return insufficient(r.scopes, p.Name)
		}
	}
	return nil
}

// times validates exp, nbf and iat. A token and its principal expire at exp
// plus the leeway.
func (r *rules) times(claims map[string]any, now time.Time) (expires, issued time.Time, err error) {
	exp, okExp := instant(claims["exp"])
	nbf, okNbf := instant(claims["nbf"])
	iat, okIat := instant(claims["iat"])
	switch {
	case !okExp || !okNbf || !okIat || r.selfMade && exp.IsZero():
		return expires, issued, errTime
	case !exp.IsZero() && !now.Before(exp.Add(r.leeway)):
		return expires, issued, errExpired
	case now.Add(r.leeway).Before(nbf), now.Add(r.leeway).Before(iat):
		return expires, issued, errNotYet
	}
	if !exp.IsZero() {
		expires = exp.Add(r.leeway)
	}
	if iat.After(now) { // at most by the leeway, but a token must not escape a revocation until then
		iat = now
	}
	return expires, iat, nil
}

// checkUse rejects claims that identify another kind of token than an access
// token, or a token that is bound to a key.
func checkUse(claims map[string]any) error {
	if claims["cnf"] != nil {
		return errBound // RFC 9449 section 7.2, RFC 8705 section 3
	}
	switch use, _ := claims["token_use"].(string); use { // Amazon Cognito, Ory Hydra
	case "", "access", "access_token":
	default:
		return errUse
	}
	switch typ, _ := claims["typ"].(string); typ { // Keycloak
	case "ID", "Refresh", "Offline", "Logout":
		return errUse
	}
	return nil
}

// looksLikeID reports whether claims are those of an ID token or of another
// statement to a client about a login. They have a claim that only such tokens
// have, or their only audience is the client they were issued to and they have
// no scope.
func looksLikeID(claims map[string]any) bool {
	for _, mark := range []string{"nonce", "at_hash", "c_hash", "s_hash", "events"} {
		if claims[mark] != nil {
			return true
		}
	}
	audience := texts(claims["aud"])
	return len(audience) == 1 && claims["azp"] == audience[0] && claims["scope"] == nil && claims["scp"] == nil
}

// find returns the claim with that name; if there is none, it follows the name
// as a dotted path, and returns nil if the path leads nowhere. It returns false
// if the path leads through a claim that is not an object.
func find(claims map[string]any, name string) (claim any, ok bool) {
	if v, ok := claims[name]; ok {
		return v, true
	}
	for {
		step, rest, more := strings.Cut(name, ".")
		next := claims[step]
		if !more || next == nil {
			return next, true
		}
		if claims, ok = next.(map[string]any); !ok {
			return nil, false
		}
		name = rest
	}
}

// textList returns a claim that is a text or a list of texts as a list, and nil
// for a missing claim. It returns false for any other claim: with a role or
// scope left out, a rule that denies by it would not apply.
func textList(claim any) (items []string, ok bool) {
	items = texts(claim)
	switch v := claim.(type) {
	case nil, string:
		return items, true
	case []any:
		return items, len(items) == len(v)
	}
	return nil, false
}

// texts returns a claim that is a text or a list of texts as a list. It omits
// other items.
func texts(claim any) []string {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case []any:
		list := make([]string, 0, len(v))
		for _, item := range v {
			if s, ok := item.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}

// scopesOf returns the scopes of the claim scope (RFC 8693 section 4.2), or of
// scp, which other servers use. Both may be a text with spaces or a list.
func scopesOf(claims map[string]any) (scopes []string, ok bool) {
	claim, ok := claims["scope"]
	if !ok {
		claim = claims["scp"]
	}
	if s, ok := claim.(string); ok {
		return strings.Fields(s), true
	}
	return textList(claim)
}

// maxSeconds is the end of the year 9999, the last year with four digits.
const maxSeconds = 253402300799

// instant returns the time of a NumericDate (RFC 7519 section 2), the zero time
// for a missing claim, and false for any other claim.
func instant(claim any) (time.Time, bool) {
	if claim == nil {
		return time.Time{}, true
	}
	seconds, ok := claim.(float64)
	if !ok || !(seconds >= 0 && seconds <= maxSeconds) {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// isTrue reports whether a claim is true. Some servers write it as a text.
func isTrue(claim any) bool { return claim == true || claim == "true" }
