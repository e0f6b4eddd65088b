package store_test

import (
	"errors"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

// delivery returns what lets a delivery of the engine arrive late.
func (r *rig) delivery(t *testing.T, sequence uint64, n int) func() {
	t.Helper()
	arrive, err := r.Delivery(queue, sequence, n)
	if err != nil {
		t.Fatal(err)
	}
	return arrive
}

// A message that the engine sends to a reader while it is removed is not
// delivered, and not counted.
func TestWhatIsRemovedDoesNotCome(t *testing.T) {
	r := open(t, t.TempDir())
	r.putMany(t, queue, 3)
	k := r.take(t, queue, 0) // a reader without credit: nothing is asked for
	list, err := r.Browse(within(t), queue, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	late := r.delivery(t, list[1].Sequence, 1)
	if err := result(t, func(done func(error)) { r.Remove(queue, list[1].Sequence, done) }); err != nil {
		t.Fatal(err)
	}
	late()
	equal(t, "messages", r.counts()[queue][0], 2)
	k.reader.Want(10, 1<<20)
	equal(t, "delivered", bodies(k.next(2)), bodies([]broker.StoredMessage{list[0], list[2]}))
	equal(t, "messages", r.counts()[queue][0], 2)
}

// What comes while the removal is under way waits for its outcome: a removal that
// the engine refuses leaves the message to the reader.
func TestARemovalThatFailsDelivers(t *testing.T) {
	r := open(t, t.TempDir())
	r.putMany(t, queue, 2)
	k := r.take(t, queue, 0)
	list, err := r.Browse(within(t), queue, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	first := list[0].Sequence
	late, end := r.delivery(t, first, 1), r.Departing(queue, first)
	late()
	k.reader.Want(1, 1<<20)
	equal(t, "delivered", k.next(1)[0].Sequence, list[1].Sequence)
	equal(t, "messages", r.counts()[queue][0], 2)
	end(errors.New("refused"))
	k.reader.Want(1, 1<<20)
	equal(t, "delivered", k.next(1)[0].Sequence, first)
	equal(t, "messages", r.counts()[queue][0], 2)
}

// The engine may send a message again, because it heard of the acknowledgement
// too late.
func TestWhatIsAcknowledgedDoesNotComeAgain(t *testing.T) {
	r := open(t, t.TempDir())
	r.putMany(t, queue, 2)
	k := r.take(t, queue, 1)
	m := k.next(1)[0]
	late := r.delivery(t, m.Sequence, 2)
	k.ack(m)
	late()
	equal(t, "messages", r.counts()[queue][0], 1)
	k.reader.Want(10, 1<<20)
	if next := k.next(1)[0]; next.Sequence == m.Sequence {
		t.Error("it came again")
	}
}
