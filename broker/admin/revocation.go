package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// revoked answers POST /revocations.
type revoked struct {
	// Sessions is the number of connected sessions that the revocation ends. It
	// is omitted for a credential, because sessions do not report theirs.
	Sessions *int `json:"sessions,omitempty"`
}

func (a *api) revoke(w http.ResponseWriter, r *http.Request) *problem {
	if a.revocations == nil {
		return problemf(http.StatusNotFound, "nothing can be revoked here: admin.Options.Revocations is not set")
	}
	data, p := readObject(w, r, a.maxBody)
	if p != nil {
		return p
	}
	rev, err := parseRevocation(data)
	if err != nil {
		return problemf(http.StatusBadRequest, "%v", err)
	}
	var answer revoked
	if rev.Credential == "" {
		n := 0
		for s := range a.b.Sessions() {
			if rev.User != "" && s.User == rev.User || s.ID == rev.Session {
				n++
			}
		}
		answer.Sessions = &n
	}
	switch err := a.revocations.Revoke(r.Context(), rev); {
	case errors.Is(err, auth.ErrRevocation):
		return problemf(http.StatusBadRequest, "%v", errOneSubject)
	case errors.Is(err, auth.ErrNotKept):
		a.log.Error("a revocation could not be stored", "error", err)
		p := problemf(http.StatusServiceUnavailable,
			"the revocation is in force on this node until it restarts, but it is not known whether it was stored: repeat the request")
		p.retryAfter = time.Second
		if full, ok := errors.AsType[*auth.Refusal](err); ok {
			p.Detail = fmt.Sprintf("the revocation is in force on this node until it restarts, and is not stored: %v", full)
		}
		return p
	case err != nil:
		return problemf(http.StatusServiceUnavailable, "the request was given up before anything was revoked")
	}
	return writeJSON(w, http.StatusOK, answer)
}

var errOneSubject = errors.New(`the request body must have exactly one of "user", "session" and "credential"`)

func parseRevocation(data []byte) (auth.Revocation, error) {
	var user, session, credential *string
	err := members("the request body", data, func(name string, value json.RawMessage) error {
		switch name {
		case "user":
			return text(name, value, &user)
		case "session":
			return nonEmpty(name, value, &session)
		case "credential":
			return nonEmpty(name, value, &credential)
		}
		return fmt.Errorf("there is no field %q, only user, session and credential", name)
	})
	switch {
	case err != nil:
		return auth.Revocation{}, err
	case user != nil && session == nil && credential == nil:
		return auth.Revocation{User: *user}, auth.ValidName(*user)
	case session != nil && user == nil && credential == nil:
		return auth.Revocation{Session: *session}, nil
	case credential != nil && user == nil && session == nil:
		return auth.Revocation{Credential: *credential}, nil
	}
	return auth.Revocation{}, errOneSubject
}
