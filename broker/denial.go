package broker

import (
	"errors"
	"strconv"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/frames"
)

// softly tells the client what was denied and lets the session live, if the
// broker is so configured: one refused SUBSCRIBE should not end all others.
func (s *session) softly(fail *Error, f *frames.Frame, bt *batch) bool {
	if !s.b.o.SoftDenial || fail.Reason != ReasonDenied {
		return false
	}
	s.b.warn("denied", s.source(), "session", s.id, "user", s.userName(), "remote", s.peer, "command", f.Command, "detail", fail.Message)
	s.notify(softErrors, struct {
		Error       string `json:"error"`
		Message     string `json:"message"`
		Command     string `json:"command"`
		Destination string `json:"destination,omitempty"`
		ID          string `json:"id,omitempty"`
		Receipt     string `json:"receipt,omitempty"`
	}{"denied", fail.Message, f.Command, f.Get(frames.HeaderDestination), f.Get(frames.HeaderID), f.Get(frames.HeaderReceipt)}, bt)
	return true
}

func (s *session) denied(err error, act auth.Action, destination string) *Error {
	if err == nil {
		return nil
	}
	s.b.stats.denied.Add(1)
	if !errors.Is(err, auth.ErrDenied) {
		s.b.warn("the authorizer failed, so the request is denied", s.source(), "session", s.id, "action", act.String(), "error", err)
	}
	return failure(ReasonDenied, "not allowed to %s %s %s", act, preposition(act), strconv.QuoteToASCII(destination))
}

func preposition(act auth.Action) string {
	if act == auth.Subscribe {
		return "to"
	}
	return "a message to"
}
