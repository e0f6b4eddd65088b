package cluster

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

// missedBeats is how many heart-beats a live node may miss.
const missedBeats = 3

// member is another node that is live.
type member struct {
	traits
	since time.Time
	heard time.Time
	beat  uint64 // number of its last heart-beat
}

// Node is a broker that is live, as this one sees it.
type Node struct {
	ID       string    // of this run of its broker: message-ids begin with it
	Name     string    // its LinksOptions.Name
	Protocol int       // what its links speak
	Since    time.Time // live since then, as this node knows
	Heard    time.Time // its last heart-beat; of this node, now
}

// called returns the name of a node for people.
func (m *member) called(id string) string { return cmp.Or(m.name, id) }

// Nodes returns all live nodes, this one included, in the order of their ids.
func (l *Links) Nodes() []Node {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := []Node{{l.peer.Node, cmp.Or(l.o.Name, l.peer.Node), l.protocol, l.since, time.Now()}}
	for id, m := range l.nodes {
		all = append(all, Node{id, m.called(id), m.protocol, m.since, m.heard})
	}
	slices.SortFunc(all, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// listen handles notes, sends heart-beats, and notices those that are missed.
func (l *Links) listen() {
	back := l.o.Conn.StatusChanged(nats.CONNECTED)
	defer l.o.Conn.RemoveStatusListener(back)
	beat := time.NewTicker(l.o.Beat)
	defer beat.Stop()
	expire := time.NewTicker(min(leaveAfter/2, l.o.Beat))
	defer expire.Stop()
	var number uint64
	tell := func() {
		number++
		l.tell(l.subject.all(), l.traits(note{noteBeat, l.peer.Node, number}))
	}
	tell()
	for {
		select {
		case <-l.done:
			return
		case m := <-l.control:
			n, what, err := decodeBeat(m.Data)
			if err != nil {
				l.unreadable(err)
			} else if n.node != l.peer.Node && l.hear(n, what) {
				tell()
			}
		case <-beat.C:
			tell()
		case <-expire.C:
			l.tidy(time.Now())
		case _, ok := <-back:
			if !ok {
				back = nil
				continue
			}
			l.mu.Lock()
			l.unsettle()
			for id := range l.nodes {
				l.asks.uncertain(id)
			}
			l.mu.Unlock()
		}
	}
}

// traits returns a note with what this node says of itself.
func (l *Links) traits(n note) []byte { return traits{l.protocol, l.o.Name}.append(n.encode()) }

// tidy forgets the nodes that are silent and the interests that have ended.
func (l *Links) tidy(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire(now)
	l.unfold()
	l.expireUsers(now)
	l.missReplies()
	l.forgetStrangers(now)
	for id, m := range l.nodes {
		if now.Sub(m.heard) > missedBeats*l.o.Beat {
			l.forget(id, "it has missed its heart-beats")
		}
	}
}

// hear handles a note of another node. It reports whether that node does not
// know this one yet.
func (l *Links) hear(n note, what traits) (stranger bool) {
	switch n.kind {
	case noteQuestion:
		l.say(l.subject.node(n.node), note{noteAnswer, l.peer.Node, n.number})
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch n.kind {
	case noteAnswer:
		l.answered(n.number, n.node)
	case noteBye:
		l.forget(n.node, "it has said good-bye")
	case noteHello, noteBeat:
		if !compatible(l.protocol, what.protocol) {
			l.strange(n.node, what)
			return n.kind == noteHello // so it learns of this one
		}
		if l.strangers[n.node] != nil {
			delete(l.strangers, n.node)
			l.foreign()
		}
		m := l.nodes[n.node]
		if m == nil {
			m = &member{beat: n.number, since: time.Now()}
			l.nodes[n.node] = m
			l.unsettle()
			l.log.Info("a node has joined", "node", n.node, "name", what.name, "nodes", len(l.nodes)+1)
			stranger = true
		} else if n.number > m.beat+1 {
			l.unsettle() // a heart-beat was lost, so the link was broken
			l.asks.uncertain(n.node)
		}
		m.traits, m.heard, m.beat = what, time.Now(), max(m.beat, n.number)
		return stranger || n.kind == noteHello
	}
	return false
}

// forget makes a node not live. The caller holds the lock.
func (l *Links) forget(node, why string) {
	if _, ok := l.nodes[node]; !ok {
		return
	}
	delete(l.nodes, node)
	l.lose(node)
	if l.barrier != nil {
		l.answered(l.barrier.id, node)
	}
	l.log.Info("a node has left", "node", node, "reason", why, "nodes", len(l.nodes)+1)
}

func (l *Links) say(subject string, n note) { l.tell(subject, n.encode()) }

// tell sends bytes to other nodes.
func (l *Links) tell(subject string, b []byte) {
	if err := l.o.Conn.Publish(subject, b); err != nil {
		l.quiet.Log(context.Background(), l.log, slog.LevelWarn, loglimit.Key{Kind: "other nodes cannot be reached"}, "error", err)
	}
}
