package bearer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Verifier is an [auth.Authenticator] for bearer tokens. It is safe for concurrent use. Verified JSON Web Tokens are
// not remembered; answers of endpoints are, and what is in their principals is shared by all who present the token.
//
// Requests to issuers and endpoints run in goroutines of their own, shared by all who wait for them, which end
// within 5 s. There is nothing to close.
type Verifier struct {
	issuers   map[string]*issuer
	endpoints []*endpoint
	names     []auth.NameSpace
}

var (
	_ auth.Authenticator = (*Verifier)(nil)
	_ auth.NameSource    = (*Verifier)(nil)
)

// New returns a Verifier. It makes no request: keys are fetched for the first token that needs them, so a broker
// starts although its identity provider is down. The error names the option that is wrong.
func New(o Options) (*Verifier, error) {
	if len(o.JWT)+len(o.Introspection)+len(o.UserInfo) == 0 {
		return nil, errors.New("bearer: one of JWT, Introspection and UserInfo is required")
	}
	now := o.Clock
	if now == nil {
		now = time.Now
	}
	size := o.CacheSize
	if size == 0 {
		size = DefaultCacheSize
	}
	client := newClient(o.Client)
	v := &Verifier{issuers: make(map[string]*issuer, len(o.JWT)), names: o.nameSpaces()}
	for n := range o.JWT {
		i, err := newIssuer(&o.JWT[n], client, now)
		if err == nil && v.issuers[i.rules.issuer] != nil {
			err = field("Issuer", errors.New("listed twice"))
		}
		if err != nil {
			return nil, fmt.Errorf("bearer: JWT[%d].%w", n, err)
		}
		v.issuers[i.rules.issuer] = i
	}
	for n, option := range o.Introspection {
		e, err := newIntrospection(option, client, now, size)
		e.remind(option.Recheck, o.RecheckGrace)
		if err != nil {
			return nil, fmt.Errorf("bearer: Introspection[%d].%w", n, err)
		}
		v.endpoints = append(v.endpoints, e)
	}
	for n, option := range o.UserInfo {
		e, err := newUserInfo(option, client, now, size)
		e.remind(option.Recheck, o.RecheckGrace)
		if err != nil {
			return nil, fmt.Errorf("bearer: UserInfo[%d].%w", n, err)
		}
		v.endpoints = append(v.endpoints, e)
	}
	if err := auth.CheckNames(v.names...); err != nil && !o.SharedNames {
		return nil, err
	}
	return v, nil
}

// Authenticate verifies the bearer token of an attempt, at every stage. Without one it is [auth.ErrNotMine], and
// whoever answers the request adds the challenge "Bearer" if nobody else lets the client in.
//
// A token is bound to its user: one that names another user than the handshake, the session or the login does is
// refused, even if it is good.
func (v *Verifier) Authenticate(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Bearer == "" {
		return nil, auth.ErrNotMine
	}
	p, err := v.Verify(auth.WithRemote(ctx, a.Remote.Addr()), a.Bearer)
	if err != nil {
		return nil, err
	}
	if a.Principal != nil && a.Principal.Name != p.Name || a.Login != "" && a.Login != p.Name {
		return nil, &auth.Refusal{
			Status: http.StatusUnauthorized,
			Reason: "the access token is another user's than the one of this connection",
		}
	}
	return p, nil
}

// Verify returns the principal of a token. An error is an [*Error] with an [*auth.Refusal] in it, and no token is
// ever accepted because a server did not answer. The principal is read-only; its Expires is the leeway after the token's
// exp, and zero if an endpoint does not say how long the token lives.
//
// A token in the form of a signed JWT whose iss is in [Options.JWT] is verified by that issuer's rules, and nobody
// else is asked. All other tokens are for the endpoints, if there are any. Requests to these are shared out among the
// networks that the tokens come from, which [auth.WithRemote] says.
func (v *Verifier) Verify(ctx context.Context, token string) (*auth.Principal, error) {
	if token == "" {
		return nil, missing()
	}
	if err := checkSyntax(token); err != nil {
		return nil, invalid(err)
	}
	if len(v.issuers) > 0 {
		if i := v.issuers[claimedIssuer(token)]; i != nil {
			return i.verify(ctx, token)
		}
	}
	return v.ask(ctx, token)
}

// ask asks one endpoint after the other until one knows the token, be it for too small a scope. A token is only
// invalid if all of them say so.
func (v *Verifier) ask(ctx context.Context, token string) (*auth.Principal, error) {
	if len(v.endpoints) == 0 {
		return nil, invalid(errUnknown)
	}
	var refusal, down error
	for _, e := range v.endpoints {
		p, err := e.verify(ctx, token)
		switch {
		case err == nil, errors.Is(err, ErrScope):
			return p, err
		case errors.Is(err, ErrUnavailable):
			down = err
		default:
			refusal = err
		}
	}
	if down != nil {
		return nil, down
	}
	return nil, refusal
}
