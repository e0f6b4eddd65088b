package broker

import (
	"regexp"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
)

func TestNodeIDs(t *testing.T) {
	seen := make(map[string]bool)
	for range 10_000 {
		id := newNodeID()
		if !regexp.MustCompile(`^[a-p][a-z2-7]{11}$`).MatchString(id) {
			t.Fatalf("%q", id)
		}
		if _, ours := encode.ParseAck(id + "-1"); ours {
			t.Fatalf("a message-id of %q looks like an ack id", id)
		}
		seen[id] = true
	}
	if len(seen) != 10_000 {
		t.Errorf("%d different ids of 10,000", len(seen))
	}
}

// The ids of sessions begin with the same tag. What follows cannot be guessed: it
// has 128 bits, and none of them is fixed, as the version of a UUID is.
func TestSessionIDs(t *testing.T) {
	node := newNodeID()
	var ones, zeros [16]byte // bits that were seen set, and not
	seen := make(map[string]bool)
	for range 2000 {
		id := newSessionID(node)
		if seen[id] {
			t.Fatalf("%q twice", id)
		}
		seen[id] = true
		random, err := idEncoding.DecodeString(id[nodeTagSize:])
		if len(id) != 32 || !strings.HasPrefix(id, node[:nodeTagSize]) || err != nil || len(random) != 16 {
			t.Fatalf("%q of %q: %v", id, node, err)
		}
		for i, b := range random {
			ones[i] |= b
			zeros[i] |= ^b
		}
	}
	for i := range ones {
		if ones[i] != 0xff || zeros[i] != 0xff {
			t.Errorf("bits of byte %d are constant", i)
		}
	}
}

// Sessions and messages of one broker have the same node in their ids, those of
// another one another.
func TestIDsNameTheNode(t *testing.T) {
	var last string
	for range 2 {
		b, err := New(Options{Authenticator: auth.Anonymous})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		bt, p := b.begin(&Message{Destination: "/topic/a"}, "/topic/a")
		id := p.message().ID
		bt.flushLater()
		node, number, _ := strings.Cut(id, "-")
		if len(node) != nodeIDSize || node == last || number != "1" || newSessionID(b.nodeID)[:nodeTagSize] != node[:nodeTagSize] {
			t.Errorf("message-id %q, node %q", id, b.nodeID)
		}
		last = node
	}
}
