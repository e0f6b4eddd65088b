package broker

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/topics"
)

// seats limit the connected sessions: in total, of one user and from one
// network. The registry already counts users, so a session needs no additional
// memory for that.
type seats struct {
	users      *topics.Router[*subscription]
	max        int
	maxUser    int
	maxNetwork int

	mu       sync.Mutex
	all      int
	networks map[uint64]int32
	warned   time.Time // when the log last warned that most sessions come from one network
}

// A warning is logged if most sessions come from one network: only from crowd
// sessions on, and at most once per crowdWarning.
const (
	crowd        = 100
	crowdWarning = time.Hour
)

func (s *seats) init(users *topics.Router[*subscription]) {
	s.users, s.networks = users, make(map[uint64]int32)
}

// limit sets the limits. Sessions that exceed them stay.
func (s *seats) limit(l Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.max, s.maxUser, s.maxNetwork = l.Sessions, l.SessionsPerUser, l.SessionsPerAddress
}

// networkNumber returns clientNetwork as eight bytes: IPv4 addresses use a
// range in which IPv6 has only multicast. Zero means no network.
func networkNumber(a netip.Addr) uint64 {
	a = a.Unmap()
	switch {
	case a.Is4():
		ip := a.As4()
		return 0xffffffff<<32 | uint64(binary.BigEndian.Uint32(ip[:]))
	case a.Is6():
		ip := a.As16()
		return max(1, binary.BigEndian.Uint64(ip[:8])) // ::1 must not become zero
	}
	return 0
}

// exceeded returns the limit that one more session would exceed. The caller
// holds the lock.
func (s *seats) exceeded(network uint64, user string) *exceeded {
	switch {
	case s.all >= s.max:
		return &exceeded{limit: limitSessions, value: s.max}
	case network != 0 && int(s.networks[network]) >= s.maxNetwork:
		return &exceeded{limit: limitSessionsPerAddress, value: s.maxNetwork}
	case user != "" && len(s.users.Sessions(user)) >= s.maxUser:
		return &exceeded{limit: limitSessionsPerUser, value: s.maxUser}
	}
	return nil
}

// check returns the limit that would be exceeded, for an early refusal; it
// takes no seat.
func (s *seats) check(addr netip.Addr, user string) *exceeded {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exceeded(networkNumber(addr), user)
}

// take gives a session its seat and adds it to the registry of users. crowded
// is the number of sessions from its network if a warning about that network is
// due, otherwise 0.
func (s *seats) take(addr netip.Addr, user, id string) (crowded int, e *exceeded) {
	network := networkNumber(addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.exceeded(network, user); e != nil {
		return 0, e
	}
	s.users.Join(user, id) // ignores anonymous sessions
	s.all++
	if network == 0 {
		return 0, nil
	}
	s.networks[network]++
	if n := int(s.networks[network]); s.all >= crowd && 2*n > s.all && time.Since(s.warned) >= crowdWarning {
		s.warned = time.Now()
		return n, nil
	}
	return 0, nil
}

func (s *seats) leave(addr netip.Addr, user, id string) {
	network := networkNumber(addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users.Leave(user, id)
	s.all--
	if network == 0 {
		return
	}
	if s.networks[network]--; s.networks[network] <= 0 {
		delete(s.networks, network)
	}
}

// sit takes a seat for the session, or returns the reason why there is none.
func (s *session) sit(user string) *Error {
	crowded, e := s.b.seats.take(s.peer.Addr(), user, s.id)
	if e != nil {
		return s.b.refuse(e, s.peer, user).failure()
	}
	if crowded > 0 && !s.b.trusted(s.peer.Addr()) {
		s.b.o.Logger.Log(s.b.ctx, slog.LevelWarn, "most sessions come from one address: if it is a proxy, add it to auth.trusted_proxies; until then its clients share the limits of one address",
			"address", s.peer.Addr(), "sessions", crowded, "sessions_per_address", s.b.policy.Load().limits.SessionsPerAddress)
	}
	return nil
}
