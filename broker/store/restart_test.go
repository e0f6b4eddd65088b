package store_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

// whatever is the engine of the moment, for connections that outlive it.
type whatever struct {
	mu     sync.Mutex
	engine *embedded.Server
}

func (w *whatever) InProcessConn() (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.engine == nil {
		return nil, errors.New("no engine now")
	}
	return w.engine.InProcessConn()
}

func (w *whatever) set(e *embedded.Server) {
	w.mu.Lock()
	w.engine = e
	w.mu.Unlock()
}

func TestTheQueuesGoOnWhenTheEngineIsRestarted(t *testing.T) {
	dir := t.TempDir()
	start := func() *embedded.Server {
		e, err := embedded.Start(within(t), embedded.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	w := new(whatever)
	engine := start()
	w.set(engine)
	connect := func() *nats.Conn {
		c, err := nats.Connect("", nats.InProcessServer(w), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0), nats.ReconnectBufSize(-1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	q, err := store.OpenQueues(within(t), store.Options{Data: connect(), Control: connect(), SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Queues: q, close: func() {}}
	defer func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	}()
	r.putMany(t, queue, 5)
	k := r.take(t, queue, 3)
	list := k.next(3)
	k.ack(list[0])

	w.set(nil)
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	t.Log("readers fail with: ", k.waitFailed())
	if err := r.tryPut(t, message(queue, "lost")); err == nil {
		t.Error("a message is stored without the engine")
	}
	if _, err := q.Open(queue, k); err == nil {
		t.Error("a reader is opened without the engine")
	}
	if _, err := q.Purge(within(t), queue); err == nil {
		t.Error("a purge without the engine")
	}
	if q.Err() == nil {
		t.Error("the store says that it works")
	}
	if err := result(t, func(done func(error)) { k.reader.Ack(sequences(list[1:]), done) }); !errors.Is(err, broker.ErrNotHeld) {
		t.Errorf("an acknowledgement of a failed reader: %v", err)
	}
	engine = start()
	w.set(engine)
	for end := time.Now().Add(patience); q.Err() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(q.Err())
		}
	}
	again := r.take(t, queue, 10).next(4)
	equal(t, "what is there", bodies(again), numbers(1, 5))
	for _, m := range again {
		if !m.Redelivered {
			t.Errorf("%s is not redelivered", m.Message.Body)
		}
	}
}

// A health check that fails stops everything at once, although the engine would
// still answer; it begins again when the check is content.
func TestAWriteErrorStopsTheQueues(t *testing.T) {
	var mu sync.Mutex
	var sick error
	r := open(t, t.TempDir(), func(_ *embeddedOptions, o *storeOptions) {
		o.Health = func() error { mu.Lock(); defer mu.Unlock(); return sick }
	})
	set := func(err error) { mu.Lock(); sick = err; mu.Unlock() }
	r.putMany(t, queue, 2)
	k := r.take(t, queue, 1)
	k.next(1)
	broken := errors.New("write error: no space left")
	set(broken)
	if err := k.waitFailed(); !errors.Is(err, broken) {
		t.Error(err)
	}
	if err := r.tryPut(t, message(queue, "x")); !errors.Is(err, broken) {
		t.Error(err)
	}
	set(nil)
	for end := time.Now().Add(patience); r.Err() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(r.Err())
		}
	}
	equal(t, "what is there", bodies(r.take(t, queue, 10).next(2)), numbers(0, 2))
}

func TestNothingIsStoredWithoutRoom(t *testing.T) {
	var mu sync.Mutex
	var full error
	r := open(t, t.TempDir(), func(_ *embeddedOptions, o *storeOptions) {
		o.Room = func() error { mu.Lock(); defer mu.Unlock(); return full }
	})
	r.putMany(t, queue, 2)
	mu.Lock()
	full = &broker.QueueFullError{Key: "store.reserve", Limit: 7, Text: "the disk of the store is almost full"}
	mu.Unlock()
	wantFull(t, r.tryPut(t, message(queue, "x")), "store.reserve", 7)
	k := r.take(t, queue, 10)
	k.ack(k.next(2)...) // consuming goes on
}

