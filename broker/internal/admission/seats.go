package admission

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
)

// seats limit the connected sessions: in total, of one user and from one
// network. The registry of users already counts their sessions, so a session
// needs no additional memory for that.
type seats struct {
	users      Users
	max        int
	maxUser    int
	maxNetwork int

	mu       sync.Mutex
	all      int
	networks map[uint64]int32
	warned   time.Time // when a warning was last due that most sessions come from one network
}

// Users is the registry of the connected sessions of each user.
// *[topics.Router] is one.
type Users interface {
	Join(user, session string)  // ignores anonymous sessions
	Leave(user, session string) // the same
	Sessions(user string) []string
}

// A warning is due if most sessions come from one network: only from crowd
// sessions on, and at most once per crowdWarning.
const (
	crowd        = 100
	crowdWarning = time.Hour
)

// setLimits sets the limits. Sessions that exceed them stay.
func (s *seats) setLimits(l Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.max, s.maxUser, s.maxNetwork = l.Sessions, l.SessionsPerUser, l.SessionsPerAddress
}

// networkNumber returns [httpsec.Network] of an address as eight bytes: IPv4
// addresses use a range in which IPv6 has only multicast. Zero means no network.
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
func (s *seats) exceeded(network uint64, user string) *limit.Exceeded {
	switch {
	case s.all >= s.max:
		return &limit.Exceeded{Limit: limit.Sessions, Value: s.max}
	case network != 0 && int(s.networks[network]) >= s.maxNetwork:
		return &limit.Exceeded{Limit: limit.SessionsPerAddress, Value: s.maxNetwork}
	case user != "" && len(s.users.Sessions(user)) >= s.maxUser:
		return &limit.Exceeded{Limit: limit.SessionsPerUser, Value: s.maxUser}
	}
	return nil
}

// check returns the limit that would be exceeded, for an early refusal; it
// takes no seat.
func (s *seats) check(addr netip.Addr, user string) *limit.Exceeded {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exceeded(networkNumber(addr), user)
}

// take gives a session its seat and adds it to the registry of users. crowded
// is the number of sessions from its network if a warning about that network is
// due, otherwise 0.
func (s *seats) take(addr netip.Addr, user, id string) (crowded int, e *limit.Exceeded) {
	network := networkNumber(addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.exceeded(network, user); e != nil {
		return 0, e
	}
	s.users.Join(user, id)
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
