package bearer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth"
)

// NameSpaces returns the user names that each element of the options can give,
// for [auth.CheckNames].
func (v *Verifier) NameSpaces() []auth.NameSpace { return slices.Clone(v.names) }

func (o *Options) nameSpaces() []auth.NameSpace {
	var all []auth.NameSpace
	add := func(list string, i int, issuer, claim, prefix string) {
		all = append(all, auth.NameSpace{
			Source: fmt.Sprintf("bearer.Options.%s[%d]", list, i), Issuer: issuer, Claim: userClaim(claim), Prefix: prefix,
		})
	}
	for i, j := range o.JWT {
		add("JWT", i, j.Issuer, j.UserClaim, j.UserPrefix)
	}
	for i, s := range o.Introspection {
		add("Introspection", i, s.Issuer, s.UserClaim, s.UserPrefix)
	}
	for i, u := range o.UserInfo {
		add("UserInfo", i, u.Issuer, u.UserClaim, u.UserPrefix)
	}
	return all
}

// inIssuer escapes an issuer so that its end in a CredentialID is recognisable.
var inIssuer = strings.NewReplacer("%", "%25", "#", "%23")

// CredentialID returns the [auth.Principal.CredentialID] of a JWT with a jti.
// Use it to revoke the JWT. Two issuers may use the same jti, and a jti may be
// any text, so the id is "jwt:", the issuer with % and # escaped as %25 and
// %23, "#", and the jti:
//
//	jwt:https://login.example.com/realms/main#4f1c0e7a
func CredentialID(issuer, jti string) string { return "jwt:" + inIssuer.Replace(issuer) + "#" + jti }
