package bench

import (
	"context"
	"fmt"
)

// Queues is producers and competing consumers of one queue.
type Queues struct {
	// Producers is the number of producers. Default 4.
	Producers int
	// Consumers is the number of competing consumers. Default 4.
	Consumers int
	// Ack is the consumers' ack mode: auto, client or client-individual, the
	// default.
	Ack string
	// Rate is the total number of messages a second; 0 keeps Window messages in
	// flight instead.
	Rate float64
	// Window is the number of messages in flight, including those in the queue.
	// Default 1024.
	Window int
}

func (q *Queues) prepare(c *Config) (int, error) {
	err := positive("producers", &q.Producers, 4)
	if err == nil {
		err = positive("consumers", &q.Consumers, 4)
	}
	if err == nil {
		err = checkRate(q.Rate)
	}
	switch q.Ack {
	case "":
		q.Ack = "client-individual"
	case "auto", "client", "client-individual":
	default:
		err = fmt.Errorf("%w: ack %q: want auto, client or client-individual", ErrOptions, q.Ack)
	}
	if err != nil {
		return 0, err
	}
	if c.Destination == "" {
		c.Destination = "/queue/bench"
	}
	return q.Producers + q.Consumers, positive("window", &q.Window, 1024)
}

func (q *Queues) measure(ctx context.Context, r *run) error {
	t := newTraffic(r, q.Rate)
	t.competing = true
	t.places = t.places[:1] // its lock also guards the tallies
	name, l := r.destination(), newLane(q.Window, 1)
	for i := range q.Producers {
		t.flow(i, name, l, 1)
	}
	tallies := make([]tally, q.Producers)
	for range q.Consumers {
		s := t.subscriber(name, l, 0, tallies)
		s.last = make([]uint64, q.Producers)
		s.ack = q.Ack
		if q.Ack != "auto" {
			s.acks = &acknowledger{cumulative: q.Ack == "client"}
		}
	}
	t.describe("queues", q.Consumers, q.Producers, q.Window)
	return t.measure(ctx)
}
