package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// Large batches arrive complete and in order over sockets, and the publisher
// gets its receipts.
func TestLargeFanOut(t *testing.T) {
	const subscribers, rounds, messages = 24, 3, 15
	srv := brokertest.Start(t, broker.Options{})
	var peers []*peer
	for range subscribers {
		p := rawTCP(t, srv).connect(t, "heart-beat", "0,0")
		p.subscribe(t, "s", "/topic/large")
		peers = append(peers, p)
	}
	publisher := brokertest.Connect(t, srv.Broker)
	padding := strings.Repeat(".", 4<<10)
	for round := range rounds {
		var batch []byte
		for i := range messages {
			f := frame("SEND", fmt.Sprint(round, " ", i, padding), "destination", "/topic/large")
			batch = frames.Append(batch, frames.V12, &f)
		}
		f := frame("SEND", "end", "destination", "/topic/nobody", "receipt", fmt.Sprint(round))
		publisher.Write(frames.Append(batch, frames.V12, &f))
		publisher.ExpectReceipt(t, fmt.Sprint(round))
		for n, p := range peers {
			for i := range messages {
				e, ok := p.within(patience)
				if !ok || e.what != "MESSAGE" {
					t.Fatalf("subscriber %d got %v, want message %d of round %d", n, e, i, round)
				}
				if body := string(e.f.Body); body != fmt.Sprint(round, " ", i, padding) {
					t.Fatalf("subscriber %d got %.20q…, want message %d of round %d", n, body, i, round)
				}
			}
		}
	}
	if srv.Broker.LargeBatches() == 0 {
		t.Error("no flusher wrote a batch")
	}
}
