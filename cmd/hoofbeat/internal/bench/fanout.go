package bench

import (
	"context"
	"fmt"
)

// Fanout is publishers that send to one topic with many subscribers.
type Fanout struct {
	// Subscribers is the number of subscribers. Default 100.
	Subscribers int
	// Publishers is the number of publishers. Default 1.
	Publishers int
	// Rate is the total number of messages a second; 0 keeps Window messages in
	// flight instead.
	Rate float64
	// Window is the number of messages in flight. Default 32768 divided by the
	// subscribers, but at least 16 and at most 1024.
	Window int
	// Stalled is the number of subscribers that stop reading when the load
	// begins.
	Stalled int
}

func (f *Fanout) prepare(c *Config) (int, error) {
	err := positive("subscribers", &f.Subscribers, 100)
	if err == nil {
		err = positive("publishers", &f.Publishers, 1)
	}
	if err == nil {
		err = checkRate(f.Rate)
	}
	if err == nil && (f.Stalled < 0 || f.Stalled >= f.Subscribers) {
		err = fmt.Errorf("%w: %d stalled of %d subscribers: want fewer", ErrOptions, f.Stalled, f.Subscribers)
	}
	if err != nil {
		return 0, err
	}
	if c.Destination == "" {
		c.Destination = "/topic/bench"
	}
	return f.Subscribers + f.Publishers, positive("window", &f.Window, fanoutWindow(f.Subscribers-f.Stalled))
}

// fanoutWindow is the default number of messages in flight.
func fanoutWindow(subscribers int) int { return min(1024, max(16, 32768/subscribers)) }

func (f *Fanout) measure(ctx context.Context, r *run) error {
	t := newTraffic(r, f.Rate)
	name, reading := r.destination(), f.Subscribers-f.Stalled
	l := newLane(f.Window, reading)
	for i := range f.Publishers {
		t.flow(i, name, l, reading)
	}
	for i := range f.Subscribers {
		s := t.subscriber(name, l, 0, make([]tally, f.Publishers))
		if i < f.Stalled {
			s.release = make(chan struct{})
		}
	}
	t.stalled = f.Stalled
	scenario := "fanout"
	if f.Stalled > 0 {
		scenario = "slow"
	}
	t.describe(scenario, f.Subscribers, f.Publishers, f.Window)
	return t.measure(ctx)
}

// destination returns a destination that only this run uses.
func (r *run) destination() string { return r.Destination + "." + r.name }

// describe sets the result's description of the load.
func (t *traffic) describe(scenario string, subscribers, publishers, window int) {
	r := t.result
	r.Scenario, r.Unit, r.Subscribers, r.Publishers, r.Rate = scenario, "deliveries", subscribers, publishers, t.rate
	if t.rate == 0 {
		r.Window = window
	}
}
