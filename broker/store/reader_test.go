package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

func TestAReaderGetsWhatItWants(t *testing.T) {
	r := open(t, t.TempDir())
	r.putMany(t, queue, 50)
	k := r.take(t, queue, 0)
	k.idle()
	k.reader.Want(3, 1<<20)
	equal(t, "the first", bodies(k.next(3)), numbers(0, 3))
	k.idle()
	k.reader.Want(10, 205) // two messages of 101 bytes or 102
	equal(t, "as many as fit", bodies(k.next(2)), numbers(3, 5))
	k.idle()
	k.reader.Want(10, 1) // at least one
	equal(t, "a large one", bodies(k.next(1)), numbers(5, 6))
	k.idle()
	k.reader.Want(100, 1<<20)
	equal(t, "the rest", bodies(k.next(44)), numbers(6, 50))
	r.put(t, message(queue, "later"))
	equal(t, "a later one", bodies(k.next(1)), []string{"later"})
	// What is not wanted any more stays for others.
	k.reader.Want(0, 0)
	r.put(t, message(queue, "other"))
	k.idle()
	other := r.take(t, queue, 1)
	equal(t, "what the other reader gets", bodies(other.next(1)), []string{"other"})
}

func TestReturnedMessagesComeAgainInOrder(t *testing.T) {
	r := open(t, t.TempDir())
	r.putMany(t, queue, 20)
	k := r.take(t, queue, 10)
	list := k.next(10)
	for _, m := range list {
		if m.Redelivered || m.Attempts != 0 {
			t.Errorf("%s: redelivered %t, %d attempts", m.Message.Body, m.Redelivered, m.Attempts)
		}
	}
	k.ack(list[0])
	k.reader.Attempted(list[4].Sequence, 2)
	back := sequences(list[2:8])
	slices.Reverse(back)
	k.reader.Return(back)
	k.reader.Return(back) // not held any more
	k.reader.Want(100, 1<<20)
	again := k.next(16)
	equal(t, "the order", bodies(again), append(numbers(2, 8), numbers(10, 20)...))
	for i, m := range again {
		if m.Redelivered != (i < 6) || m.Attempts != map[bool]int{i == 2: 2}[true] {
			t.Errorf("%s: redelivered %t, %d attempts", m.Message.Body, m.Redelivered, m.Attempts)
		}
	}
	if err := result(t, func(done func(error)) { k.reader.Ack([]uint64{list[0].Sequence}, done) }); !errors.Is(err, broker.ErrNotHeld) {
		t.Errorf("a second acknowledgement: %v", err)
	}
	// Close gives everything back: 1, 2…9, 10…19.
	k.reader.Close()
	if err := result(t, func(done func(error)) { k.reader.Ack(sequences(again), done) }); !errors.Is(err, broker.ErrNotHeld) {
		t.Errorf("an acknowledgement after Close: %v", err)
	}
	all := r.take(t, queue, 100).next(19)
	equal(t, "after Close", bodies(all), numbers(1, 20))
	for _, m := range all {
		if !m.Redelivered {
			t.Errorf("%s is not redelivered", m.Message.Body)
		}
	}
	equal(t, "messages", r.counts()[queue][0], 19)
}

func TestAttemptsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	r.putMany(t, queue, 3)
	k := r.take(t, queue, 3)
	list := k.next(3)
	k.reader.Attempted(list[0].Sequence, 3)
	k.reader.Attempted(list[1].Sequence, 4)
	k.reader.Attempted(list[2].Sequence, 1)
	// The barrier covers what was said before.
	k.reader.Ack([]uint64{list[1].Sequence}, nil)
	if err := result(t, func(done func(error)) { k.reader.Ack(nil, done) }); err != nil {
		t.Fatal(err)
	}
	r.close()
	r = open(t, dir)
	list = r.take(t, queue, 3).next(2)
	equal(t, "attempts", fmt.Sprint(bodies(list), list[0].Attempts, list[1].Attempts), "[0 2] 3 1")
}

