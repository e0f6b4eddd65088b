package main

import (
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

func TestEmbed(t *testing.T) {
	b, err := newBroker()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c := brokertest.Connect(t, b)

	c.Subscribe(t, "time", "/app/time")
	if _, err := time.Parse(time.RFC3339, string(c.Expect(t, "MESSAGE").Body)); err != nil {
		t.Errorf("/app/time answered no time: %v", err)
	}
	c.Subscribe(t, "answers", "/user/queue/shout")
	c.Send("SEND", "hello", "destination", "/app/shout")
	if m := c.Expect(t, "MESSAGE"); string(m.Body) != "HELLO" || m.Get("destination") != "/user/queue/shout" {
		t.Errorf("/app/shout answered %q on %s", m.Body, m.Get("destination"))
	}
	c.Subscribe(t, "ticks", "/topic/ticks")
	go tick(b)
	if m := c.Expect(t, "MESSAGE"); len(m.Body) != len(time.TimeOnly) {
		t.Errorf("tick %q", m.Body)
	}
}
