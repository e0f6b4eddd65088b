package broker

import (
	"sync"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/topics"
)

// slowPatterns bound the patterns that every message to a destination which is not
// remembered is compared with one by one (see [topics.Destination.Slow]): a client
// could make everybody's SEND slow with them. A pattern costs the same however
// many subscribe to it, so different ones are counted, in all and for each user
// or, of anonymous sessions, each address.
type slowPatterns struct {
	mu     sync.Mutex
	all    map[string]int32 // owners that have it
	owners map[quotaKey]map[string]int32
}

// slowPatternBytes is what the two maps hold for a pattern, without its text.
const slowPatternBytes = 160

// ownerKey is who a session's share counts for. It stays the same when the
// credential is renewed.
func (s *session) ownerKey() quotaKey {
	key := quotaKey{user: s.userName()}
	if key.user == "" {
		key.network = httpsec.Network(s.peer.Addr())
	}
	return key
}

// take counts one subscription to a slow pattern, or returns the limit that
// forbids it.
func (p *slowPatterns) take(key quotaKey, pattern string, l *Limits) *exceeded {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine := p.owners[key]
	if mine[pattern] == 0 {
		switch {
		case len(mine) >= l.SlowPatternsPerUser:
			return &exceeded{limit: limitSlowPatternsPerUser, value: l.SlowPatternsPerUser}
		case p.all[pattern] == 0 && len(p.all) >= l.SlowPatterns:
			return &exceeded{limit: limitSlowPatterns, value: l.SlowPatterns}
		}
		if p.all == nil {
			p.all, p.owners = make(map[string]int32), make(map[quotaKey]map[string]int32)
		}
		if mine == nil {
			mine = make(map[string]int32)
			p.owners[key] = mine
		}
		p.all[pattern]++
	}
	mine[pattern]++
	return nil
}

// give takes back one take.
func (p *slowPatterns) give(key quotaKey, pattern string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine := p.owners[key]
	if mine[pattern]--; mine[pattern] > 0 {
		return
	}
	if delete(mine, pattern); len(mine) == 0 {
		delete(p.owners, key)
	}
	if p.all[pattern]--; p.all[pattern] == 0 {
		delete(p.all, pattern)
	}
}

// route makes sub known to the router.
func (s *session) route(sub *subscription) *Error {
	d := sub.dest
	if d.Slow() {
		if e := s.b.slow.take(s.ownerKey(), d.Path, &s.b.policy.Load().limits); e != nil {
			return s.b.refuse(e, s.peer, s.userName()).failure()
		}
	}
	s.b.router.Subscribe(s.id, d, sub)
	return nil
}

// unroute takes route back.
func (s *session) unroute(sub *subscription) {
	s.b.router.Unsubscribe(s.id, sub.dest, sub)
	if sub.dest.Slow() {
		s.b.slow.give(s.ownerKey(), sub.dest.Path)
	}
}

// cost is what a destination that is subscribed to makes the broker hold.
func cost(d topics.Destination) int {
	if d.Slow() {
		return d.Cost() + slowPatternBytes
	}
	return d.Cost()
}
