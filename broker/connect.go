package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
	"github.com/hoofbeat/hoofbeat/frames"
)

// errVersion answers a CONNECT that shares no STOMP version with the broker.
// Its ERROR lists the supported versions.
var errVersion = &Error{Reason: ReasonProtocolError, Message: "supported versions are " + frames.SupportedVersions}

// connect handles CONNECT and STOMP (STOMP 1.2, "Connecting"). Later frames of
// the same read wait in the decoder until the authenticator has decided.
func (s *session) connect(f *frames.Frame, bt *batch) *Error {
	accept, present := f.Lookup(frames.HeaderAcceptVersion)
	version, err := frames.NegotiateVersion(accept, present)
	if err != nil {
		return errVersion
	}
	var theirs frames.HeartBeat
	if v, ok := f.Lookup(frames.HeaderHeartBeat); ok && version != frames.V10 {
		if theirs, err = frames.ParseHeartBeat(v); err != nil {
			return &Error{Reason: ReasonProtocolError, Message: err.Error()}
		}
	}
	p, fail := s.authenticate(f, bt)
	s.dropContext()
	if fail != nil {
		return fail
	}
	if s.b.revoked(p) {
		s.logRefused("", p.Name, &auth.Refusal{Reason: "the credential was revoked"})
		return failure(ReasonRevoked, "session revoked")
	}
	if fail := s.sit(p.Name); fail != nil {
		return fail
	}
	s.version = version
	s.principal.Store(p)
	s.b.credentials.add(p, s)
	send, hear := frames.NegotiateHeartBeat(s.b.o.HeartBeat, theirs)
	s.sendEvery, s.hearEvery = int64(send), int64(hear)
	s.dec.SetVersion(version)
	s.out.push(s.connected(), bt)
	if !s.phase.CompareAndSwap(uint32(phaseNew), uint32(phaseOpen)) { // the session was ended meanwhile
		s.b.seats.leave(s.peer.Addr(), p.Name, s.id)
		return nil
	}
	h := s.admission.handshake
	s.admission.Release()
	s.admission = nil
	s.joined = true
	s.limitFrames()
	s.b.join()
	if s.b.revoked(p) { // while it was connecting; observers do not see this session
		return failure(ReasonRevoked, "session revoked")
	}
	s.setExpiry(p)
	s.announced = true
	s.logStarted(p, h)
	s.tell(bt, func(o *Observer) {
		if o.Connected != nil {
			o.Connected(s.info())
		}
	})
	return nil
}

func (s *session) connected() []byte {
	fr := frames.Frame{Command: frames.CommandConnected, Headers: []frames.Header{
		{Name: frames.HeaderVersion, Value: s.version.String()},
		{Name: frames.HeaderHeartBeat, Value: s.b.o.HeartBeat.String()},
		{Name: frames.HeaderSession, Value: s.id},
		{Name: frames.HeaderServer, Value: s.b.o.Server},
	}}
	if name := s.userName(); name != "" {
		fr.Headers = append(fr.Headers, frames.Header{Name: frames.HeaderUserName, Value: name})
	}
	return encodeFrame(s.wire.framing(), s.version, &fr)
}

// errAnotherUser rejects a CONNECT for a different user than the handshake.
var errAnotherUser = &auth.Refusal{Reason: "the credential belongs to another user than the one this connection was opened for"}

// errFrameBeforeConnect appears only in the log; the ERROR to the client says
// that authentication is required.
var errFrameBeforeConnect = errors.New("a frame came before CONNECT")

var errExpired = &auth.Refusal{Reason: "the credential has expired"}

