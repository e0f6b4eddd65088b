package store_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

const queue = "/queue/orders"

func TestAMessageComesOutAsItWentIn(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	in := broker.QueuePut{
		Queue: queue, Size: 321, Share: "user ä", Expires: time.UnixMilli(time.Now().Add(time.Hour).UnixMilli()),
		Message: &broker.Message{
			Destination: "/queue//orders", ID: "n1-7", Body: []byte("a\x00\r\n\xffb"),
			Headers: []broker.Header{{Name: "b", Value: "2"}, {Name: "a", Value: ""}, {Name: "b", Value: "1\n:"}, {Name: "content-type", Value: "x/y"}},
		},
	}
	r.put(t, in)
	empty := broker.QueuePut{Queue: queue, Message: &broker.Message{Destination: queue}}
	r.put(t, empty)
	check := func(list []broker.StoredMessage, redelivered bool) {
		t.Helper()
		equal(t, "the message", fmt.Sprintf("%+v %+v", *list[0].Message, list[0].Expires), fmt.Sprintf("%+v %+v", *in.Message, in.Expires))
		equal(t, "its size and share", fmt.Sprint(list[0].Size, list[0].Share, list[0].Queue), fmt.Sprint(in.Size, in.Share, in.Queue))
		equal(t, "the empty message", fmt.Sprintf("%+v", *list[1].Message), fmt.Sprintf("%+v", *empty.Message))
		equal(t, "redelivered", list[0].Redelivered, redelivered)
	}
	check(r.take(t, queue, 2).next(2), false)
	r.close()
	r = open(t, dir)
	k := r.take(t, queue, 2)
	list := k.next(2)
	check(list, true)
	k.ack(list...)
	r.close()
	r = open(t, dir)
	r.take(t, queue, 2).idle()
	equal(t, "queues", r.counts(), map[string][2]int{})
}

func TestConcurrentAppendsKeepTheOrderOfEach(t *testing.T) {
	for name, set := range map[string]setting{"always": func(*embeddedOptions, *store.Options) {}, "interval": interval} {
		t.Run(name, func(t *testing.T) {
			r := open(t, t.TempDir(), set)
			const senders, each = 8, 200
			var all sync.WaitGroup
			for s := range senders {
				all.Go(func() {
					for i := range each {
						list := []broker.QueuePut{message(queue, fmt.Sprint(s, ":", i))}
						if i%50 == 49 { // a transaction in between
							list = append(list, message(queue, fmt.Sprint(s, ":", i, "+")))
						}
						all.Add(1)
						r.Append(list, func(err error) {
							if err != nil {
								t.Error(err)
							}
							all.Done()
						})
					}
				})
			}
			all.Wait()
			const n = senders * (each + each/50)
			list := r.take(t, queue, n).next(n)
			last := make(map[string]string)
			for i, m := range list {
				if i > 0 && m.Sequence <= list[i-1].Sequence {
					t.Fatal("sequences do not ascend")
				}
				sender, text, _ := strings.Cut(string(m.Message.Body), ":")
				if after := last[sender]; !follows(after, text) {
					t.Errorf("sender %s: %s comes after %s", sender, text, after)
				}
				last[sender] = text
			}
		})
	}
}

// follows reports whether b is the message after a.
func follows(a, b string) bool {
	if strings.HasSuffix(b, "+") {
		return a+"+" == b
	}
	n, _ := strconv.Atoi(b)
	if a == "" {
		return n == 0
	}
	before, _ := strconv.Atoi(strings.TrimSuffix(a, "+"))
	return before+1 == n && (n%50 != 0 || strings.HasSuffix(a, "+"))
}

func wantFull(t *testing.T, err error, key string, limit int64) {
	t.Helper()
	var full *broker.QueueFullError
	if !errors.As(err, &full) || full.Key != key || full.Limit != limit {
		t.Errorf("got %v, want the limit %s of %d", err, key, limit)
	}
}