// The engine deletes messages if the limit of a stream is set below what it
// holds.
func TestALoweredLimitDeletesNothing(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	r.putMany(t, queue, 50)
	r.close()
	low := limited(store.Limits{Messages: 10, TotalBytes: 1000})
	r = open(t, dir, low)
	equal(t, "messages", r.counts()[queue][0], 50)
	wantFull(t, r.tryPut(t, message(queue, "x")), "queues.messages", 10)
	k := r.take(t, queue, 100)
	k.ack(k.next(45)...)
	r.close()
	r = open(t, dir, low)
	r.put(t, message(queue, "x"))
	equal(t, "messages", r.counts()[queue][0], 6)
}

func few(t *testing.T, checks *flag.Flag) {
	t.Helper()
	before := checks.Value.String()
	if err := checks.Value.Set("15"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checks.Value.Set(before) }) // it was set to that
}

// After any operations, in any order, a restart counts what was counted.
func TestTheLedgerEqualsARecount(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); !large && checks.Value.String() == checks.DefValue {
		few(t, checks) // each starts two engines
	}
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := tempDir(t)
		if err != nil {
			t.Fatal(err)
		}
		l := store.Limits{Messages: 8, Bytes: 1500, Queues: 3, TotalBytes: 3000, QueuesPerUser: 2, BytesPerUser: 1800}
		r := open(t, dir, limited(l))
		takers := make(map[string]*taker)
		held := make(map[string][]broker.StoredMessage)
		name := rapid.SampledFrom([]string{"/queue/a", "/queue/b", "/queue/c", "/queue/d"})
		gather := func(q string) {
			k := takers[q]
			if k == nil {
				return
			}
			k.mu.Lock()
			held[q] = append(held[q], k.list...)
			k.list = nil
			k.mu.Unlock()
		}
		n := 0
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				var list []broker.QueuePut
				for range rapid.IntRange(1, 3).Draw(rt, "n") {
					n++
					m := message(name.Draw(rt, "queue"), strconv.Itoa(n))
					m.Size = rapid.IntRange(0, 400).Draw(rt, "size")
					m.Share = rapid.SampledFrom([]string{"", "ann", "ben"}).Draw(rt, "share")
					if rapid.Bool().Draw(rt, "expires") {
						m.Expires = time.UnixMilli(time.Now().Add(-time.Second).UnixMilli())
					}
					list = append(list, m)
				}
				var full *broker.QueueFullError
				if err := r.tryPut(t, list...); err != nil && !errors.As(err, &full) {
					rt.Fatal(err)
				}
			},
			"open": func(rt *rapid.T) {
				q := name.Draw(rt, "queue")
				if takers[q] == nil && len(takers) == l.Queues {
					_, err := r.Open(q, new(taker))
					wantFull(t, err, "queues.queues", int64(l.Queues))
				} else if takers[q] == nil {
					takers[q] = r.take(t, q, rapid.IntRange(0, 4).Draw(rt, "want"))
				}
			},
			"close": func(rt *rapid.T) {
				if q := name.Draw(rt, "queue"); takers[q] != nil {
					takers[q].reader.Close()
					delete(takers, q)
					delete(held, q)
				}
			},
			"settle": func(rt *rapid.T) {
				q := name.Draw(rt, "queue")
				gather(q)
				if len(held[q]) == 0 {
					return
				}
				i := rapid.IntRange(0, len(held[q])-1).Draw(rt, "which")
				m := held[q][i]
				held[q] = slices.Delete(held[q], i, i+1)
				switch rapid.IntRange(0, 3).Draw(rt, "how") {
				case 0:
					takers[q].ack(m)
				case 1:
					takers[q].reader.Ack([]uint64{m.Sequence}, nil)
				case 2:
					takers[q].reader.Attempted(m.Sequence, m.Attempts+1)
					takers[q].reader.Return([]uint64{m.Sequence})
				case 3:
					with := message("/queue/DLQ", string(m.Message.Body))
					with.Share = m.Share
					err := result(t, func(done func(error)) { r.Replace(q, m.Sequence, with, done) })
					var full *broker.QueueFullError
					if errors.As(err, &full) {
						held[q] = append(held[q], m)
					} else if err != nil {
						rt.Fatal(err)
					}
				}
			},
			"purge": func(rt *rapid.T) {
				if _, err := r.Purge(within(t), name.Draw(rt, "queue")); err != nil && !errors.Is(err, broker.ErrNoQueue) {
					rt.Fatal(err)
				}
			},
			"expire": func(rt *rapid.T) {
				r.Expired(time.Now(), func(q string, m broker.StoredMessage) {
					if err := result(t, func(done func(error)) { r.Remove(q, m.Sequence, done) }); err != nil {
						rt.Fatal(err)
					}
				})
			},
			"barrier": func(rt *rapid.T) {
				if q := name.Draw(rt, "queue"); takers[q] != nil {
					if err := result(t, func(done func(error)) { takers[q].reader.Ack(nil, done) }); err != nil {
						rt.Fatal(err)
					}
				}
			},
		})
		for _, k := range takers { // acknowledgements without a receipt are certain now
			if err := result(t, func(done func(error)) { k.reader.Ack(nil, done) }); err != nil {
				rt.Fatal(err)
			}
		}
		before, shares := r.counts(), r.Shares()
		r.close()
		r = open(t, dir, limited(l))
		equal(rt, "queues", r.counts(), before)
		equal(rt, "shares", r.Shares(), shares)
		r.close()
	})
}

