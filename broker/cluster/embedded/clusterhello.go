//go:build !nostore

package embedded

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// Each node tells the others of itself each second, and at once when it hears of
// one that it did not know.
const (
	helloSubject = "hoofbeat.node.hello"
	helloEvery   = time.Second
	// silentFor is after how much silence a node does not count as connected.
	silentFor = 4 * time.Second
	// goneFor is after how much silence an edge is forgotten. It may have another
	// name when it comes again. A store node is not: it is missing.
	goneFor = time.Minute
	// leaderlessFor is for how long a node goes on without a leader: an election
	// takes four to nine seconds.
	leaderlessFor = 10 * time.Second
	// maxNodes bounds how many are remembered.
	maxNodes = 1000
)

// hello is what a node tells of itself.
type hello struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Store   bool   `json:"store,omitempty"`
	Witness bool   `json:"witness,omitempty"`
	Cluster string `json:"cluster,omitempty"` // its id
	Leader  string `json:"leader,omitempty"`  // as this node knows
	Current bool   `json:"current,omitempty"`
	// Lags is what the leader knows of the others.
	Lags map[string]uint64 `json:"lags,omitempty"`
	Bye  bool              `json:"bye,omitempty"`
}

// node is another node.
type node struct {
	hello
	heard time.Time // zero: never, in this process
	since time.Time // when it began to be connected or not
	on    bool      // connected
}

// listen begins to hear and to tell of nodes.
func (m *member) listen(s *Server) error {
	conn, err := s.Connect(nats.NoEcho())
	if err != nil {
		return err
	}
	m.conn = conn
	if _, err = conn.Subscribe(helloSubject, func(msg *nats.Msg) {
		var h hello
		if json.Unmarshal(msg.Data, &h) != nil || !validName(h.Name) || h.Name == m.o.Name {
			return // of another version, or the server finds out that a name is there twice
		}
		if m.heard(&h, time.Now()) {
			m.tellHello()
		}
	}); err != nil {
		conn.Close()
		return err
	}
	return nil
}

// leave tells the others that this node goes.
func (m *member) leave() {
	if m.conn == nil {
		return
	}
	data, err := json.Marshal(hello{Name: m.o.Name, Bye: true})
	if err == nil && m.conn.Publish(helloSubject, data) == nil {
		_ = m.conn.FlushTimeout(time.Second) // they notice without, later
	}
	m.conn.Close()
}

// tellHello tells the others of this node.
func (m *member) tellHello() {
	m.mu.Lock()
	h := hello{
		Name: m.o.Name, Address: m.address, Store: m.store, Witness: m.o.Witness, Cluster: m.id,
		Leader: m.leader, Current: m.current, Lags: m.lags,
	}
	m.mu.Unlock()
	data, err := json.Marshal(h)
	if err == nil {
		err = m.conn.Publish(helloSubject, data)
	}
	// While the engine is restarted nobody can be told.
	if err != nil && !errors.Is(err, nats.ErrConnectionReconnecting) && !errors.Is(err, nats.ErrReconnectBufExceeded) && !errors.Is(err, nats.ErrConnectionClosed) {
		m.log.Warnf("the other nodes cannot be told of this one: %v", err)
	}
}

// heard notes what a node has told, and reports whether it was not connected
// before.
func (m *member) heard(h *hello, now time.Time) (fresh bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[h.Name]
	if h.Bye {
		if n != nil && n.on {
			n.on, n.since, n.heard = false, now, now.Add(-silentFor)
		}
		return false
	}
	if n == nil {
		if len(m.nodes) >= maxNodes {
			return false
		}
		n = &node{since: now}
		m.nodes[h.Name] = n
	}
	fresh = !n.on
	if fresh {
		n.on, n.since = true, now
	}
	n.hello, n.heard = *h, now
	return fresh
}

// expire notes which nodes have become silent, with m.mu held.
func (m *member) expire(now time.Time) {
	for name, n := range m.nodes {
		silent := now.Sub(n.heard)
		if n.on && silent >= silentFor {
			n.on, n.since = false, now
		}
		if !n.on && !n.Store && silent >= goneFor {
			delete(m.nodes, name)
		}
	}
}

// storesOn returns how many store nodes are connected, this one included if it
// is one, with m.mu held.
func (m *member) storesOn() (n int) {
	if m.store {
		n++
	}
	for _, other := range m.nodes {
		if other.on && other.Store {
			n++
		}
	}
	return n
}

// votedLeader returns the store node that most store nodes name as their leader,
// with m.mu held. It is what an edge knows.
func (m *member) votedLeader() string {
	votes := make(map[string]int)
	for _, n := range m.nodes {
		if n.on && n.Store && n.Leader != "" {
			votes[n.Leader]++
		}
	}
	for name, n := range votes {
		if 2*n > len(m.stores) {
			return name
		}
	}
	return ""
}

// remember adds the names of store nodes that are connected, with m.mu held.
// There are no more than declared: then others are refused.
func (m *member) remember() {
	names := m.names
	add := func(name string) {
		if len(names) < len(m.stores) && !slices.Contains(names, name) {
			names = append(slices.Clone(names), name)
		}
	}
	add(m.o.Name)
	for name, n := range m.nodes {
		if n.on && n.Store && n.Cluster == m.id {
			add(name)
		}
	}
	slices.Sort(names)
	m.names = names
}
