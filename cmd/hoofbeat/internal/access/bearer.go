package access

import (
	"cmp"
	"fmt"

	"github.com/hoofbeat/hoofbeat/auth/bearer"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// makeBearer creates the verifier for auth.jwt, auth.introspection and
// auth.userinfo.
func (a *Access) makeBearer(c *config.Config) error {
	if !c.Auth.Bearer() {
		return nil
	}
	o := bearer.Options{SharedNames: c.Auth.SharedNames, RecheckGrace: c.Auth.RecheckGrace, WrongTokens: c.Limits.AddressFailures}
	for _, j := range c.Auth.JWT {
		o.JWT = append(o.JWT, bearer.JWT{
			Issuer: j.Issuer, Audience: j.Audience, JWKS: j.JWKS, Algorithms: j.Algorithms, RequireType: j.RequireType, Leeway: cmp.Or(j.Leeway, -1),
			UserClaim: j.User, UserPrefix: j.UserPrefix, RolesClaim: j.Roles, Scopes: j.Scopes,
		})
	}
	for i, s := range c.Auth.Introspection {
		secret, err := s.ClientSecret.Read(item("auth.introspection", i, "client_secret"))
		if err != nil {
			return err
		}
		o.Introspection = append(o.Introspection, bearer.Introspection{
			URL: s.URL, ClientID: s.ClientID, ClientSecret: secret, Issuer: s.Issuer, Recheck: s.Recheck, Audience: s.Audience,
			UserClaim: s.User, UserPrefix: s.UserPrefix, RolesClaim: s.Roles, Scopes: s.Scopes,
		})
	}
	for _, u := range c.Auth.UserInfo {
		o.UserInfo = append(o.UserInfo, bearer.UserInfo{
			URL: u.URL, Issuer: u.Issuer, Recheck: u.Recheck, UserClaim: u.User, UserPrefix: u.UserPrefix, RolesClaim: u.Roles, Scopes: u.Scopes,
		})
	}
	v, err := bearer.New(o)
	if err != nil {
		return config.OptionError("auth.jwt, auth.introspection, auth.userinfo", err)
	}
	a.Bearer = v
	return nil
}

// item returns the key of an item of a list.
func item(list string, i int, key string) string { return fmt.Sprintf("%s[%d].%s", list, i, key) }
