package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// BenchmarkDurableSend publishes messages of 128 bytes to a topic that many
// durable subscriptions want, whose clients are away, 100 at a time.
func BenchmarkDurableSend(b *testing.B) {
	for mode, set := range modes {
		for _, subscriptions := range []int{1, 100, 1000} {
			b.Run(fmt.Sprint(mode, "/", subscriptions), func(b *testing.B) {
				r := openDurables(b, b.TempDir(), set)
				br := brokertest.New(b, broker.Options{
					DurableStore: r.Durables, Durable: []broker.Durable{{Destination: "/topic/**"}},
					Limits: broker.Limits{Durable: subscriptions, DurablePerUser: subscriptions},
				})
				c := brokertest.Connect(b, br, "login", "ann")
				for i := range subscriptions {
					c.Subscribe(b, "s", "/topic/a", "durable", fmt.Sprint(i))
					c.Send("UNSUBSCRIBE", "", "id", "s", "receipt", "r")
					c.ExpectReceipt(b, "r")
				}
				body := make([]byte, 128)
				var all sync.WaitGroup
				left := make(chan struct{}, b.N)
				for range b.N {
					left <- struct{}{}
				}
				close(left)
				b.ResetTimer()
				for range 100 {
					all.Go(func() {
						for range left {
							if err := br.Publish(context.Background(), &broker.Message{Destination: "/topic/a", Body: body}); err != nil {
								b.Error(err)
							}
						}
					})
				}
				all.Wait()
			})
		}
	}
}
