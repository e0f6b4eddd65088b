// Package loglimit keeps clients from filling the log. It decides whether an
// event may be logged, and counts suppressed events.
package loglimit

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

const (
	// Every is the minimum time between two lines about one key.
	Every = time.Second
	// PerNetwork is the maximum number of lines a second about one network.
	PerNetwork = 10
	// PerSecond is the maximum number of lines a second for all keys together.
	PerSecond = 50
	// maxKeys is the maximum number of keys, and of networks, that are kept.
	// Further ones share one entry.
	maxKeys = 1024
	// maxFrom is how many bytes of [Key.From] are used. A client may have
	// chosen the text, and it is kept in memory.
	maxFrom = 256
)

// A Limiter allows one line per key each second, [PerNetwork] lines a second
// about one network, and [PerSecond] lines a second in all. A key combines what
// the events of one source have in common, such as the kind of the event and
// the user. The zero value is ready. All methods are safe for concurrent use.
type Limiter struct {
	mu       sync.Mutex
	keys     map[Key]*entry
	networks map[string]*network
	all      lines
}

// Key identifies the source of events.
type Key struct {
	Kind string // of the event
	From string // the source: a network, an origin or a user; only its first 256 bytes are used
	// Network is the client's network, or "" if unknown. It is part of the key:
	// two users behind one address have two keys, and so has one user behind
	// two addresses.
	Network string
	// Anywhere makes the key the same in all networks. Use it for an origin,
	// for example, whose page clients anywhere may have open. The limit of each
	// network still applies, so a client that invents origins gets no more
	// lines than others.
	Anywhere bool
}

type entry struct {
	last       time.Time // when a line was last allowed
	suppressed int
}

// network counts the lines about one network.
type network struct {
	lines
	suppressed int    // of keys that have no entry
	kind       string // of the last suppressed event
}

// lines counts the lines of one second.
type lines struct {
	second time.Time // its start
	n      int
}

// full reports whether this second already has most lines.
func (l *lines) full(now time.Time, most int) bool {
	if now.Sub(l.second) >= time.Second {
		l.second, l.n = now, 0
	}
	return l.n >= most
}

// Network returns the [Key.Network] of a client: its IPv4 address, or the /64
// of its IPv6 address, or "" for the zero address.
func Network(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return httpsec.Network(addr).String()
}

// Log writes a record about an event if the logger has this level and
// [Limiter.Allow] permits it. The
// record's text is the Kind of the key. Its last attribute is the number of
// suppressed events, if there were any.
func (l *Limiter) Log(ctx context.Context, to *slog.Logger, level slog.Level, key Key, attrs ...any) {
	if !to.Enabled(ctx, level) {
		return
	}
	suppressed, ok := l.Allow(time.Now(), key)
	if !ok {
		return
	}
	if suppressed > 0 {
		attrs = append(attrs, "suppressed", suppressed)
	}
	to.Log(ctx, level, key.Kind, attrs...)
}

// Allow reports whether a line about key may be logged now, and how many lines
// about it were suppressed since the last one. These include suppressed lines
// about its network that had no entry of their own.
func (l *Limiter) Allow(now time.Time, key Key) (suppressed int, ok bool) {
	key.From = key.From[:min(len(key.From), maxFrom)]
	l.mu.Lock()
	defer l.mu.Unlock()
	net := l.network(now, key)
	if key.Anywhere {
		key.Network = ""
	}
	busy := net != nil && net.full(now, PerNetwork)
	if busy && l.keys[key] == nil {
		// One network with many names gets no further entries.
		net.suppressed, net.kind = net.suppressed+1, key.Kind
		return 0, false
	}
	e := l.entry(now, key)
	if busy || now.Sub(e.last) < Every || l.all.full(now, PerSecond) {
		e.suppressed++
		return 0, false
	}
	l.all.n++
	suppressed, e.suppressed, e.last = e.suppressed, 0, now
	if net != nil {
		net.n++
		suppressed, net.suppressed = suppressed+net.suppressed, 0
	}
	return suppressed, true
}

// entry returns the entry of a key. The caller holds the lock.
func (l *Limiter) entry(now time.Time, key Key) *entry {
	if e := l.keys[key]; e != nil {
		return e
	}
	if l.keys == nil {
		l.keys = make(map[Key]*entry)
	}
	if len(l.keys) >= maxKeys {
		l.forget(now)
	}
	if len(l.keys) >= maxKeys {
		return l.shared(key.Kind)
	}
	e := new(entry)
	key.From = strings.Clone(key.From) // it may be a part of a request
	l.keys[key] = e
	return e
}

// shared returns the entry that all further keys of a kind share. The caller
// holds the lock.
func (l *Limiter) shared(kind string) *entry {
	e := l.keys[Key{Kind: kind}]
	if e == nil {
		e = new(entry)
		l.keys[Key{Kind: kind}] = e
	}
	return e
}

// forget removes the entries that no longer limit anything. It adds their
// suppressed counts to the shared entry of their kind, so that no count is
// lost. The caller holds the lock.
func (l *Limiter) forget(now time.Time) {
	for key, e := range l.keys {
		if key == (Key{Kind: key.Kind}) || now.Sub(e.last) < Every {
			continue
		}
		delete(l.keys, key)
		if e.suppressed > 0 {
			l.shared(key.Kind).suppressed += e.suppressed
		}
	}
}

// network returns the counter of a key's network, or nil if the network is
// unknown. When there are too many, apart from old ones, further networks share
// one counter. The caller holds the lock.
func (l *Limiter) network(now time.Time, key Key) *network {
	if key.Network == "" {
		return nil
	}
	if n := l.networks[key.Network]; n != nil {
		return n
	}
	if l.networks == nil {
		l.networks = make(map[string]*network)
	}
	name := key.Network
	if len(l.networks) >= maxKeys {
		for other, n := range l.networks {
			if now.Sub(n.second) < time.Second {
				continue
			}
			delete(l.networks, other)
			if n.suppressed > 0 {
				l.shared(n.kind).suppressed += n.suppressed
			}
		}
	}
	if len(l.networks) >= maxKeys {
		name = ""
	}
	n := l.networks[name]
	if n == nil {
		n = new(network)
		l.networks[name] = n
	}
	return n
}
