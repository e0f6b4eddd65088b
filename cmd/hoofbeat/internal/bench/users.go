package bench

import (
	"context"
	"fmt"
	"strings"
)

// Users is publishers that send to users. Each user has one session and
// subscribes to a destination of its own. Target.Login must contain %d, so that
// every connection is another user; its default is bench%d.
type Users struct {
	// Users is the number of receiving users. Default 100.
	Users int
	// Publishers is the number of publishers; they send to the users in turn.
	// Default 1.
	Publishers int
	// Rate is the total number of messages a second; 0 keeps Window messages in
	// flight instead.
	Rate float64
	// Window is the number of messages in flight. Default 256.
	Window int
}

func (u *Users) prepare(c *Config) (int, error) {
	err := positive("users", &u.Users, 100)
	if err == nil {
		err = positive("publishers", &u.Publishers, 1)
	}
	if err == nil {
		err = checkRate(u.Rate)
	}
	if err != nil {
		return 0, err
	}
	if c.Login == "" {
		c.Login = "bench%d"
	}
	if !strings.Contains(c.Login, "%d") {
		return 0, fmt.Errorf("%w: login %q: want a %%d in it, for the number of the user", ErrOptions, c.Login)
	}
	if c.Destination == "" {
		c.Destination = "/queue/bench"
	}
	return u.Users + u.Publishers, positive("window", &u.Window, 256)
}

func (u *Users) measure(ctx context.Context, r *run) error {
	t := newTraffic(r, u.Rate)
	l := newLane(u.Window, 1)
	// / and % are escaped in a user's name in a destination.
	escaped := strings.NewReplacer("%", "%25", "/", "%2F")
	for i := range u.Users {
		for p := range u.Publishers {
			t.flow(p, "/user/"+escaped.Replace(r.target.login(i))+r.Destination, l, 1)
		}
		t.subscriber("/user"+r.Destination, l, uint32(i*u.Publishers), make([]tally, u.Publishers))
	}
	t.describe("users", u.Users, u.Publishers, u.Window)
	return t.measure(ctx)
}
