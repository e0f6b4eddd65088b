package broker

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
)

// An ACK takes its message out of the unacknowledged without an allocation, and
// the check of a queue's name makes no string.
func TestAcknowledgeAllocatesNothing(t *testing.T) {
	b, err := New(Options{Authenticator: auth.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	sub := &subscriber{ordinal: 1, mode: ackIndividual}
	s := &session{b: b, ordinal: 1, subs: []*subscriber{sub}}
	bt := b.newBatch()
	defer bt.release()
	pending := make([]unacknowledged, 0, 4)
	wrong := false
	cost := testing.AllocsPerRun(100, func() {
		sub.acks += 2
		sub.pending = append(pending, unacknowledged{n: sub.acks - 1}, unacknowledged{n: sub.acks})
		last, _ := s.settleAckID(encode.Ack{Subscription: 1, Number: sub.acks}, bt)
		wrong = wrong || len(last) != 1 || last[0].n != sub.acks
		first, _ := s.settleAckID(encode.Ack{Subscription: 1, Number: sub.acks - 1}, bt)
		wrong = wrong || len(first) != 1 || first[0].n != sub.acks-1
		if err := b.queueName("/queue/jobs"); err != nil {
			t.Fatal(err)
		}
	})
	if wrong {
		t.Error("an ACK settles another delivery than its own")
	}
	if cost != 0 {
		t.Errorf("two ACKs and a check of a name cost %v allocations, want none", cost)
	}
}