func TestAMessageIsReplacedOnce(t *testing.T) {
	const dlq = "/queue/DLQ.orders"
	dir := t.TempDir()
	r := open(t, dir)
	r.put(t, message(dlq, "sent there"))
	r.putMany(t, queue, 3)
	k := r.take(t, queue, 3)
	d := r.take(t, dlq, 10) // reads already when the first one comes
	equal(t, "sent to the queue of dead letters", bodies(d.next(1)), []string{"sent there"})
	list := k.next(3)
	replace := func(m broker.StoredMessage, body string) error {
		return result(t, func(done func(error)) { r.Replace(queue, m.Sequence, message(dlq, body), done) })
	}
	if err := replace(list[1], "dead 1"); err != nil {
		t.Fatal(err)
	}
	equal(t, "the dead letter", bodies(d.next(1)), []string{"dead 1"})
	// The answer was lost, and it is said again.
	if err := replace(list[1], "dead 1 again"); err != nil {
		t.Fatal(err)
	}
	d.idle()
	equal(t, "queues", r.counts(), map[string][2]int{dlq: {2, 110 + 106}, queue: {2, 202}})
	r.close()

	r = open(t, dir)
	if err := replace(list[1], "dead 1 after a restart"); err != nil {
		t.Fatal(err)
	}
	if err := replace(list[0], "dead 0"); err != nil { // nobody holds it
		t.Fatal(err)
	}
	d = r.take(t, dlq, 10)
	equal(t, "the dead letters", bodies(d.next(3)), []string{"sent there", "dead 1", "dead 0"})
	d.idle()
	equal(t, "what is left", bodies(r.take(t, queue, 10).next(1)), []string{"2"})
}

func TestPurgeLeavesWhatReadersHold(t *testing.T) {
	r := open(t, t.TempDir())
	if _, err := r.Purge(within(t), queue); !errors.Is(err, broker.ErrNoQueue) {
		t.Error(err)
	}
	purge := func(want int) {
		t.Helper()
		n, err := r.Purge(within(t), queue)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "purged", n, want)
	}
	r.putMany(t, queue, 30)
	r.putMany(t, "/queue/other", 1)
	k := r.take(t, queue, 7)
	held := k.next(7)
	k.reader.Return(sequences(held[:2]))
	purge(25)
	r.put(t, message(queue, "new"))
	k.reader.Want(10, 1<<20)
	equal(t, "the next", bodies(k.next(1)), []string{"new"})
	k.ack(held[2:]...)
	equal(t, "queues", r.counts(), map[string][2]int{queue: {1, 103}, "/queue/other": {1, 101}})
	k.reader.Close()
	purge(1)
	r.putMany(t, queue, 2000)
	purge(2000)
	equal(t, "queues", r.counts(), map[string][2]int{"/queue/other": {1, 101}})
}

