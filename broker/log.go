package broker

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
)

// LogOff is the [Options.SessionLog] level that disables the records of the
// start and the end of sessions.
const LogOff = slog.Level(math.MinInt32)

// source identifies the cause of an event for [Broker.log]: the property that
// its events share, such as a user or an origin, and the network that it came
// from, if there is one.
type source struct {
	what, network string
	anywhere      bool // the same source in all networks
}

// warn logs an event that a client can cause at any rate. It writes at most one
// record a second for each kind of event and source, and a limited number for
// each network and in total; the next record contains the number of suppressed
// ones. The kind is the text of the record.
func (b *Broker) warn(kind string, from source, attrs ...any) {
	b.log(slog.LevelWarn, kind, from, attrs...)
}

// log is warn for another level.
func (b *Broker) log(level slog.Level, kind string, from source, attrs ...any) {
	key := loglimit.Key{Kind: kind, From: from.what, Network: from.network, Anywhere: from.anywhere}
	b.quiet.Log(context.Background(), b.o.Logger, level, key, attrs...)
}

// refuse counts and logs a refusal because of a limit on new clients or on
// shared resources, and returns the answer after the upgrade. The user name may
// be unverified.
func (b *Broker) refuse(e *limit.Exceeded, remote netip.AddrPort, user string) *Error {
	b.stats.limits[e.Limit].Add(1)
	b.warn("refused by a limit", sourceOf(remote.Addr(), user, e.Limit.Key()),
		"limit", e.Limit.Key(), "value", e.Value, "remote", remote, "user", brief(user))
	return &Error{Reason: ReasonLimit, Message: e.Error()}
}

// hookPanicked logs the panic of a hook, with the stack. It writes one record
// per second while the hook panics for the same reason.
func (b *Broker) hookPanicked(name string, p *hook.Panic) {
	b.log(slog.LevelError, "a hook panicked", source{what: name + " " + brief(fmt.Sprint(p.Value))}, "hook", name, "panic", p.Value, "stack", string(p.Stack))
}

// logStarted logs that a session is connected, and how its client was
// authenticated. The handshake is nil for a client without HTTP.
func (s *session) logStarted(p *auth.Principal, h *auth.Handshake) {
	level := s.b.o.SessionLog.Level()
	if level == LogOff || !s.b.o.Logger.Enabled(context.Background(), level) {
		return
	}
	attrs := []any{"session", s.id, "user", p.Name, "remote", s.peer, "transport", s.wire.Kind(), "version", s.version.String(), "authenticated_by", p.Method}
	if !p.Expires.IsZero() {
		attrs = append(attrs, "expires", p.Expires.UTC().Format(time.RFC3339))
	}
	if h != nil && h.Header != nil {
		attrs = append(attrs, "origin", brief(h.Header.Get("Origin")), "user_agent", brief(h.Header.Get("User-Agent")))
	}
	s.logVisit(level, "session started", p, attrs)
}

// anonymously is the Method of a principal without a credential.
const anonymously = "anonymous"

// logVisit logs the start or the end of a session. Records about sessions
// without a credential are limited, for each network and in total, since any
// client can connect and disconnect at any rate.
func (s *session) logVisit(level slog.Level, kind string, p *auth.Principal, attrs []any) {
	if !s.joined || !p.Anonymous() && p.Method != anonymously {
		s.b.o.Logger.Log(context.Background(), level, kind, attrs...)
		return
	}
	key := loglimit.Key{Kind: kind, From: s.id, Network: loglimit.Network(s.peer.Addr())}
	s.b.visits.Log(context.Background(), s.b.o.Logger, level, key, attrs...)
}

// brief shortens a client's text for the log.
func brief(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// remarkable reports whether a session that ended for this reason is logged as
// a warning whatever [Options.SessionLog] is: the broker refused a request of
// the client, or there is a fault in the client or in the program.
func (r Reason) remarkable() bool {
	switch r {
	case ReasonDenied, ReasonLimit, ReasonSlowConsumer, ReasonTooBig, ReasonInternalError, ReasonAuthorizerSlow:
		return true
	}
	return false
}

// unconnected reports whether a connection that ends for this reason before it
// is CONNECTED is logged as a warning, since no other record explains why the
// client cannot connect.
func (r Reason) unconnected() bool {
	switch r {
	case ReasonProtocolError, ReasonInvalidText, ReasonConnectTimeout:
		return true
	}
	return false
}

// logEnded logs why a session ended, its duration and its activity. A
// connection that ends before it is CONNECTED is logged as a warning if the
// client did not cause the end itself, and at debug level otherwise.
func (s *session) logEnded(f *Error) {
	level := s.b.o.SessionLog.Level()
	if !s.joined {
		level = slog.LevelDebug
	}
	warn := f.Reason.remarkable() || !s.joined && f.Reason.unconnected()
	if !warn && (level == LogOff || !s.b.o.Logger.Enabled(context.Background(), level)) {
		return
	}
	lived := time.Since(s.b.started) - time.Duration(s.opened)
	received, sent := s.traffic()
	attrs := []any{
		"session", s.id, "user", s.userName(), "remote", s.peer, "reason", f.Reason.String(), "detail", f.Message,
		"duration", lived.Round(time.Millisecond).String(), "received", received, "sent", sent,
	}
	if warn {
		s.b.warn("session ended", s.source(f.Reason.String()), attrs...)
		return
	}
	s.logVisit(level, "session ended", s.principal.Load(), attrs)
}

// source returns the source for the session's user in its network. more
// distinguishes several kinds of its events. Another user with the same address
// is another source.
func (s *session) source(more string) source { return sourceOf(s.peer.Addr(), s.userName(), more) }

// sourceOf returns the source for a user in the network of an address. The user
// name may be unverified.
func sourceOf(addr netip.Addr, user, more string) source {
	return source{what: more + " " + brief(user), network: loglimit.Network(addr)}
}
