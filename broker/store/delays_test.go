package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

// delayedMessage makes a delayed message.
func delayedMessage(destination, body string, in time.Duration) broker.DelayPut {
	p := message("", body)
	p.Message.Destination = destination
	p.Share, p.Expires = "user ann", time.Now().Add(time.Hour).Truncate(time.Millisecond)
	return broker.DelayPut{QueuePut: p, Due: time.Now().Add(in).Truncate(time.Millisecond), User: "ann"}
}

func (r *rig) tryDelay(t testing.TB, delayed []broker.DelayPut, list ...broker.QueuePut) error {
	t.Helper()
	return result(t, func(done func(error)) { r.Delay(delayed, list, done) })
}

func (r *rig) delay(t testing.TB, delayed ...broker.DelayPut) {
	t.Helper()
	if err := r.tryDelay(t, delayed); err != nil {
		t.Fatal(err)
	}
}

// waiting returns the bodies of the delayed messages.
func (r *rig) waiting() []string {
	var list []string
	for m := range r.Delays() {
		list = append(list, string(m.Message.Body))
	}
	slices.Sort(list)
	return list
}

// stream returns how many messages the engine has under subjects.
func (r *rig) stream(t testing.TB, subjects string) int {
	t.Helper()
	conn, err := r.engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(within(t), "HB_QUEUE")
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(within(t), jetstream.WithSubjectFilter(subjects))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, k := range info.State.Subjects {
		n += int(k)
	}
	return n
}

// beside opens the queues once more in the same engine, as another node does.
func (r *rig) beside(t testing.TB) *rig {
	t.Helper()
	data, err := r.engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	control, err := r.engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	q, err := store.OpenQueues(within(t), store.Options{Data: data, Control: control, SyncAlways: true, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		data.Close()
		control.Close()
	})
	return &rig{Queues: q, engine: r.engine}
}

// until waits for a condition of the store.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// dueTaker takes what is due.
type dueTaker struct {
	broker.DelayReader
	t   testing.TB
	got chan broker.StoredDelay
}

func (r *rig) takeDue(t testing.TB) *dueTaker {
	t.Helper()
	k := &dueTaker{t: t, got: make(chan broker.StoredDelay, 10_000)}
	k.DelayReader = r.OpenDelays(func(list []broker.StoredDelay) {
		for _, m := range list {
			if time.Now().Before(m.Due) {
				t.Errorf("%s comes before it is due", m.Message.Body)
			}
			k.got <- m
		}
	})
	return k
}

func (k *dueTaker) next() broker.StoredDelay {
	k.t.Helper()
	m, ok := k.tryNext()
	if !ok {
		k.t.Fatal("nothing is due")
	}
	return m
}

// tryNext is next for any goroutine.
func (k *dueTaker) tryNext() (broker.StoredDelay, bool) {
	select {
	case m := <-k.got:
		return m, true
	case <-time.After(patience):
		return broker.StoredDelay{}, false
	}
}

// move moves a message into a queue.
func (k *dueTaker) move(m broker.StoredDelay, queue string) error {
	k.t.Helper()
	put := m.QueuePut
	put.Queue = queue
	return result(k.t, func(done func(error)) { k.Move(m.Sequence, put, done) })
}

// Delayed messages survive the store, as they were put, and are handed over when
// they are due, in order. What was moved, removed or cancelled does not come
// again, and leaves nothing.
func TestDelaysSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	puts := []broker.DelayPut{
		delayedMessage("/queue/a", "2", 20*time.Millisecond), delayedMessage("/topic/a", "1", 0),
		delayedMessage("/queue/a", "3", 20*time.Millisecond), delayedMessage("/queue/a", "later", time.Hour), delayedMessage("/queue/a", "cancelled", time.Hour),
	}
	puts[1].Due, puts[2].Due = puts[0].Due.Add(-10*time.Millisecond), puts[0].Due
	r.delay(t, puts[:2]...)
	r.delay(t, puts[2:]...)
	if err := r.tryDelay(t, []broker.DelayPut{puts[0]}); !errors.Is(err, broker.ErrDelayedExists) {
		t.Errorf("a second message with the ID: %v", err)
	}
	if err := result(t, func(done func(error)) { r.CancelDelay("id-cancelled", done) }); err != nil {
		t.Fatal(err)
	}
	if err := result(t, func(done func(error)) { r.CancelDelay("id-cancelled", done) }); !errors.Is(err, broker.ErrNotDelayed) {
		t.Errorf("cancelled twice: %v", err)
	}
	n, bytes := r.DelayStats()
	r.close()

	r = open(t, dir)
	if again, b := r.DelayStats(); again != 4 || n != 4 || b != bytes {
		t.Errorf("%d messages of %d bytes were %d of %d", again, b, n, bytes)
	}
	k := r.takeDue(t)
	for i, want := range []int{1, 0, 2} {
		m, p := k.next(), puts[want]
		if string(m.Message.Body) != string(p.Message.Body) || !m.Due.Equal(p.Due) || !m.Expires.Equal(p.Expires) ||
			m.User != p.User || m.Share != p.Share || m.Size != p.Size || m.Message.ID != p.Message.ID || m.Message.Destination != p.Message.Destination {
			t.Errorf("message %d is %+v, want %+v", i, m, p)
		}
		switch i {
		case 0:
			k.Remove(m.Sequence)
		case 1:
			if err := k.move(m, "/queue/a"); err != nil {
				t.Fatal(err)
			}
			if err := k.move(m, "/queue/a"); !errors.Is(err, broker.ErrNotHeld) {
				t.Errorf("moved twice: %v", err)
			}
		case 2:
			k.Later(m.Sequence, time.Now().Add(5*time.Millisecond))
			if again := k.next(); again.Sequence != m.Sequence {
				t.Errorf("%s comes later", again.Message.Body)
			}
		}
	}
	k.Close() // 3 goes back
	until(t, "what is done is not removed", func() bool { return r.stream(t, "hb.w.>") == 2 })
	r.close()
	r = open(t, dir)
	equal(t, "waiting", r.waiting(), []string{"3", "later"})
	equal(t, "queues", r.counts(), map[string][2]int{"/queue/a": {1, 101}})
	if got := r.takeDue(t).next(); string(got.Message.Body) != "3" {
		t.Errorf("%s is due", got.Message.Body)
	}
}

