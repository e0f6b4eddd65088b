package broker

import (
	"context"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

// LogOff is the [Options.SessionLog] level that writes no record about the
// start and the end of sessions.
const LogOff = slog.Level(math.MinInt32)

// source is whose fault an event is, for [Broker.log]: what the events of one
// culprit have in common, such as a user or an origin, and the network that it
// came from, if it is about one.
type source struct {
	what, network string
	anywhere      bool // it is the same in all networks
}

// warn logs an event that a client can cause as often as it likes. One record a
// second is written for each kind of event and source, and a bounded number for
// each network and in all; the next record says how many were suppressed. The
// kind is the text of the record.
func (b *Broker) warn(kind string, from source, attrs ...any) {
	b.log(slog.LevelWarn, kind, from, attrs...)
}

// log is warn for records of another level.
func (b *Broker) log(level slog.Level, kind string, from source, attrs ...any) {
	key := loglimit.Key{Kind: kind, From: from.what, Network: from.network, Anywhere: from.anywhere}
	b.quiet.Log(context.Background(), b.o.Logger, level, key, attrs...)
}

// logStarted records that a session is CONNECTED, and how its client was
// authenticated. The handshake is nil for a client without HTTP.
func (s *session) logStarted(p *auth.Principal, h *auth.Handshake) {
	level := s.b.o.SessionLog.Level()
	if level == LogOff || !s.b.o.Logger.Enabled(context.Background(), level) {
		return
	}
	attrs := []any{"session", s.id, "user", p.Name, "remote", s.peer, "transport", s.wire.kind(), "version", s.version.String(), "authenticated_by", p.Method}
	if !p.Expires.IsZero() {
		attrs = append(attrs, "expires", p.Expires.UTC().Format(time.RFC3339))
	}
	if h != nil && h.Header != nil {
		attrs = append(attrs, "origin", brief(h.Header.Get("Origin")), "user_agent", brief(h.Header.Get("User-Agent")))
	}
	s.logVisit(level, "session started", p, attrs)
}

// anonymously is the Method of a principal that was let in without a credential.
const anonymously = "anonymous"

// logVisit records the start or the end of a session. Records about sessions that
// were let in without a credential are limited, for each network and in all, since
// anybody can come and go as often as he likes.
func (s *session) logVisit(level slog.Level, kind string, p *auth.Principal, attrs []any) {
	if !s.joined || !p.Anonymous() && p.Method != anonymously {
		s.b.o.Logger.Log(context.Background(), level, kind, attrs...)
		return
	}
	key := loglimit.Key{Kind: kind, From: s.id, Network: loglimit.Network(s.peer.Addr())}
	s.b.visits.Log(context.Background(), s.b.o.Logger, level, key, attrs...)
}

// brief shortens a text of the client for the log.
func brief(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// remarkable reports whether a session that ended for this reason is logged as a
// warning, whatever [Options.SessionLog] says: the client was turned away, or
// something is wrong with it or with the program.
func (r Reason) remarkable() bool {
	switch r {
	case ReasonDenied, ReasonLimit, ReasonSlowConsumer, ReasonTooBig, ReasonInternalError, ReasonAuthorizerSlow:
		return true
	}
	return false
}

// unconnected reports whether a connection that ends for this reason before it is
// CONNECTED is logged as a warning: somebody may ask why he cannot connect, and no
// other record says why.
func (r Reason) unconnected() bool {
	switch r {
	case ReasonProtocolError, ReasonInvalidText, ReasonConnectTimeout:
		return true
	}
	return false
}

// logEnded records why a session ended, how long it lived and what it did. A
// connection that ends before it is CONNECTED is logged as a warning if the client
// did not want that, and at debug level otherwise.
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
	s.out.mu.Lock() // others may be saying goodbye to it
	sent := s.out.sent
	s.out.mu.Unlock()
	attrs := []any{
		"session", s.id, "user", s.userName(), "remote", s.peer, "reason", f.Reason.String(), "detail", f.Message,
		"duration", lived.Round(time.Millisecond).String(), "received", s.received, "sent", sent,
	}
	if warn {
		s.b.warn("session ended", s.source(f.Reason.String()), attrs...)
		return
	}
	s.logVisit(level, "session ended", s.principal.Load(), attrs)
}

// source is a session's user in its network, and more if several kinds of its
// events are to be told apart. Another user behind the same address is another
// source.
func (s *session) source(more string) source { return sourceOf(s.peer.Addr(), s.userName(), more) }

// sourceOf is a user in the network of an address. The user may be what a stranger
// claims to be.
func sourceOf(addr netip.Addr, user, more string) source {
	return source{what: more + " " + brief(user), network: loglimit.Network(addr)}
}
