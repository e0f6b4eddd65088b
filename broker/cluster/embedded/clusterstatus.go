//go:build !nostore

package embedded

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

var errNoMajority = &unavailableError{"most of the nodes that keep it are out of reach"}

// Status returns what this node sees of the cluster.
func (s *Server) Status() Status {
	if s.member == nil {
		return Status{Replicas: 1}
	}
	s.member.mu.Lock()
	defer s.member.mu.Unlock()
	return s.member.status(time.Now())
}

// status is called with m.mu held.
func (m *member) status(now time.Time) Status {
	st := Status{
		Name: m.o.Name, Address: m.address, Store: m.store, Witness: m.o.Witness,
		Leader: m.leader, Since: m.since, Formed: m.formed, Current: m.current, Replicas: m.replicas(),
	}
	if now.Sub(m.refusedAt) < refusedFor {
		st.Refused = m.refused
	}
	lags := m.lags
	if leader := m.nodes[m.leader]; leader != nil {
		lags = leader.Lags
	}
	known := map[string]bool{m.address: m.store}
	add := func(name string, n *node) {
		known[n.Address] = true
		st.Peers = append(st.Peers, Peer{
			Name: name, Address: n.Address, Store: n.Store, Witness: n.Witness,
			Connected: n.on, Since: n.since, Lag: lags[name], Current: n.on && n.Current,
		})
	}
	for name, n := range m.nodes {
		add(name, n)
	}
	silent := 0 // store nodes of which no more than the name or the address is known
	for _, address := range m.stores {
		if !known[address] {
			silent++
			st.Peers = append(st.Peers, Peer{Address: address, Store: true})
		}
	}
	// Only if it is clear which is which.
	if unheard := m.unheard(); silent == 1 && len(unheard) == 1 {
		for i := range st.Peers {
			if st.Peers[i].Name == "" {
				st.Peers[i].Name = unheard[0]
			}
		}
	}
	slices.SortFunc(st.Peers, func(a, b Peer) int {
		switch {
		case a.Store != b.Store && a.Store:
			return -1
		case a.Store != b.Store:
			return 1
		}
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address))
	})
	return st
}

// unheard returns the names of store nodes that this process has not heard of,
// with m.mu held.
func (m *member) unheard() (names []string) {
	for _, name := range m.names {
		if name != m.o.Name && m.nodes[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// replicas returns on how many nodes everything is to be kept.
func (m *member) replicas() int { return min(wantedReplicas, len(m.stores)) }

// Addr returns the address on which other nodes reach this one, or "" if it is
// alone, or its engine is restarted.
func (s *Server) Addr() string {
	engine := s.current()
	if s.member == nil || engine == nil || engine.ClusterAddr() == nil {
		return ""
	}
	return engine.ClusterAddr().String()
}

// Await waits until the state is without an error: in a cluster, until there is
// a leader, and at first until all store nodes are there.
func (s *Server) Await(ctx context.Context) error {
	for {
		changed := s.changed()
		switch err := s.State().Err; {
		case err == nil:
			return nil
		case err == error(errClosed):
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// attend tells others of this node and notes what they tell, until the Server is
// closed.
func (s *Server) attend() {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	var last time.Time
	for {
		select {
		case <-s.life.Done():
			return
		case <-tick.C:
			now := time.Now() // the tick may have waited
			s.look(now)
			if now.Sub(last) >= helloEvery {
				last = now
				s.member.tellHello()
			}
		}
	}
}

// look asks the engine for the leader, and judges what is known of the others.
func (s *Server) look(now time.Time) {
	m := s.member
	leader, lags := leaderOf(s.current())
	m.mu.Lock()
	m.expire(now)
	// The server believes in a leader for some seconds longer than it hears of it.
	switch n := m.nodes[leader]; {
	case !m.store:
		leader = m.votedLeader()
	case leader == m.o.Name:
		if 2*m.storesOn() <= len(m.stores) {
			leader = ""
		}
	case n == nil || !n.on:
		leader = ""
	}
	if leader != m.leader {
		m.leader, m.since = leader, now
	}
	if leader != m.o.Name {
		lags = nil
	}
	m.lags = lags
	var tell func()
	if leader == "" {
		tell = m.tell(now)
	} else {
		m.lastLeader, m.formed = now, true
		m.remember()
	}
	lost := m.lastLeader.IsZero() || now.Sub(m.lastLeader) >= leaderlessFor
	m.mu.Unlock()
	if tell != nil {
		tell()
	}
	if leader != "" {
		s.identify()
	}
	var err error
	if lost {
		err = errNoMajority
	}
	s.setReach(err)
}

// leaderOf returns the leader that an engine knows, and, if it is that itself,
// how far the others are behind.
func leaderOf(engine *server.Server) (leader string, lags map[string]uint64) {
	if engine == nil {
		return "", nil
	}
	info, err := engine.Jsz(nil)
	if err != nil || info.Meta == nil {
		return "", nil // an edge, or not yet
	}
	lags = make(map[string]uint64)
	for _, r := range info.Meta.Replicas {
		lags[r.Name] = r.Lag
	}
	return info.Meta.Leader, lags
}