// A message that was moved just before the process ended is not moved again, and
// its rest is removed.
func TestAMoveThatWasNotFinished(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	r.delay(t, delayedMessage("/queue/a", "1", time.Hour), delayedMessage("/queue/a", "2", time.Hour))
	var first uint64
	for m := range r.Delays() {
		if string(m.Message.Body) == "1" {
			first = m.Sequence
		}
	}
	conn, err := r.engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	// The mark is what the move leaves; the message in the queue matters not.
	if _, err := conn.Request(store.DelayMark("id-1"), fmt.Append(nil, first), patience); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	r.close()
	r = open(t, dir)
	equal(t, "waiting", r.waiting(), []string{"2"})
	if n := r.stream(t, "hb.w.>"); n != 1 {
		t.Errorf("the stream has %d messages for one", n)
	}
}

// Several nodes that move one message at a time have it in its queue once.
func TestAMessageMovesOnce(t *testing.T) {
	r := open(t, t.TempDir())
	const n = 50
	var puts []broker.DelayPut
	for i := range n {
		puts = append(puts, delayedMessage("/queue/a", fmt.Sprint(i), 0))
	}
	r.delay(t, puts...)
	var conns []*rig
	for range 2 {
		conns = append(conns, r.beside(t))
	}
	var moved, others int
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, x := range append(conns, r) {
		k := x.takeDue(t)
		all.Go(func() {
			for range n {
				m, ok := k.tryNext()
				if !ok {
					t.Error("nothing is due")
					return
				}
				err := k.move(m, "/queue/a")
				mu.Lock()
				switch {
				case err == nil:
					moved++
				case errors.Is(err, broker.ErrNotHeld):
					others++
				default:
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if moved != n || others != 2*n {
		t.Errorf("%d were moved, %d were moved by others", moved, others)
	}
	if n := r.stream(t, store.SubjectOf("/queue/a")); n != 50 {
		t.Errorf("%d messages are in the queue", n)
	}
	until(t, "what was moved is not removed", func() bool { return r.stream(t, "hb.w.>") == 0 })
}

// Delayed messages and those of queues are stored together or not at all, and
// the limits of both are exact.
func TestDelaysWithQueues(t *testing.T) {
	r := open(t, t.TempDir(), limited(store.Limits{Messages: 2, Delayed: 3, DelayedPerUser: 2, DelayedBytes: 1000, DelayedBytesPerUser: 500}))
	a, b := delayedMessage("/queue/a", "1", time.Hour), delayedMessage("/topic/a", "2", time.Hour)
	full := func(key string, err error) {
		t.Helper()
		var full *broker.QueueFullError
		if !errors.As(err, &full) || full.Key != key || !strings.Contains(full.Error(), fmt.Sprint(full.Limit)) {
			t.Errorf("%s: %v", key, err)
		}
	}
	queued := []broker.QueuePut{message("/queue/a", "x"), message("/queue/a", "y"), message("/queue/a", "z")}
	full("queues.messages", r.tryDelay(t, []broker.DelayPut{a}, queued...))
	full("queues.delayed_per_user", r.tryDelay(t, []broker.DelayPut{a, b, delayedMessage("/queue/a", "3", 0)}, queued[0]))
	big := delayedMessage("/queue/a", "3", 0)
	big.Size = 501
	full("queues.delayed_bytes_per_user", r.tryDelay(t, []broker.DelayPut{big}, queued[0]))
	big.Size, big.Share = 1001, ""
	full("queues.delayed_bytes", r.tryDelay(t, []broker.DelayPut{big}, queued[0]))
	once := message("/queue/b", "x")
	once.Once = "known"
	r.put(t, once)
	if err := r.tryDelay(t, []broker.DelayPut{a}, queued[0], once); !errors.Is(err, broker.ErrDuplicate) {
		t.Errorf("a duplicate: %v", err)
	}
	equal(t, "waiting", r.waiting(), []string(nil))
	equal(t, "queues", r.counts(), map[string][2]int{"/queue/b": {1, 101}})
	if err := r.tryDelay(t, []broker.DelayPut{a, b}, queued[0]); err != nil {
		t.Fatal(err)
	}
	equal(t, "waiting", r.waiting(), []string{"1", "2"})
	equal(t, "queues", r.counts(), map[string][2]int{"/queue/a": {1, 101}, "/queue/b": {1, 101}})
	c := delayedMessage("/queue/a", "3", time.Hour)
	c.Share = ""
	r.delay(t, c)
	c.Message.ID = "another"
	full("queues.delayed", r.tryDelay(t, []broker.DelayPut{c}))
}

// A queue that is full refuses what is due, which stays, and takes it when it
// has room.
func TestAFullQueueRefusesWhatIsDue(t *testing.T) {
	r := open(t, t.TempDir(), limited(store.Limits{Messages: 1}))
	r.put(t, message("/queue/a", "full"))
	r.delay(t, delayedMessage("/queue/a", "1", 0))
	k := r.takeDue(t)
	m := k.next()
	var full *broker.QueueFullError
	if err := k.move(m, "/queue/a"); !errors.As(err, &full) {
		t.Fatalf("moved into a full queue: %v", err)
	}
	equal(t, "waiting", r.waiting(), []string{"1"})
	if n, err := r.Purge(within(t), "/queue/a"); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	k.Later(m.Sequence, time.Now())
	if err := k.move(k.next(), "/queue/a"); err != nil {
		t.Fatal(err)
	}
	equal(t, "waiting", r.waiting(), []string(nil))
}

// The id of a message is known for two minutes, although the message was
// acknowledged and the store opened again. Then its record is removed.
func TestIDsSurviveARestart(t *testing.T) {
	for _, x := range []struct {
		name     string
		settings []setting
	}{{"each message is synced", nil}, {"sync at intervals", []setting{interval}}} {
		t.Run(x.name, func(t *testing.T) {
			dir := t.TempDir()
			r := open(t, dir, x.settings...)
			var puts []broker.QueuePut
			for i := range 40 {
				p := message("/queue/a", fmt.Sprint(i))
				p.Once = "once-" + fmt.Sprint(i)
				puts = append(puts, p)
			}
			r.put(t, puts[:20]...)
			for _, p := range puts[20:30] {
				r.put(t, p)
			}
			var all sync.WaitGroup
			for _, p := range puts[30:] {
				all.Add(1)
				r.Append([]broker.QueuePut{p}, func(err error) {
					if err != nil {
						t.Error(err)
					}
					all.Done()
				})
			}
			all.Wait()
			k := r.take(t, "/queue/a", 100)
			list := k.next(40)
			equal(t, "order", bodies(list), numbers(0, 40))
			k.ack(list...)
			delayed := delayedMessage("/queue/a", "d", time.Hour)
			delayed.Once = "once-d"
			r.delay(t, delayed)
			r.close()

			r = open(t, dir, x.settings...)
			if err := r.tryPut(t, message("/queue/a", "without"), puts[7]); !errors.Is(err, broker.ErrDuplicate) {
				t.Errorf("stored again: %v", err)
			}
			for _, p := range puts {
				if err := r.tryPut(t, p); !errors.Is(err, broker.ErrDuplicate) {
					t.Fatalf("%s is stored again: %v", p.Message.Body, err)
				}
			}
			delayed.Message.ID = "another"
			if err := r.tryDelay(t, []broker.DelayPut{delayed}); !errors.Is(err, broker.ErrDuplicate) {
				t.Errorf("delayed again: %v", err)
			}
			n := 0
			for once, at := range r.Remembered() {
				if n++; !strings.HasPrefix(once, "once-") || time.Since(at) > time.Minute {
					t.Errorf("%s is from %v", once, at)
				}
			}
			if n != 41 {
				t.Errorf("%d ids are known", n)
			}
			equal(t, "queues", r.counts(), map[string][2]int{})
			r.ForgetIDsBefore(time.Now().Add(time.Minute))
			if r.stream(t, "hb.i.>") == 0 {
				t.Error("ids are removed too early")
			}
			r.ForgetIDsBefore(time.Now().Add(3 * time.Minute))
			if n := r.stream(t, "hb.i.>"); n != 0 {
				t.Errorf("%d records are left", n)
			}
			for range r.Remembered() {
				t.Error("an id is still known")
			}
		})
	}
}
