package auth

import (
	"context"
	"errors"
)

// ErrNotMine is an [Authenticator]'s answer to an attempt without a credential
// of its kind. A [Chain] then asks its next member. As the final answer at the
// handshake, ErrNotMine leaves the decision to CONNECT. At CONNECT it keeps the
// handshake's principal, and rejects the client if there is none.
var ErrNotMine = errors.New("auth: no credential of this kind")

// Authenticator identifies clients. The broker calls it for every session once
// at the handshake, once at CONNECT, and each time the session presents a new
// credential. Spring's counterparts are HandshakeInterceptor and a
// ChannelInterceptor for CONNECT.
//
// The possible answers are:
//
//   - a principal and nil: the client is accepted as that principal
//   - nil and [ErrNotMine]: the attempt has no credential that this
//     Authenticator recognises
//   - nil and a [*Refusal]: the client is rejected and gets the refusal's
//     text
//   - anything else, including nil and nil, or a panic: the client is
//     rejected and gets a constant text
//
// An Authenticator that recognises the kind of a credential decides: if the
// credential is invalid it returns a refusal, not ErrNotMine. It must be safe
// for concurrent use and return soon after ctx is done; ctx ends at the
// deadline for CONNECT.
type Authenticator interface {
	Authenticate(ctx context.Context, a *Attempt) (*Principal, error)
}

// AuthenticatorFunc adapts a function to an [Authenticator].
type AuthenticatorFunc func(ctx context.Context, a *Attempt) (*Principal, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, a *Attempt) (*Principal, error) {
	return f(ctx, a)
}

// Chain returns an Authenticator that asks each of as in turn. The first answer
// other than [ErrNotMine] decides, even if it rejects the client. If every
// member answers ErrNotMine, so does the chain. Chain panics if one of as is
// nil, because a chain with a missing member would accept or reject the wrong
// clients.
//
// The members share one name space of users: if two members give different
// people the same name, they can read each other's messages. Call [CheckNames]
// with the [NameSpaces] of the chain before you use it. CredentialIDs share one
// name space as well. Begin the ids of your own Authenticator with a word of
// its own, followed by the issuer if others choose the rest, as the
// Authenticators of this module do. Otherwise one source could revoke another's
// credentials.
func Chain(as ...Authenticator) Authenticator {
	c := make(chain, len(as))
	for i, a := range as {
		if a == nil {
			panic("auth: nil Authenticator in Chain")
		}
		c[i] = a
	}
	return c
}

type chain []Authenticator

func (c chain) Authenticate(ctx context.Context, a *Attempt) (*Principal, error) {
	for _, next := range c {
		p, err := next.Authenticate(ctx, a)
		if errors.Is(err, ErrNotMine) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	return nil, ErrNotMine
}