func TestLimitsAreExact(t *testing.T) {
	put := func(queue, share string, size int) broker.QueuePut {
		p := message(queue, "x")
		p.Share, p.Size = share, size
		return p
	}
	t.Run("messages", func(t *testing.T) {
		r := open(t, t.TempDir(), limited(store.Limits{Messages: 10}))
		r.putMany(t, "/queue/a", 10)
		wantFull(t, r.tryPut(t, message("/queue/a", "x")), "queues.messages", 10)
		r.put(t, message("/queue/b", "x"))
		// What is acknowledged makes room at once, also in the engine.
		k := r.take(t, "/queue/a", 1000)
		for range 200 {
			k.reader.Ack(sequences(k.next(1)), nil)
			r.put(t, message("/queue/a", "x"))
			wantFull(t, r.tryPut(t, message("/queue/a", "x")), "queues.messages", 10)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		r := open(t, t.TempDir(), limited(store.Limits{Bytes: 100}))
		r.put(t, put("/queue/a", "", 60), put("/queue/a", "", 40))
		wantFull(t, r.tryPut(t, put("/queue/a", "", 1)), "queues.bytes", 100)
	})
	t.Run("queues", func(t *testing.T) {
		r := open(t, t.TempDir(), limited(store.Limits{Queues: 2}))
		r.put(t, put("/queue/a", "", 1), put("/queue/b", "", 1))
		wantFull(t, r.tryPut(t, put("/queue/c", "", 1)), "queues.queues", 2)
		k := r.take(t, "/queue/a", 1)
		k.ack(k.next(1)...)
		r.put(t, put("/queue/c", "", 1))
	})
	t.Run("of a share", func(t *testing.T) {
		r := open(t, t.TempDir(), limited(store.Limits{QueuesPerUser: 1, BytesPerUser: 100}))
		r.put(t, put("/queue/a", "ann", 60))
		wantFull(t, r.tryPut(t, put("/queue/b", "ann", 1)), "queues.queues_per_user", 1)
		r.put(t, put("/queue/b", "ben", 1))
		r.put(t, put("/queue/b", "ann", 40))
		wantFull(t, r.tryPut(t, put("/queue/b", "ann", 1)), "queues.bytes_per_user", 100)
		r.put(t, put("/queue/b", "ben", 99), put("/queue/c", "", 1000))
	})
	t.Run("total", func(t *testing.T) {
		r := open(t, t.TempDir(), limited(store.Limits{TotalBytes: 1000}))
		r.put(t, put("/queue/a", "", 500), put("/queue/b", "", 400))
		wantFull(t, r.tryPut(t, put("/queue/a", "", 1)), "queues.total_bytes", 1000)
		k := r.take(t, "/queue/a", 1)
		m := k.next(1)[0]
		if err := result(t, func(done func(error)) { r.Replace("/queue/a", m.Sequence, put("/queue/DLQ.a", "", 101), done) }); err == nil {
			t.Error("a dead letter above the total")
		} else {
			wantFull(t, err, "queues.total_bytes", 1000)
		}
		if err := result(t, func(done func(error)) { r.Replace("/queue/a", m.Sequence, put("/queue/DLQ.a", "", 100), done) }); err != nil {
			t.Error(err)
		}
		equal(t, "queues", r.counts(), map[string][2]int{"/queue/b": {1, 400}, "/queue/DLQ.a": {1, 100}})
	})
	t.Run("of a message and a call", func(t *testing.T) {
		r := open(t, t.TempDir())
		if err := r.tryPut(t, make([]broker.QueuePut, 1001)...); err == nil || !strings.Contains(err.Error(), "at most 1000") {
			t.Error(err)
		}
		big := message(queue, strings.Repeat("x", 2<<20))
		if err := r.tryPut(t, big); err == nil || !strings.Contains(err.Error(), "too large") {
			t.Error(err)
		}
		var list []broker.QueuePut
		for i := range 1000 {
			list = append(list, message(queue, strconv.Itoa(i)))
		}
		r.put(t, list...)
		equal(t, "messages", r.counts()[queue][0], 1000)
	})
}

func TestACallIsStoredAsAWhole(t *testing.T) {
	for name, set := range map[string]setting{"always": func(*embeddedOptions, *store.Options) {}, "interval": interval} {
		t.Run(name, func(t *testing.T) {
			r := open(t, t.TempDir(), set, limited(store.Limits{Messages: 3}))
			r.putMany(t, "/queue/full", 2)
			wantFull(t, r.tryPut(t, message("/queue/a", "1"), message("/queue/full", "2"), message("/queue/full", "3")), "queues.messages", 3)
			once := message("/queue/a", "1")
			once.Once = "k1"
			r.put(t, once)
			if err := r.tryPut(t, message("/queue/b", "1"), once); !errors.Is(err, broker.ErrDuplicate) {
				t.Errorf("a duplicate among others: %v", err)
			}
			if err := r.tryPut(t, once); !errors.Is(err, broker.ErrDuplicate) {
				t.Errorf("a duplicate: %v", err)
			}
			equal(t, "queues", r.counts(), map[string][2]int{"/queue/full": {2, 202}, "/queue/a": {1, 101}})
		})
	}
}

// A group of calls of several senders goes to the engine as one batch. One that
// is refused does not harm the others.
func TestOneRefusedCallOfAGroupDoesNotHarmTheOthers(t *testing.T) {
	r := open(t, t.TempDir())
	first := message(queue, "first")
	first.Once = "same"
	r.put(t, first)
	const n = 300
	errs := make(chan error, n)
	for i := range n {
		m := message(queue, strconv.Itoa(i))
		if i%7 == 3 {
			m.Once = "same"
		}
		r.Append([]broker.QueuePut{m}, func(err error) { errs <- err })
	}
	refused := 0
	for range n {
		select {
		case err := <-errs:
			if errors.Is(err, broker.ErrDuplicate) {
				refused++
			} else if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("no result")
		}
	}
	equal(t, "refused", refused, 43)
	want := []string{"first"}
	for i := range n {
		if i%7 != 3 {
			want = append(want, strconv.Itoa(i))
		}
	}
	equal(t, "stored", bodies(r.take(t, queue, n).next(len(want))), want)
}
