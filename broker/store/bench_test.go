package store_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

var modes = map[string]setting{"always": func(*embeddedOptions, *storeOptions) {}, "interval": interval}

func unlimited(_ *embeddedOptions, o *storeOptions) {
	o.Limits = store.Limits{Messages: -1, Bytes: -1, Queues: -1, TotalBytes: 4 << 30, BytesPerUser: -1, QueuesPerUser: -1}
}

func ordinary() broker.QueuePut { return message(queue, strings.Repeat("x", 128)) }

// BenchmarkAppend stores messages of 128 bytes, each when the one before is
// certain, or up to 1,000 at a time.
func BenchmarkAppend(b *testing.B) {
	for mode, set := range modes {
		for name, window := range map[string]int{"alone": 1, "window1000": 1000} {
			b.Run(mode+"/"+name, func(b *testing.B) {
				r := open(b, b.TempDir(), unlimited, set)
				room := make(chan struct{}, window)
				for b.Loop() {
					room <- struct{}{}
					r.Append([]broker.QueuePut{ordinary()}, func(err error) {
						if err != nil {
							b.Error(err)
						}
						<-room
					})
				}
				for range window {
					room <- struct{}{}
				}
			})
		}
	}
}

// counter acknowledges what it gets.
type counter struct {
	reader  broker.QueueReader
	left    int
	done    chan struct{}
	receipt bool
	acks    sync.WaitGroup
}

func (c *counter) Failed(error) {}

func (c *counter) Messages(list []broker.StoredMessage) {
	for _, m := range list {
		var done func(error)
		if c.receipt {
			c.acks.Add(1)
			done = func(error) { c.acks.Done() }
		}
		c.reader.Ack([]uint64{m.Sequence}, done)
	}
	if c.left -= len(list); c.left <= 0 {
		close(c.done)
		return
	}
	c.reader.Want(1000, 8<<20)
}

// BenchmarkConsume takes stored messages and acknowledges each.
func BenchmarkConsume(b *testing.B) {
	for mode, set := range modes {
		for name, receipt := range map[string]bool{"ack": false, "ack-receipt": true} {
			b.Run(mode+"/"+name, func(b *testing.B) {
				r := open(b, b.TempDir(), unlimited, set)
				var stored sync.WaitGroup
				for range b.N {
					stored.Add(1)
					r.Append([]broker.QueuePut{ordinary()}, func(error) { stored.Done() })
				}
				stored.Wait()
				c := &counter{left: b.N, done: make(chan struct{}), receipt: receipt}
				var err error
				b.ResetTimer()
				if c.reader, err = r.Open(queue, c); err != nil {
					b.Fatal(err)
				}
				c.reader.Want(1000, 8<<20)
				testkit.Receive(b, c.done)
				c.acks.Wait()
				b.StopTimer()
				c.reader.Close()
			})
		}
	}
}