func TestBrowseShowsTheQueueWithoutTakingIt(t *testing.T) {
	r := open(t, t.TempDir())
	if _, err := r.Browse(within(t), queue, 0, 10); !errors.Is(err, broker.ErrNoQueue) {
		t.Error(err)
	}
	r.putMany(t, queue, 150)
	k := r.take(t, queue, 2)
	held := k.next(2)
	k.ack(held[1])
	var all []string
	after := uint64(0)
	for {
		list, err := r.Browse(within(t), queue, after, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		all = append(all, bodies(list)...)
		after = list[len(list)-1].Sequence
	}
	equal(t, "pages", all, append([]string{"0"}, numbers(2, 150)...))
}

// The store says when a message was stored, also of the oldest one of a queue, and
// also after a restart.
func TestMessagesHaveTheTimeWhenTheyWereStored(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	begin := time.Now().Truncate(time.Millisecond)
	r.putMany(t, queue, 3)
	end := time.Now()
	oldest := func() time.Time {
		for q := range r.Queues.Queues() {
			if q.Name == queue {
				return q.Oldest
			}
		}
		return time.Time{}
	}
	within := func(what string, at time.Time) {
		t.Helper()
		if at.Before(begin) || at.After(end) {
			t.Errorf("%s at %v, not from %v to %v", what, at, begin, end)
		}
	}
	within("the oldest", oldest())
	k := r.take(t, queue, 1)
	held := k.next(1)
	within("a message that was read", held[0].Put)
	list, err := r.Browse(t.Context(), queue, 0, 10)
	if err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	for i := range list {
		within("a message of the queue", list[i].Put)
	}
	r.close()

	r = open(t, dir)
	again, err := r.Browse(t.Context(), queue, 0, 10)
	if err != nil || len(again) != 3 {
		t.Fatal(again, err)
	}
	for i := range again {
		if !again[i].Put.Equal(list[i].Put) {
			t.Errorf("stored at %v, after a restart at %v", list[i].Put, again[i].Put)
		}
	}
	if at := oldest(); !at.Equal(list[0].Put) {
		t.Errorf("after a restart the oldest is of %v, want %v", at, list[0].Put)
	}
	k = r.take(t, queue, 2)
	for _, m := range k.next(2) {
		k.ack(m)
	}
	if at := oldest(); !at.Equal(list[2].Put) {
		t.Errorf("now the oldest is of %v, want %v", at, list[2].Put)
	}
}

// A message that a reader holds is its own: only one that waits is removed.
func TestRemoveLeavesWhatReadersHold(t *testing.T) {
	r := open(t, t.TempDir())
	r.putMany(t, queue, 3)
	k := r.take(t, queue, 1)
	held := k.next(1)[0]
	all, err := r.Browse(within(t), queue, 0, 10)
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	for _, m := range []broker.StoredMessage{all[0], all[1], all[1]} {
		if err := result(t, func(done func(error)) { r.Remove(queue, m.Sequence, done) }); err != nil {
			t.Errorf("removing %s: %v", m.Message.Body, err)
		}
	}
	list, err := r.Browse(within(t), queue, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "left", bodies(list), []string{"0", "2"})
	k.ack(held) // fails if it is not held any more
	equal(t, "counted", r.counts()[queue][0], 1)
}

// A reader that acknowledges faster than the engine processes that, and waits for
// no outcome, gets no further messages until the engine has caught up. Otherwise
// the next question to the engine would wait behind all of it.
func TestTheEngineDoesNotFallBehind(t *testing.T) {
	const n = 3 * store.MaxBehind
	r := open(t, t.TempDir(), limited(store.Limits{Messages: 2 * n}))
	r.putMany(t, queue, n)
	k := r.take(t, queue, n)
	most := 0
	for done, end := 0, time.After(patience); done < n; {
		select {
		case <-k.changed:
		case <-end:
			t.Fatalf("%d of %d messages", done, n)
		}
		k.mu.Lock()
		list := k.list
		k.list = nil
		k.mu.Unlock()
		for _, m := range list {
			k.reader.Ack([]uint64{m.Sequence}, nil)
		}
		done += len(list)
		most = max(most, r.Behind())
	}
	if most > store.MaxBehind+2*store.PullBatch {
		t.Errorf("the engine was %d acknowledgements behind", most)
	}
	if err := result(t, func(done func(error)) { k.reader.Ack(nil, done) }); err != nil || r.Err() != nil {
		t.Errorf("%v, %v", err, r.Err())
	}
	equal(t, "left", r.counts()[queue][0], 0)
}

func TestTwoReadersShareAQueue(t *testing.T) {
	r := open(t, t.TempDir())
	a, b := r.take(t, queue, 1000), r.take(t, queue, 1000)
	r.putMany(t, queue, 400)
	seen := make(map[string]int)
	have := func(k *taker) int { k.mu.Lock(); defer k.mu.Unlock(); return len(k.list) }
	for end := time.Now().Add(patience); have(a)+have(b) < 400; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d and %d messages", have(a), have(b))
		}
	}
	for _, k := range []*taker{a, b} {
		for _, s := range bodies(k.next(len(k.list))) {
			seen[s]++
		}
	}
	for i := range 400 {
		if seen[strconv.Itoa(i)] != 1 {
			t.Errorf("message %d came %d times", i, seen[strconv.Itoa(i)])
		}
	}
}

