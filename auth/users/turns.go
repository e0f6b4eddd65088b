package users

import (
	"context"
	"net/netip"
	"slices"
	"sync"
)

const (
	maxWaiting        = 1024 // logins that wait for a turn, all together
	maxWaitingNetwork = 64   // of one network
)

// turns share out the checks that may go on at one time. Those who wait stand in one line for each network, and the
// lines are served in turn, so that a network that sends a thousand logins delays another's by one check and not by a
// thousand.
type turns struct {
	mu      sync.Mutex
	free    int
	waiting int
	lines   map[netip.Addr]*line
	round   []*line // those with somebody in them; the first is served next
}

type line struct {
	network netip.Addr
	waiters []chan struct{} // each is closed when it is served
}

func newTurns(n int) *turns { return &turns{free: n, lines: make(map[netip.Addr]*line)} }

// networkOf is what one client has to itself: an IPv4 address, or the /64 of an IPv6 address.
func networkOf(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is6() {
		p, _ := a.WithZone("").Prefix(64) // 64 is in range
		return p.Addr()
	}
	return a
}

// take waits for a turn. It reports false when ctx is done, or when too many wait already.
func (t *turns) take(ctx context.Context, network netip.Addr) bool {
	if ctx.Err() != nil {
		return false
	}
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return true
	}
	turn := t.enter(network)
	t.mu.Unlock()
	if turn == nil {
		return false
	}
	select {
	case _, served := <-turn:
		return served // by a value; closed is for those who were pushed out
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.leave(network, turn) {
		return false
	}
	select {
	case _, served := <-turn: // it came at the same moment
		if served {
			t.pass()
		}
	default:
	}
	return false
}

// enter joins the line of a network, or returns nil. When too many wait in all, the last of the longest line makes
// room. The caller has the lock.
func (t *turns) enter(network netip.Addr) chan struct{} {
	l := t.lines[network]
	if l != nil && len(l.waiters) >= maxWaitingNetwork {
		return nil
	}
	if t.waiting >= maxWaiting {
		longest := slices.MaxFunc(t.round, func(a, b *line) int { return len(a.waiters) - len(b.waiters) })
		if l == longest || len(longest.waiters) == 1 {
			return nil
		}
		last := longest.waiters[len(longest.waiters)-1]
		t.leave(longest.network, last)
		close(last)
	}
	if l == nil {
		l = &line{network: network}
		t.lines[network] = l
		t.round = append(t.round, l)
	}
	turn := make(chan struct{}, 1)
	l.waiters = append(l.waiters, turn)
	t.waiting++
	return turn
}

// leave takes a waiter out of its line and reports whether it was still there. The caller has the lock.
func (t *turns) leave(network netip.Addr, turn chan struct{}) bool {
	l := t.lines[network]
	if l == nil {
		return false
	}
	i := slices.Index(l.waiters, turn)
	if i < 0 {
		return false
	}
	l.waiters = slices.Delete(l.waiters, i, i+1)
	t.waiting--
	if len(l.waiters) == 0 {
		delete(t.lines, network)
		t.round = slices.DeleteFunc(t.round, func(o *line) bool { return o == l })
	}
	return true
}

// give ends a turn.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pass()
}

// pass hands a turn to the first of the next line. The caller has the lock.
func (t *turns) pass() {
	if len(t.round) == 0 {
		t.free++
		return
	}
	l := t.round[0]
	t.round = append(t.round[1:], l)
	turn := l.waiters[0]
	t.leave(l.network, turn)
	turn <- struct{}{} // there is room
}
