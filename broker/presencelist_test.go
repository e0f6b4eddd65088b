package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// The lists are paged: nobody who stays is missing or comes twice.
func TestPresencePages(t *testing.T) {
	timeless(t, broker.Options{Presence: rooms, Authorizer: presenceRules(t)}, func(t *testing.T, b *broker.Broker) {
		const people = 2100
		for i := range people {
			brokertest.Connect(t, b, "login", fmt.Sprint("u", i)).Subscribe(t, "1", room)
		}
		ann := brokertest.Connect(t, b, "login", "ann")
		var sizes []int
		next := 0
		for after := ""; ; {
			var list presenceList
			if after == "" {
				list = askPresence(t, ann)
			} else {
				list = askPresence(t, ann, "after", after)
			}
			for _, u := range list.Users {
				if u.User != fmt.Sprint("u", next) {
					t.Fatalf("user %d is %s", next, u.User)
				}
				next++
			}
			if sizes = append(sizes, len(list.Users)); list.Total != people {
				t.Errorf("%d in all", list.Total)
			}
			if after = list.Next; after == "" {
				break
			}
		}
		if !slices.Equal(sizes, []int{1000, 1000, 100}) {
			t.Errorf("the pages have %v", sizes)
		}
		all, err := b.Presence(room)
		if err != nil || len(all.Users) != people || all.Destination != room || all.Node != ann.Session[:6] || all.Users[7].User != "u7" {
			t.Errorf("%d users, %v", len(all.Users), err)
		}
		ann.Send("SUBSCRIBE", "", "id", "1", "destination", "/app/presence"+room, "after", "abcdef-1")
		wantError(t, ann, 1002, `after must be the next of an answer of this broker, not "abcdef-1"`)
	})
}

func TestPresenceOfTheProgram(t *testing.T) {
	b := brokertest.New(t, broker.Options{Presence: rooms})
	if p, err := b.Presence(room); err != nil || p.Users == nil || len(p.Users) != 0 || p.Anonymous != 0 {
		t.Errorf("an empty room: %+v, %v", p, err)
	}
	for _, destination := range []string{"/topic/a", "/topic/room/*", "/topic/room/7/", "/queue/a", "x", "/app/presence" + room, "/topic/presence" + room} {
		if _, err := b.Presence(destination); !errors.Is(err, broker.ErrDestination) {
			t.Errorf("%s: %v", destination, err)
		}
	}
	if _, err := brokertest.New(t, broker.Options{}).Presence(room); !errors.Is(err, broker.ErrDestination) {
		t.Errorf("without presence: %v", err)
	}
}

// Handlers of the program go on working beside presence.
func TestHandlersBesidePresence(t *testing.T) {
	b := brokertest.New(t, broker.Options{Presence: rooms, Authorizer: guarded(t, allow("/app/presence/**", auth.Subscribe))})
	for _, path := range []string{"/presence/mine", "/**"} {
		handle(t, b, path, func(ctx context.Context, r *broker.Request) error {
			_, err := r.Reply(ctx, &broker.Message{Body: []byte(path), Destination: map[bool]string{false: "/queue/a"}[r.Subscribe]})
			return err
		})
	}
	c := brokertest.Connect(t, b, "login", "ann")
	c.Subscribe(t, "q", "/user/queue/a")
	for destination, body := range map[string]string{"/app/x": "/**", "/app/presence/mine": "/presence/mine", "/app/presence/topic/a": "/**", "/app/presence": "/**"} {
		c.Send("SUBSCRIBE", "", "id", "1", "destination", destination)
		expectMessage(t, c, body)
		c.Send("SEND", "", "destination", destination)
		expectMessage(t, c, body)
	}
	c.Send("SEND", "", "destination", "/app/presence"+room) // a SEND is the program's
	expectMessage(t, c, "/**")
	if l := askPresence(t, c); l.Total != 0 {
		t.Errorf("%+v", l)
	}
}
