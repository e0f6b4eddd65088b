package auth

import (
	"slices"
	"strings"
)

// Foreign returns a copy of p for a credential that somebody other than this
// broker issued: an access token, a login at a provider, the answer of a
// backend. Such an issuer must not be able to grant the roles and scopes that
// have a meaning to Hoofbeat itself, whether by accident or on purpose. Foreign
// therefore removes the role [RoleBackend] and every scope that begins with
// "operation:" (see ticket.Grant.Operation), and keeps everything else. It does
// not change the lists of p.
//
// Every authenticator of this module that reads a foreign credential uses
// Foreign. Use it in your own [Authenticator] when it takes roles or scopes
// from a token or another service. Mint of package auth/ticket does not use it:
// its caller decides.
func Foreign(p Principal) *Principal {
	p.Roles = without(p.Roles, reservedRole)
	p.Scopes = without(p.Scopes, reservedScope)
	return &p
}

// reservedRole reports whether the role has a meaning to Hoofbeat itself.
func reservedRole(role string) bool { return role == RoleBackend }

// reservedScope reports whether the scope has a meaning to Hoofbeat itself.
func reservedScope(scope string) bool { return strings.HasPrefix(scope, OperationScope) }

// without returns list without the reserved entries. It copies list only if
// there are any.
func without(list []string, reserved func(string) bool) []string {
	if !slices.ContainsFunc(list, reserved) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), reserved)
}
