package auth

import (
	"context"
	"errors"
)

// ErrNotMine is an [Authenticator]'s answer to an attempt without a credential of the kind it knows. In a [Chain]
// the next one is asked. At the handshake it leaves the decision to CONNECT; at CONNECT it leaves the principal of
// the handshake in place, and refuses the client if there is none.
var ErrNotMine = errors.New("auth: no credential of this kind")

// Authenticator decides who a client is. It is called once at the handshake and once at CONNECT of every session,
// and whenever the session presents a new credential; Spring's counterparts are HandshakeInterceptor and a
// ChannelInterceptor for CONNECT.
//
// Exactly these answers are possible:
//
//   - a principal and nil: the client is let in as that principal
//   - nil and [ErrNotMine]: the attempt carries nothing this Authenticator knows
//   - nil and a [*Refusal]: the client is refused and told the refusal's text
//   - anything else, nil and nil included, or a panic: the client is refused and told a constant text
//
// An Authenticator that knows the kind of a credential answers for it: a wrong one is a refusal, not ErrNotMine.
// It must be safe for concurrent use and return soon after ctx is done, which the deadline for CONNECT sees to.
type Authenticator interface {
	Authenticate(ctx context.Context, a *Attempt) (*Principal, error)
}

// AuthenticatorFunc is a function used as an [Authenticator].
type AuthenticatorFunc func(ctx context.Context, a *Attempt) (*Principal, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, a *Attempt) (*Principal, error) {
	return f(ctx, a)
}

// Chain returns an Authenticator that asks each of as in turn. The first whose answer is not [ErrNotMine] decides,
// also when it denies; if there is none, the chain's own answer is ErrNotMine. Chain panics if one of as is nil,
// because a chain with a forgotten member would let in or keep out the wrong clients.
//
// The members share one name space of users: where two of them know different people by one name, the second reads
// the first's messages. Call [CheckNames] with the [NameSpaces] of the chain before it is used. CredentialIDs share
// one space as well: an Authenticator of your own begins its ids with a word of its own and, if others choose the
// rest, with who they are, as those of this module do, or one source could revoke what another has issued.
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