func TestAnUnreadableMessageStaysAndIsNamed(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	conn, err := r.engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r.putMany(t, queue, 1)
	k := r.take(t, queue, 10)
	k.next(1)
	subject := subjectOf(queue)
	for _, data := range []string{"\x02\x00rest of a later format", "\x01"} {
		if _, err := conn.RequestWithContext(within(t), subject, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	r.put(t, message(queue, "good"))
	equal(t, "what can be read", bodies(k.next(1)), []string{"good"})
	r.close()
	r = open(t, dir)
	equal(t, "messages that count", r.counts()[queue][0], 2)
	equal(t, "what can be read", bodies(r.take(t, queue, 10).next(2)), []string{"0", "good"})
}

func TestTooManyQueuesWithConsumers(t *testing.T) {
	r := open(t, t.TempDir(), limited(store.Limits{Queues: 2}))
	r.take(t, "/queue/a", 1)
	b := r.take(t, "/queue/b", 1)
	r.take(t, "/queue/b", 1) // the same queue again
	_, err := r.Open("/queue/c", b)
	wantFull(t, err, "queues.queues", 2)
	b.reader.Close()
}

// Readers come and go while the engine is delivering to them. Whatever was on its
// way, the next one gets all that is left, in order, and what was seen says so.
func TestQueuesThatAreClosedKeepTheirOrder(t *testing.T) {
	for name, set := range modes {
		t.Run(name, func(t *testing.T) {
			r := open(t, t.TempDir(), set)
			const n = 300
			r.putMany(t, queue, n)
			seen := make(map[string]bool)
			acked := 0
			for round := range 12 {
				k := r.take(t, queue, 20+round*20)
				list := k.next(1 + round*7)
				for i, m := range list {
					body := string(m.Message.Body)
					equal(t, "the message", body, strconv.Itoa(acked+i))
					if seen[body] && !m.Redelivered {
						t.Errorf("round %d: %s is not redelivered", round, body)
					}
					seen[body] = true
				}
				k.reader.Ack(sequences(list[:round%4]), nil) // nobody waits for it
				acked += len(list[:round%4])
				if round%3 == 0 && len(list) > round%4 {
					k.reader.Attempted(list[round%4].Sequence, round)
					k.reader.Return(sequences(list[round%4:]))
				}
				k.reader.Close()
			}
			equal(t, "what is left", bodies(r.take(t, queue, n).next(n-acked)), numbers(acked, n))
			equal(t, "messages", r.counts()[queue][0], n-acked)
		})
	}
}

// What one of two readers gives back, or has not taken when it goes, is offered
// to the other at once, before what was sent later.
func TestWhatOneReaderGivesBackTheOtherGets(t *testing.T) {
	r := open(t, t.TempDir())
	r.putMany(t, queue, 10)
	a := r.take(t, queue, 10)
	first := a.next(10)
	b := r.take(t, queue, 4)
	b.idle()
	a.reader.Return(sequences(first[4:8]))
	list := b.next(4)
	equal(t, "what was given back", bodies(list), numbers(4, 8))
	for _, m := range list {
		if !m.Redelivered {
			t.Errorf("%s is not redelivered", m.Message.Body)
		}
	}
	r.put(t, message(queue, "later"))
	a.reader.Close()
	b.reader.Want(100, 1<<20)
	equal(t, "what the other held", bodies(b.next(7)), append(append(numbers(0, 4), numbers(8, 10)...), "later"))
	b.idle()
}
