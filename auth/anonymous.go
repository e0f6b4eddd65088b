package auth

import "context"

// Anonymous lets every client in at CONNECT as a principal without a name, whatever login and passcode it sends.
// A principal that the handshake has established stays. It belongs at the end of a [Chain], or alone where
// everybody may come and the [Authorizer] says what for.
var Anonymous Authenticator = anonymous{}

type anonymous struct{}

func (anonymous) Authenticate(_ context.Context, a *Attempt) (*Principal, error) {
	if a.Stage != StageConnect || a.Principal != nil {
		return nil, ErrNotMine
	}
	return &Principal{Method: "anonymous"}, nil
}

// TrustLogin takes CONNECT's login at its word as the name of the user and never looks at the passcode; without a
// login the client is anonymous. It refuses a login that is no [ValidName], and one that names another user than
// the handshake has established.
//
// It is for development on one machine. Anybody who can reach the broker can be anybody: never use it beyond
// loopback.
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