// authenticate calls the Authenticator. It fails closed: an error, a panic or a
// missed deadline rejects the client. The ERROR carries the Reason of an
// [auth.Refusal], or a constant text for any other error.
func (s *session) authenticate(f *frames.Frame, bt *batch) (*auth.Principal, *Error) {
	if s.b.o.Authenticator == nil {
		return nil, refusedBy(nil)
	}
	login := strings.Clone(f.Get(frames.HeaderLogin)) // cloned: it may become the principal's name and outlive the frame
	a := &auth.Attempt{
		Stage:     auth.StageConnect,
		Session:   s.id,
		Principal: s.admission.principal,
		Ticket:    f.Get("ticket"),
		Login:     login,
		Passcode:  f.Get(frames.HeaderPasscode),
		Host:      f.Get(frames.HeaderHost),
		Header:    f.Get,
		Handshake: s.admission.handshake,
		Remote:    s.peer,
	}
	a.Bearer, _ = httpsec.BearerToken(authorization(f))
	if err := a.CheckLogin(); err != nil { // N-11: a credential is bound to its user
		s.b.throttle.wrongToken(s.peer.Addr()) // no passcode was tried
		return nil, s.refused(login, s.admission.principal.Name, err)
	}
	try, fail := s.beginTry(a, bt)
	if fail != nil {
		return nil, fail
	}
	defer try.end(nothing) // unless the try has already ended
	var (
		p    *auth.Principal
		err  error
		late bool
	)
	s.user(bt, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, orHour(time.Duration(s.deadline-s.b.now())))
		defer cancel()
		p, err = hook.Guard(s.b.hookPanicked, "Authenticator", func() (*auth.Principal, error) { return s.b.o.Authenticator.Authenticate(ctx, a) })
		late = ctx.Err() != nil
	})
	if late {
		s.logRefused(login, whose(err), fmt.Errorf("not decided within %v (limits.connect_deadline): %w", s.b.o.ConnectDeadline, cmp.Or(err, context.DeadlineExceeded)))
		return nil, s.tooLate()
	}
	s.passcode = a.Login != "" && a.Ticket == "" && a.Bearer == ""
	proved := s.passcode && a.Principal == nil // otherwise a ticket, a token or the handshake may have decided
	if errors.Is(err, auth.ErrNotMine) && s.admission.principal != nil {
		p, err = s.admission.principal, nil // the handshake has authenticated the client
		s.passcode = s.admission.passcode
	}
	if before := s.admission.principal; err == nil && p != nil && before != nil && p.Name != before.Name {
		err = errAnotherUser
	}
	if err == nil && p.Expired(time.Now()) {
		err = errExpired
	}
	if err == nil && p != nil && p.Name != "" {
		err = s.b.validName(p.Name)
	}
	if err == nil && p != nil {
		if proved && provedPasscode(p, a.Handshake, auth.StageConnect) {
			try.end(succeeded)
		}
		return p, nil
	}
	if err = nobodyKnows(a, err); guess(err) {
		if try != nil {
			try.end(failed)
		} else {
			s.b.throttle.wrongToken(s.peer.Addr())
		}
	}
	return nil, s.refused(login, whose(err), err)
}

// refused counts and logs a rejected credential and returns the error for the
// client.
func (s *session) refused(login, user string, err error) *Error {
	s.b.stats.authFailures.Add(1)
	s.logRefused(login, user, err)
	return refusedBy(err)
}

// logRefused logs why a client was rejected, the login it claims and the user
// who owns its credential, as far as they are known.
func (s *session) logRefused(login, user string, err error) {
	why := refusalForLog(err)
	attrs := []any{"session", s.id, "login", brief(login), "remote", s.peer, "error", why}
	if user != "" {
		attrs = append(attrs, "user", user)
	}
	s.b.warn("authentication rejected", sourceOf(s.peer.Addr(), firstOf(login, user), brief(why)), attrs...)
}

// whose returns the owner of a rejected credential, or "" if the
// authenticator's error does not name one. The error names an owner only if it
// is proven, for instance by a signature.
func whose(err error) string {
	if e, ok := errors.AsType[interface {
		error
		Whose() string
	}](err); ok {
		return brief(e.Whose())
	}
	return ""
}

// nobodyKnows replaces ErrNotMine, which does not help a client, with a refusal
// that names the missing or unsupported credential.
func nobodyKnows(a *auth.Attempt, err error) error {
	if !errors.Is(err, auth.ErrNotMine) {
		return err
	}
	sent := ""
	switch {
	case a.Ticket != "":
		sent = "a ticket"
	case a.Bearer != "":
		sent = "a bearer token"
	case a.Login != "":
		sent = "a login"
	default:
		return &auth.Refusal{Reason: "authentication failed: no credential was sent, and this broker requires one: a login with its passcode, a bearer token or a ticket"}
	}
	return &auth.Refusal{Reason: "authentication failed: this broker accepts no credential of this kind: " + sent}
}

// authorization returns the Authorization header. STOMP header names are
// case-sensitive, and clients write "Authorization" or "authorization".
func authorization(f *frames.Frame) string {
	if v, ok := f.Lookup("Authorization"); ok {
		return v
	}
	return f.Get("authorization")
}

func refusalForLog(err error) string {
	if err == nil {
		return "no principal"
	}
	return err.Error()
}

// validName checks that the name of a principal is valid in headers and in
// destinations.
func (b *Broker) validName(name string) error {
	if err := auth.ValidName(name); err != nil {
		return err
	}
	return b.o.names.ValidUser(name)
}
