package broker

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker/internal/admission"
	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
)

// refresh handles SEND /app/session/refresh: a ticket in the JSON body
// {"ticket":"…"}, or an Authorization header. The session keeps its id and
// those of its subscriptions that the renewed credential allows. If the client
// presents a wrong credential or one of another user, the session ends.
func (b *Broker) refresh(ctx context.Context, r *Request) error {
	s, old := r.s, r.Principal
	if r.Subscribe {
		return failure(ReasonDenied, "%s takes messages", b.appName(sessionRefresh))
	}
	var body struct {
		Ticket string `json:"ticket"`
	}
	if len(r.Body) > 0 && json.Unmarshal(r.Body, &body) != nil {
		return failure(ReasonProtocolError, `the body must be {"ticket":"…"}`)
	}
	a := &auth.Attempt{
		Stage: auth.StageRenew, Session: s.id, Principal: old, Ticket: body.Ticket,
		Header: r.Header, Remote: s.peer,
	}
	a.Bearer, _ = httpsec.BearerToken(firstOf(r.Header("Authorization"), r.Header("authorization")))
	if a.Ticket == "" && a.Bearer == "" {
		return failure(ReasonProtocolError, "no ticket and no bearer token to renew with")
	}
	p, err := hook.Guard(b.hookPanicked, "Authenticator", func() (*auth.Principal, error) { return b.o.Authenticator.Authenticate(ctx, a) })
	if err == nil && p.Expired(time.Now()) {
		err = admission.ErrExpired
	}
	if err != nil || p == nil {
		b.stats.authFailures.Add(1)
		s.renewalRefused(admission.LogText(err))
		return refusedBy(err)
	}
	if p.Name != old.Name {
		b.stats.authFailures.Add(1)
		s.renewalRefused("the credential belongs to another user")
		return failure(ReasonRefused, "the credential belongs to another user")
	}
	s.principal.Store(p)
	s.passcode = false // the credential is now a ticket or a token; p tells whether it was issued for a passcode
	b.credentials.add(p, s)
	if p.CredentialID != old.CredentialID {
		b.credentials.remove(old, s)
	}
	if b.revoked(p) {
		return failure(ReasonRevoked, "session revoked")
	}
	b.quotas.release(s) // its roles may have changed
	s.setExpiry(p)
	if err := s.reconsider(r.bt); err != nil {
		return err
	}
	event := sessionEvent{Event: "auth-renewed"}
	if !p.Expires.IsZero() {
		event.Expires = p.Expires.Unix()
	}
	s.notify(sessionNotices, event, r.bt)
	return nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// refusedBy returns the error for the client about an authenticator's error.
func refusedBy(err error) *Error {
	f := &Error{Reason: ReasonRefused, Message: "authentication failed"}
	var r *auth.Refusal
	if errors.As(err, &r) && r.Reason != "" {
		f.Message = r.Reason
	}
	return f
}

func (s *session) renewalRefused(why string) {
	s.b.log(slog.LevelInfo, "renewal refused", s.source(""), "session", s.id, "user", s.userName(), "remote", s.peer, "error", why)
}
