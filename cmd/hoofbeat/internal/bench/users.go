package bench

import (
	"context"
	"fmt"
	"strings"
)

// Users is publishers that send to users, each of whom has one session and
// subscribes to a destination of its own. Target.Login must have a %d, so that
// every connection is another user; its default is bench%d.
type Users struct {
	// Users is how many receive. Default 100.
	Users int
	// Publishers is how many send, to the users in turn. Default 1.
	Publishers int
	// Rate is how many messages a second they send together; 0 keeps Window
	// messages in flight.
	Rate float64
	// Window is how many messages are in flight at a time. Default 256.
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
	// In a name of a destination / and % are escaped.
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
