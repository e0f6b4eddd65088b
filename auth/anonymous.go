package auth

import "context"

// Anonymous accepts every client at CONNECT as a principal without a name and
// ignores its login and passcode. It keeps a principal that the handshake
// established. Put it at the end of a [Chain], or use it alone if anyone may
// connect and the [Authorizer] decides what each client may do.
var Anonymous Authenticator = anonymous{}

type anonymous struct{}

func (anonymous) Authenticate(_ context.Context, a *Attempt) (*Principal, error) {
	if a.Stage != StageConnect || a.Principal != nil {
		return nil, ErrNotMine
	}
	return &Principal{Method: "anonymous"}, nil
}

// TrustLogin uses CONNECT's login as the user's name and ignores the passcode.
// Without a login the client is anonymous. It rejects a login that is not a
// [ValidName], and a login that differs from the user that the handshake
// established.
//
// It is for development on one machine: anyone who can reach the broker can
// connect as anyone. Use it on loopback only.
var TrustLogin Authenticator = trustLogin{}

type trustLogin struct{}

func (trustLogin) Authenticate(_ context.Context, a *Attempt) (*Principal, error) {
	if a.Stage != StageConnect {
		return nil, ErrNotMine
	}
	if err := a.CheckLogin(); err != nil {
		return nil, err
	}
	if a.Principal != nil {
		return nil, ErrNotMine
	}
	if a.Login == "" {
		return &Principal{Method: "anonymous"}, nil
	}
	if err := ValidName(a.Login); err != nil {
		return nil, &Refusal{Reason: err.Error()}
	}
	return &Principal{Name: a.Login, Method: "anonymous"}, nil
}
