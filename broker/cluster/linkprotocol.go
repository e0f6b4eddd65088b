package cluster

import (
	"fmt"
	"maps"
	"strconv"
	"time"
)

// protocol is what these links speak. A node tells it when it comes and in each
// heart-beat. A test builds another node with
// -ldflags "-X github.com/hoofbeat/hoofbeat/broker/cluster.protocol=2".
var protocol = "1"

// speaks returns the protocol of this node.
func speaks() (int, error) {
	n, err := strconv.Atoi(protocol)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("cluster: this program was built with the protocol %q, which is no number", protocol)
	}
	return n, nil
}

// A ProtocolError says that this node is too old for others.
type ProtocolError struct {
	Node     string // name of one of them
	Protocol int    // what it speaks
	Ours     int    // what this node speaks
}

func (e *ProtocolError) Error() string {
	return fmt.Sprintf("cluster: node %s speaks protocol %d and refuses this one, which speaks protocol %d: only one step apart works, so this node needs a newer release", e.Node, e.Protocol, e.Ours)
}

// compatible reports whether two protocols can work together: equal ones, and
// one step apart in both directions, so that a cluster can be upgraded node by
// node, and a node that has not been upgraded yet may restart meanwhile.
func compatible(a, b int) bool { return a-b <= 1 && b-a <= 1 }

// stranger is a node that this one cannot work with.
type stranger struct {
	traits
	heard time.Time
}

// strange notes a node whose protocol this one does not speak. Nothing that it
// publishes is delivered here, and it is not live. The older of the two is
// refused, and knows it. The caller holds the lock.
func (l *Links) strange(node string, what traits) {
	if what.name == "" {
		what.name = node
	}
	known := l.strangers[node] != nil
	l.strangers[node] = &stranger{what, time.Now()}
	if known {
		return
	}
	l.forget(node, "it speaks another protocol now")
	l.foreign()
	if what.protocol < l.protocol {
		l.log.Warn("a node is refused, because its protocol is too old: it needs a newer release",
			"node", node, "name", what.name, "protocol", what.protocol, "protocol_of_this_node", l.protocol)
	} else {
		l.log.Error("this node is refused by another one", "node", node, "error", l.refusal())
	}
	if l.awaited() {
		l.wake()
	}
}

// foreign tells receive whose messages it must not deliver. The caller holds the
// lock.
func (l *Links) foreign() {
	if len(l.strangers) == 0 {
		l.refused.Store(nil)
		return
	}
	list := make(map[string]struct{}, len(l.strangers))
	for node := range l.strangers {
		list[node] = struct{}{}
	}
	l.refused.Store(&list)
}

// forgetStrangers forgets those that are silent. The caller holds the lock.
func (l *Links) forgetStrangers(now time.Time) {
	before := len(l.strangers)
	maps.DeleteFunc(l.strangers, func(_ string, s *stranger) bool { return now.Sub(s.heard) > missedBeats*l.o.Beat })
	if len(l.strangers) < before {
		l.foreign()
		l.wake() // for what has waited for it
	}
}

// refusal returns a *ProtocolError if a newer node refuses this one. The caller
// holds the lock.
func (l *Links) refusal() error {
	for _, s := range l.strangers {
		if s.protocol > l.protocol {
			return &ProtocolError{s.name, s.protocol, l.protocol}
		}
	}
	return nil
}

// Refused returns a *[ProtocolError] while there are nodes whose protocol is too
// new for this one, and nil otherwise. Its clients then cannot subscribe to
// topics with a receipt, since they would miss what the newer nodes publish.
func (l *Links) Refused() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refusal()
}
