package auth

import (
	"slices"
	"strings"
)

// Foreign returns the principal that a credential of somebody else than this broker makes: an access token, a login at
// a provider, the answer of a backend. Whoever issues such a credential does not know which roles and scopes mean
// something to Hoofbeat itself, and must not be able to grant them by accident or on purpose. So Foreign leaves out the
// role [RoleBackend] and every scope that begins with "operation:" (see [Grant].Operation). Everything else stays as it
// is. The lists of p are not changed. Every authenticator of this module that reads
// somebody else's credential makes its principals with Foreign; an [Authenticator] of a program that passes on what a
// token or another service says should do the same. [Tickets.Mint] does not: who calls it decides.
func Foreign(p Principal) *Principal {
	p.Roles = without(p.Roles, reservedRole)
	p.Scopes = without(p.Scopes, reservedScope)
	return &p
}

// reservedRole reports whether Hoofbeat itself gives the role a meaning.
func reservedRole(role string) bool { return role == RoleBackend }

// reservedScope reports whether Hoofbeat itself gives the scope a meaning.
func reservedScope(scope string) bool { return strings.HasPrefix(scope, operationScope) }

// without returns list without the texts that are reserved. It copies only if there are any.
func without(list []string, reserved func(string) bool) []string {
	if !slices.ContainsFunc(list, reserved) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), reserved)
}
