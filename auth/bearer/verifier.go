package bearer

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Verifier is an [auth.Authenticator] for bearer tokens. It is safe for
// concurrent use. It does not cache verified JSON Web Tokens. It caches the
// answers of endpoints, and all clients that present a token share the contents
// of its principal.
//
// Requests to issuers and endpoints run in goroutines of their own, which end
// within 5 s and are shared by all waiting callers. There is nothing to close.
type Verifier struct {
	issuers   map[string]*issuer
	endpoints []*endpoint
	pace      *pace // of all endpoints
	names     []auth.NameSpace
}

var (
	_ auth.Authenticator = (*Verifier)(nil)
	_ auth.NameSource    = (*Verifier)(nil)
)

// New returns a Verifier. It makes no request: keys are fetched for the first
// token that needs them, so a broker starts even if its identity provider is
// down. The error names the invalid option.
func New(o Options) (*Verifier, error) {
	if len(o.JWT)+len(o.Introspection)+len(o.UserInfo) == 0 {
		return nil, &auth.OptionError{Of: "bearer: Options", Field: "JWT", Err: errors.New("is empty, and so are the endpoints: one of them is required")}
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
			err = field("Issuer", errors.New("is listed twice"))
		}
		if err != nil {
			return nil, inItem("JWT", n, err)
		}
		v.issuers[i.rules.issuer] = i
	}
	for n, option := range o.Introspection {
		e, err := newIntrospection(option, client, now, size)
		e.remind(option.Recheck, o.RecheckGrace)
		if err != nil {
			return nil, inItem("Introspection", n, err)
		}
		v.endpoints = append(v.endpoints, e)
	}
	for n, option := range o.UserInfo {
		e, err := newUserInfo(option, client, now, size)
		e.remind(option.Recheck, o.RecheckGrace)
		if err != nil {
			return nil, inItem("UserInfo", n, err)
		}
		v.endpoints = append(v.endpoints, e)
	}
	v.pace = newPace(o.WrongTokens)
	for _, e := range v.endpoints {
		e.pace = v.pace
	}
	if err := auth.CheckNames(v.names...); err != nil && !o.SharedNames {
		return nil, err
	}
	return v, nil
}

// SetWrongTokens changes [Options].WrongTokens. The counts stay.
func (v *Verifier) SetWrongTokens(n int) { v.pace.set(n) }

// Authenticate verifies the bearer token of an attempt, at every stage. Without
// a token it returns [auth.ErrNotMine]; the caller adds the challenge "Bearer"
// if no other Authenticator accepts the client.
//
// A token is bound to its user: a valid token that names another user than the
// handshake, the session or the login is rejected.
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

// Verify returns the principal of a token. The error is an [*Error] with an
// [*auth.Refusal] in it. Verify never accepts a token because a server did not
// answer. The principal is read-only. Its Expires is the token's exp plus the
// leeway, or zero if an endpoint does not state an exp. A token whose claims
// take more than 256 KiB of memory is rejected.
//
// A signed JWT whose iss is in [Options.JWT] is verified by that issuer's rules
// alone. All other tokens go to the endpoints, if there are any. The networks
// that the tokens come from, see [auth.WithRemote], share the requests to an
// endpoint, and Options.WrongTokens limits those of each.
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

// ask asks one endpoint after the other until one knows the token, even if its
// scope is too small. A token is invalid only if all of them report it so.
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
