//go:build !nostore

package embedded

import (
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// repeatEvery is the minimum time between two lines about something that the
// server tries each second.
const repeatEvery = time.Minute

// line judges a line of the server: it returns the level that it has for an
// operator of a broker, how often it may be repeated, and the text, which has no
// secret.
func (m *member) line(level slog.Level, text string) (_ slog.Level, every time.Duration, _ string) {
	every = lineEvery
	switch {
	case strings.Contains(text, "Plaintext passwords detected"): // they are ours, and random
		level = slog.LevelDebug
	case strings.Contains(text, "Error trying to connect to route"): // tell says who is missing
		level = slog.LevelDebug
	case strings.Contains(text, "authentication error"): // door says why
		level = slog.LevelDebug
	case strings.Contains(text, "Route Error") && strings.Contains(text, "Authorization Violation"):
		m.refusedNow(whyRefused)
		text, level, every = whyRefused, slog.LevelWarn, repeatEvery
	case strings.Contains(text, "Remote server has a duplicate name"):
		m.refusedNow("another node has the name " + m.o.Name + ", too")
		every = repeatEvery
	case strings.Contains(text, refusedText):
		every = repeatEvery
	}
	return level, every, m.redact(text)
}

// redact removes the secrets from a text.
func (m *member) redact(text string) string {
	for _, secret := range []string{m.o.Secret, url.QueryEscape(m.o.Secret), url.PathEscape(m.o.Secret), m.password} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "[secret]")
		}
	}
	return text
}

const (
	// tellFirst is how long a node is silent about who is missing. Then it tells
	// twice as late each time, up to tellLast.
	tellFirst = 3 * time.Second
	tellLast  = 2 * time.Minute
)

// tell logs whom this node waits for, once in a while. It is called with m.mu
// held, while no leader is known.
func (m *member) tell(now time.Time) func() {
	pause := min(tellFirst<<min(m.tellings, 10), tellLast)
	from := m.since
	if m.told.After(from) {
		from = m.told
	} else if m.told.Before(m.since) {
		pause = tellFirst
		m.tellings = 0
	}
	if now.Sub(from) < pause {
		return nil
	}
	m.told = now
	m.tellings++
	status := m.status(now)
	missing := strings.Join(status.Missing(), ", ")
	since, forming := now.Sub(m.since).Round(time.Second), !m.formed && m.store
	return func() {
		switch {
		case missing == "":
			m.log.line(slog.LevelWarn, "all store nodes are connected, but they have not elected a leader for %v", []any{since})
		case forming:
			m.log.line(slog.LevelWarn, "a cluster forms for the first time when all its store nodes are there: waiting for %s (for %v)", []any{missing, since})
		default:
			m.log.line(slog.LevelWarn, "there is no leader: most of the store nodes must be there, and these are not: %s (for %v)", []any{missing, since})
		}
	}
}
