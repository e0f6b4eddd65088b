package broker_test

import (
	"fmt"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// BenchmarkPush is the fan-out of one message of 222 bytes into the outboxes of
// its subscribers, without the writing.
func BenchmarkPush(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			br := brokertest.New(b, broker.Options{})
			subscribers(b, br, n)
			m := &broker.Message{Destination: "/topic/news", Body: make([]byte, 222)}
			b.ReportAllocs()
			for b.Loop() {
				br.Push(m)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mdeliveries/s")
		})
	}
}

// BenchmarkReceipt is a SEND that nobody receives, and its receipt: the path of
// one frame through the broker and back.
func BenchmarkReceipt(b *testing.B) {
	br := brokertest.New(b, broker.Options{})
	c := brokertest.Connect(b, br)
	f := frame("SEND", "222", "destination", "/topic/nobody", "receipt", "r")
	octets := frames.Append(nil, frames.V12, &f)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(octets)
		c.ExpectReceipt(b, "r")
	}
}

// BenchmarkReceiptPipelined is the same with 64 SENDs in each chunk.
func BenchmarkReceiptPipelined(b *testing.B) {
	const depth = 64
	br := brokertest.New(b, broker.Options{})
	c := brokertest.Connect(b, br)
	f := frame("SEND", "222", "destination", "/topic/nobody", "receipt", "r")
	var octets []byte
	for range depth {
		octets = frames.Append(octets, frames.V12, &f)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		c.Write(octets)
		for range depth {
			c.ExpectReceipt(b, "r")
		}
		n += depth
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "frames/s")
}

// BenchmarkQueue is a message from one producer through a queue to one consumer
// that acknowledges it.
func BenchmarkQueue(b *testing.B) {
	for _, ack := range []string{"auto", "client-individual"} {
		b.Run(ack, func(b *testing.B) {
			br := brokertest.New(b, broker.Options{})
			producer, consumer := brokertest.Connect(b, br), brokertest.Connect(b, br)
			consumer.Subscribe(b, "s", "/queue/jobs", "ack", ack)
			f := frame("SEND", "222", "destination", "/queue/jobs")
			octets := frames.Append(nil, frames.V12, &f)
			b.ReportAllocs()
			for b.Loop() {
				producer.Write(octets)
				m := consumer.Expect(b, "MESSAGE")
				if ack != "auto" {
					consumer.Send("ACK", "", "id", m.Get("ack"))
				}
			}
		})
	}
}
