package broker

import (
	"log/slog"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker/internal/admission"
	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
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
	if fail := s.authenticate(f, bt); fail != nil {
		return fail
	}
	p := s.admission.Principal
	if fail := s.sit(p.Name); fail != nil {
		return fail
	}
	s.version = version
	s.principal.Store(p)
	s.passcode = s.admission.Passcode
	s.b.credentials.add(p, s)
	send, hear := frames.NegotiateHeartBeat(s.b.o.HeartBeat, theirs)
	s.sendEvery, s.hearEvery = int64(send), int64(hear)
	s.dec.SetVersion(version)
	s.out.push(s.connected(), bt)
	if !s.phase.CompareAndSwap(uint32(phaseNew), uint32(phaseOpen)) { // the session was ended meanwhile
		s.b.gate.LeaveSeat(s.peer.Addr(), p.Name, s.id)
		return nil
	}
	h := s.admission.Handshake
	s.admission.Leave()
	s.admission = nil
	s.joined = true
	s.b.durables.introduce(s, f.Get(headerClientID))
	s.limitFrames()
	s.b.join(p.Name)
	if s.b.revoked(p) { // while it was connecting; observers do not see this session
		return failure(ReasonRevoked, "session revoked")
	}
	s.setExpiry(p)
	s.announced = true
	s.logStarted(p, h)
	s.tell(bt, func(o *Observer) {
		if o.Connected != nil {
			o.Connected(s.introduction(h))
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
	return encode.Frame(s.wire.Framing(), s.version, &fr)
}

// logFrameBeforeConnect logs a frame before CONNECT. The ERROR to the client says
// that authentication is required.
func (s *session) logFrameBeforeConnect() {
	s.logRejected(&admission.Rejection{Why: "a frame came before CONNECT"})
}

// authenticate lets the gate decide about the credential of a CONNECT. If it
// returns nil, the admission holds the principal.
func (s *session) authenticate(f *frames.Frame, bt *batch) *Error {
	bt.flush() // the attempt may be held
	no := s.b.gate.Connect(s.context(), s, s.admission, s.attempt(f))
	s.dropContext()
	switch {
	case no == nil:
		return nil
	case no.Limit != nil:
		return s.b.refuse(no.Limit, s.peer, no.Login)
	}
	if no.Failed {
		s.b.stats.authFailures.Add(1)
	}
	if no.Why != "" {
		s.logRejected(no)
	}
	switch {
	case no.Late:
		return s.tooLate()
	case no.Revoked:
		return failure(ReasonRevoked, "session revoked")
	}
	return refusedBy(no.Answer)
}

// attempt returns what a CONNECT presents to the authenticator.
func (s *session) attempt(f *frames.Frame) *auth.Attempt {
	bearer, _ := httpsec.BearerToken(authorization(f))
	return &auth.Attempt{
		Stage:     auth.StageConnect,
		Session:   s.id,
		Principal: s.admission.Principal,
		Ticket:    f.Get("ticket"),
		Bearer:    bearer,
		Login:     strings.Clone(f.Get(frames.HeaderLogin)), // cloned: it may become the principal's name and outlive the frame
		Passcode:  f.Get(frames.HeaderPasscode),
		Host:      f.Get(frames.HeaderHost),
		Header:    f.Get,
		Handshake: s.admission.Handshake,
		Remote:    s.peer,
	}
}

// Left returns the time until the session must be CONNECTED.
func (s *session) Left() time.Duration { return time.Duration(s.deadline - s.b.now()) }

// StartAsk marks the session's goroutine as running the authenticator.
func (s *session) StartAsk() { s.enter(s.work()) }

// EndAsk ends what StartAsk began.
func (s *session) EndAsk() { s.exit(false) }

// Waiting reports whether the session waits for a CONNECT, not for the answer
// to one.
func (s *session) Waiting() bool {
	return phase(s.phase.Load()) == phaseNew && !s.busy.Load()
}

// Shed ends the session to make room for another socket.
func (s *session) Shed(e *limit.Exceeded) { s.endNow(s.b.refuse(e, s.peer, "")) }

// sit takes a seat for the session, or returns the reason why there is none.
func (s *session) sit(user string) *Error {
	crowded, e := s.b.gate.TakeSeat(s.peer.Addr(), user, s.id)
	if e != nil {
		return s.b.refuse(e, s.peer, user)
	}
	if p := s.b.policy.Load(); crowded > 0 && !p.proxies.Trusts(s.peer.Addr()) {
		s.b.o.Logger.Log(s.b.ctx, slog.LevelWarn, "most sessions come from one address: if it is a proxy, add it to auth.trusted_proxies; until then its clients share the limits of one address",
			"address", s.peer.Addr(), "sessions", crowded, "sessions_per_address", p.limits.SessionsPerAddress)
	}
	return nil
}

// logRejected logs why a client was rejected at CONNECT.
func (s *session) logRejected(no *admission.Rejection) {
	s.b.logRejection("authentication rejected", s.peer.Addr(), no,
		[]any{"session", s.id, "login", brief(no.Login), "remote", s.peer, "error", no.Why})
}

// authorization returns the Authorization header. STOMP header names are
// case-sensitive, and clients write "Authorization" or "authorization".
func authorization(f *frames.Frame) string {
	if v, ok := f.Lookup("Authorization"); ok {
		return v
	}
	return f.Get("authorization")
}