// With -large there are a million messages.
func TestMessagesAreCountedInTime(t *testing.T) {
	n := 20_000
	if large {
		n = 1_000_000
	}
	dir := t.TempDir()
	l := limited(store.Limits{Messages: -1, Queues: -1, TotalBytes: -1, Bytes: -1})
	r := open(t, dir, interval, l, func(e *embeddedOptions, _ *storeOptions) { e.Disk = 1 << 40 })
	left := make(chan struct{}, 8000)
	for i := range n {
		left <- struct{}{}
		r.Append([]broker.QueuePut{message(fmt.Sprint("/queue/", i%1000), "some message of an ordinary length")}, func(err error) {
			if err != nil {
				t.Error(err)
			}
			<-left
		})
	}
	for range cap(left) {
		left <- struct{}{}
	}
	r.close()
	start := time.Now()
	r = open(t, dir, interval, l, func(e *embeddedOptions, _ *storeOptions) { e.Disk = 1 << 40 })
	took := time.Since(start)
	t.Logf("open with %d messages: %v", n, took)
	if took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	equal(t, "queues", len(r.counts()), 1000)
}

// The consumers of an earlier run do not keep their messages to themselves, and
// those of queues that nobody reads any more are deleted.
func TestConsumersOfAnEarlierRun(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	for i := range 5 {
		r.putMany(t, fmt.Sprint("/queue/", i), 3)
		r.take(t, fmt.Sprint("/queue/", i), 2).next(2)
	}
	r.close()
	r = open(t, dir)
	begin := time.Now()
	equal(t, "messages", bodies(r.take(t, "/queue/0", 5).next(3)), numbers(0, 3))
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %v: the engine waited for the earlier consumer", took)
	}
	conn, err := r.engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(within(t), "HB_QUEUE")
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		info, err := stream.Info(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if info.State.Consumers == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d consumers", info.State.Consumers)
		}
	}
}

// A queue belongs to the user whose message is its oldest, and the limits of a
// user count the same after a restart.
func TestLimitsOfAUserSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	l := limited(store.Limits{QueuesPerUser: 2, BytesPerUser: 1000})
	put := func(queue, share string, size int) broker.QueuePut {
		p := message(queue, share)
		p.Share, p.Size = share, size
		return p
	}
	owners := func(r *rig) string {
		all := make(map[string]string)
		for q := range r.Queues.Queues() {
			all[q.Name] = q.Share
		}
		return fmt.Sprint(all)
	}
	r := open(t, dir, l)
	r.put(t, put("/queue/a", "ann", 100))
	r.put(t, put("/queue/a", "ben", 300))
	r.put(t, put("/queue/b", "ann", 500))
	r.put(t, put("/queue/c", "", 1))
	for range 2 {
		equal(t, "owners", owners(r), "map[/queue/a:ann /queue/b:ann /queue/c:]")
		wantFull(t, r.tryPut(t, put("/queue/d", "ann", 1)), "queues.queues_per_user", 2)
		wantFull(t, r.tryPut(t, put("/queue/a", "ann", 401)), "queues.bytes_per_user", 1000)
		wantFull(t, r.tryPut(t, put("/queue/c", "ben", 701)), "queues.bytes_per_user", 1000)
		r.close()
		r = open(t, dir, l)
	}
	k := r.take(t, "/queue/a", 1)
	k.ack(k.next(1)...) // now it is ben's
	equal(t, "owners", owners(r), "map[/queue/a:ben /queue/b:ann /queue/c:]")
	r.put(t, put("/queue/d", "ann", 500))
	wantFull(t, r.tryPut(t, put("/queue/e", "ann", 0)), "queues.queues_per_user", 2)
}
