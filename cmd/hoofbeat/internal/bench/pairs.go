package bench

import (
	"context"
	"strconv"
)

// Pairs is topics with one publisher and one subscriber each.
type Pairs struct {
	// Pairs is the number of topics. Default 100.
	Pairs int
	// Rate is the total number of messages a second; 0 keeps Window messages in
	// flight on each topic instead.
	Rate float64
	// Window is the number of messages in flight on each topic. Default 8192
	// divided by the pairs, but at least 1 and at most 64.
	Window int
}

func (p *Pairs) prepare(c *Config) (int, error) {
	err := positive("pairs", &p.Pairs, 100)
	if err == nil {
		err = checkRate(p.Rate)
	}
	if err != nil {
		return 0, err
	}
	if c.Destination == "" {
		c.Destination = "/topic/bench"
	}
	return 2 * p.Pairs, positive("window", &p.Window, min(64, max(1, 8192/p.Pairs)))
}

func (p *Pairs) measure(ctx context.Context, r *run) error {
	t := newTraffic(r, p.Rate)
	for i := range p.Pairs {
		l := newLane(p.Window, 1)
		name := r.destination() + "." + strconv.Itoa(i)
		t.flow(i, name, l, 1)
		t.subscriber(name, l, uint32(i), make([]tally, 1))
	}
	t.describe("pairs", p.Pairs, p.Pairs, p.Window)
	return t.measure(ctx)
}
