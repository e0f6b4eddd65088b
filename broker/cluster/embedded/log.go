//go:build !nostore

package embedded

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// lineEvery is the minimum time between two lines of one kind. A full disk
// makes the engine report an error for each message.
const lineEvery = time.Second

// logger writes what the engine reports to a slog.Logger. It allows one line
// of a kind a second, where the kind is the format of the text.
type logger struct {
	to *slog.Logger
	// recovered is called for each stream that was, if it is set.
	recovered func()
	// member has its own opinion of what an operator wants to see, if it is set.
	member *member
	// killed says that the directory was not closed before: its indexes are
	// outdated, which is no damage.
	killed bool

	mu    sync.Mutex
	fatal string // the first failure that ended Start
	lost  string // the first consumer that Start left out
	prior string // the first index that is not that of its blocks
	kinds map[string]*kind
}

type kind struct {
	last       time.Time
	suppressed int
}

// failure returns the text of the first Fatalf, or "".
func (l *logger) failure() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

// Noticef logs what an operator of NATS wants to see, which is detail here.
func (l *logger) Noticef(format string, v ...any) {
	if l.recovered != nil && strings.HasPrefix(format, recoveredFormat) {
		l.recovered()
	}
	l.line(slog.LevelDebug, format, v)
}

// recoveredFormat begins what the engine says of each stream that it has
// recovered.
const recoveredFormat = "  Restored %s messages for stream "

// Warnf logs a warning. The engine leaves out a consumer that it cannot read, and
// says no more than this. That an index is outdated after a kill is detail: it
// is made anew from the messages.
func (l *logger) Warnf(format string, v ...any) {
	for _, begins := range lostFormats {
		if text := fmt.Sprintf(strings.TrimSpace(format), v...); strings.HasPrefix(text, begins) && (begins != addingConsumer || strings.Contains(text, "corrupt state file")) {
			l.mu.Lock()
			if l.lost == "" {
				l.lost = text
			}
			l.mu.Unlock()
		}
	}
	if strings.HasSuffix(format, indexFormat) {
		if text := fmt.Sprintf(format, v...); strings.HasSuffix(text, "prior state file") {
			l.mu.Lock()
			l.prior = cmp.Or(l.prior, text)
			l.mu.Unlock()
		}
	}
	level := slog.LevelWarn
	if l.killed && isOfIndex(format) {
		level = slog.LevelDebug
	}
	l.line(level, format, v)
}

// indexFormats begin what the engine says of an index that it makes anew, after
// the name of the stream. That a file cannot be read is not among them.
var indexFormats = []string{
	"Stream state outdated", "Stream state detected prior state", "Stream state block does not exist",
	"Stream state too short", "Stream state checksum did not match", "Stream state has no checksum",
	"Stream state encountered internal inconsistency on recover", "Recovering stream state from index errored",
	"TTL state is outdated", "Error decoding TTL state",
	"Message scheduling state is outdated", "Error decoding message scheduling state",
}

// isOfIndex reports whether a format begins so.
func isOfIndex(format string) bool {
	_, text, ok := strings.Cut(format, "] ")
	return ok && strings.HasPrefix(format, "Filestore [") && slices.ContainsFunc(indexFormats, func(begins string) bool {
		return strings.HasPrefix(text, begins)
	})
}

// indexFormat ends what the engine says of an index that it does not use. After
// a kill that is usual. After a close it says that the blocks have changed.
const indexFormat = "Recovering stream state from index errored: %v"

// changed returns which stream has other blocks than its index says, or "".
func (l *logger) changed() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.prior
}

const addingConsumer = "Error adding consumer"

// lostFormats begin what the engine says of a consumer that it leaves out.
var lostFormats = []string{"Error unmarshalling consumer metafile", "Error decrypting our consumer metafile", "Error reading consumer metafile", addingConsumer}

// damage returns which consumer was left out first, or "".
func (l *logger) damage() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Errorf logs an error.
func (l *logger) Errorf(format string, v ...any) { l.line(slog.LevelError, format, v) }

// Debugf is called only if the engine's own debugging is on.
func (l *logger) Debugf(format string, v ...any) { l.line(slog.LevelDebug, format, v) }

// Tracef is called only if the engine's own tracing is on.
func (l *logger) Tracef(format string, v ...any) { l.line(slog.LevelDebug, format, v) }

// Fatalf keeps the text: it says why the server did not start. It does not end
// the process.
func (l *logger) Fatalf(format string, v ...any) {
	l.mu.Lock()
	if l.fatal == "" {
		l.fatal = fmt.Sprintf(format, v...)
	}
	l.mu.Unlock()
	l.line(slog.LevelError, format, v)
}

// connection logs an asynchronous error of a connection, such as a
// subscription that was too slow.
func (l *logger) connection(sub *nats.Subscription, err error) {
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	l.line(slog.LevelWarn, "connection to the store: %v (subject %q)", []any{err, subject})
}

func (l *logger) line(level slog.Level, format string, v []any) {
	if !l.to.Enabled(context.Background(), level) {
		return
	}
	attributes := []slog.Attr{slog.String("part", "store")}
	text := fmt.Sprintf(format, v...)
	every := lineEvery
	if l.member != nil {
		if level, every, text = l.member.line(level, text); !l.to.Enabled(context.Background(), level) {
			return
		}
	}
	if level > slog.LevelDebug {
		suppressed, ok := l.allow(kindOf(format), every)
		if !ok {
			return
		}
		if suppressed > 0 {
			attributes = append(attributes, slog.Int("suppressed", suppressed))
		}
	}
	l.to.LogAttrs(context.Background(), level, text, attributes...)
}

// aConnection is what the server puts before the format of a line about a
// connection: its address and number.
var aConnection = regexp.MustCompile(`^.*? - [a-z_]+:\d+ - `)

// kindOf returns what is constant of a format.
func kindOf(format string) string { return aConnection.ReplaceAllString(format, "") }

// allow reports whether a line of this kind may be logged, and how many were
// not since the last. The kinds are constants, so the map is bounded.
func (l *logger) allow(format string, every time.Duration) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[format]
	if k == nil {
		k = new(kind)
		if l.kinds == nil {
			l.kinds = make(map[string]*kind)
		}
		l.kinds[format] = k
	}
	now := time.Now()
	if !k.last.IsZero() && now.Sub(k.last) < every {
		k.suppressed++
		return 0, false
	}
	suppressed, k.suppressed, k.last = k.suppressed, 0, now
	return suppressed, true
}
