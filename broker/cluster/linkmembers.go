package cluster

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

// missedBeats is how many heart-beats a live node may miss.
const missedBeats = 3

// member is another node that is live.
type member struct {
	heard time.Time
	beat  uint64 // number of its last heart-beat
}

// Nodes returns the ids of all live nodes, this one included, in order.
func (l *Links) Nodes() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := []string{l.peer.Node}
	for id := range l.nodes {
		all = append(all, id)
	}
	slices.Sort(all)
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
		l.say(l.subject.all(), note{noteBeat, l.peer.Node, number})
	}
	tell()
	for {
		select {
		case <-l.done:
			return
		case m := <-l.control:
			n, err := decodeNote(m.Data)
			if err != nil {
				l.unreadable(err)
			} else if n.node != l.peer.Node && l.hear(n) {
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
			l.mu.Unlock()
		}
	}
}

// tidy forgets the nodes that are silent and the interests that have ended.
func (l *Links) tidy(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire(now)
	for id, m := range l.nodes {
		if now.Sub(m.heard) > missedBeats*l.o.Beat {
			l.forget(id, "it has missed its heart-beats")
		}
	}
}

// hear handles a note of another node. It reports whether that node does not
// know this one yet.
func (l *Links) hear(n note) (stranger bool) {
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
		m := l.nodes[n.node]
		if m == nil {
			m = &member{beat: n.number}
			l.nodes[n.node] = m
			l.unsettle()
			l.log.Info("a node has joined", "node", n.node, "nodes", len(l.nodes)+1)
			stranger = true
		} else if n.number > m.beat+1 {
			l.unsettle() // a heart-beat was lost, so the link was broken
		}
		m.heard, m.beat = time.Now(), max(m.beat, n.number)
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
	if l.barrier != nil {
		l.answered(l.barrier.id, node)
	}
	l.log.Info("a node has left", "node", node, "reason", why, "nodes", len(l.nodes)+1)
}

func (l *Links) say(subject string, n note) {
	if err := l.o.Conn.Publish(subject, n.encode()); err != nil {
		l.quiet.Log(context.Background(), l.log, slog.LevelWarn, loglimit.Key{Kind: "other nodes cannot be reached"}, "error", err)
	}
}
