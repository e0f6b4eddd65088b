package broker_test

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// BenchmarkHistoryFanOut pushes a message to 100 subscribers of a topic with and
// without a history, without the writing.
func BenchmarkHistoryFanOut(b *testing.B) {
	for _, c := range []struct {
		name string
		o    broker.Options
	}{{"without", broker.Options{}}, {"with", withHistory(100, "/topic/news")}} {
		b.Run(c.name, func(b *testing.B) {
			br := brokertest.New(b, c.o)
			subscribers(b, br, 100)
			m := &broker.Message{Destination: "/topic/news", Body: make([]byte, 222)}
			b.ReportAllocs()
			for b.Loop() {
				br.Push(m)
			}
		})
	}
}
