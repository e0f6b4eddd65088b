//go:build !nostore

package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// twoLinks returns the links of two nodes, each with a server of its own.
func twoLinks(b *testing.B, interests int, deliver func(*broker.Envelope)) (from, to *Links) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), testkit.Patience)
	defer cancel()
	var list []*Links
	var peers []string
	for _, id := range []string{ours, theirs} {
		server, err := embedded.StartLink(ctx, embedded.LinkOptions{Name: id, Listen: "127.0.0.1:0", Peers: peers})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := server.Close(); err != nil {
				b.Error(err)
			}
		})
		peers = []string{server.Addr()}
		conn, err := server.Connect()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(conn.Close)
		links, err := NewLinks(LinksOptions{Conn: conn, Interests: interests, Deadline: time.Minute})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := links.Close(); err != nil {
				b.Error(err)
			}
		})
		if err := links.Start(broker.Peer{Node: id, Frame: 1 << 16, Deliver: deliver}); err != nil {
			b.Fatal(err)
		}
		list = append(list, links)
	}
	brokertest.Eventually(b, "two nodes are live", func() bool { return len(list[0].Nodes()) == 2 && len(list[1].Nodes()) == 2 })
	return list[0], list[1]
}

// BenchmarkPublications sends 128 bytes from one node to another, over a route,
// by so many publications at a time. B/publication are the bytes of messages of
// NATS without its own protocol.
func BenchmarkPublications(b *testing.B) {
	for _, batch := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			const window = 4096 // of publications that are on their way
			room := make(chan struct{}, window)
			from, to := twoLinks(b, 0, func(*broker.Envelope) { <-room })
			to.Interest(topics.Interest{Destination: "/topic/prices/eur", Wanted: true, Generation: 1})
			known := make(chan error, 1)
			to.Settle(1, func(err error) { known <- err })
			if err := testkit.Receive(b, known); err != nil {
				b.Fatal(err)
			}
			e := &broker.Envelope{
				Destination: "/topic/prices/eur", ID: ours + "-123456", Origin: 1 << 60, Body: make([]byte, 128),
				Headers: []frames.Header{{Name: "content-type", Value: "application/json"}},
			}
			before := from.o.Conn.Stats()
			b.ResetTimer()
			for n := 0; n < b.N; n += batch {
				group := from.Batch()
				for range batch {
					room <- struct{}{}
					group.Add(e)
				}
				group.Send()
			}
			for range window { // all are there
				room <- struct{}{}
			}
			b.StopTimer()
			after := from.o.Conn.Stats()
			sent := float64(from.Stats().Sent)
			b.ReportMetric(sent/b.Elapsed().Seconds(), "publications/s")
			b.ReportMetric(float64(after.OutBytes-before.OutBytes)/sent, "B/publication")
			b.ReportMetric(float64(after.OutMsgs-before.OutMsgs)/sent, "messages/publication")
			if s := to.Stats(); s.Received != from.Stats().Sent || s.Dropped > 0 {
				b.Errorf("%+v", s)
			}
		})
	}
}

// BenchmarkInterests reports the heap of both nodes and their servers for each
// interest of one of them.
func BenchmarkInterests(b *testing.B) {
	for _, limit := range []int{1 << 30, 1000} {
		b.Run(fmt.Sprint("limit=", limit), func(b *testing.B) {
			_, to := twoLinks(b, limit, func(*broker.Envelope) {})
			names := destinations("/topic/interests/%d", b.N)
			before := testkit.Heap()
			b.ResetTimer()
			r := reporter{links: to}
			r.report(true, names...)
			known := make(chan error, 1)
			to.Settle(r.last, func(err error) { known <- err })
			if err := testkit.Receive(b, known); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			b.ReportMetric(float64(testkit.Heap()-before)/float64(b.N), "B/interest")
			b.ReportMetric(float64(len(names[0])), "B/name")
		})
	}
}
