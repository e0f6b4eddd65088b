//go:build unix

package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// The back ends of docs/events.md verify the signature and hear of a session.
func TestEventsRecipes(t *testing.T) {
	for _, r := range []struct{ language, name, program string }{{"js", "events.mjs", "node"}, {"python", "events.py", "python3"}} {
		t.Run(r.language, func(t *testing.T) {
			path := needs(t, r.program, "install "+r.program)
			lines := startBackend(t, []string{"EVENTS_SECRET=" + webhookSecret, "PORT=0"}, path, write(t, r.name, block(t, "events.md", r.language, 1)))
			port, ok := strings.CutPrefix(testkit.Receive(t, lines), "port ")
			if !ok {
				t.Fatal("it does not listen")
			}
			url := "http://127.0.0.1:" + port + "/hoofbeat"
			res, err := http.Post(url, "application/json", strings.NewReader(`[{"id":"x-1","event":"connected","user":"mallory"}]`))
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close() // only the status matters
			if res.StatusCode != http.StatusUnauthorized {
				t.Errorf("events without a signature: HTTP %d", res.StatusCode)
			}
			s := serve(t, []string{"HOOFBEAT_EVENTS_URL=" + url, "HOOFBEAT_EVENTS_SECRET=" + webhookSecret})
			conn := connectAs(t, "ann", s.url, client.Options{Login: "ann"})
			if _, err := conn.Subscribe("/topic/a", stomp.AckAuto); err != nil {
				t.Fatal(err)
			}
			if err := conn.Disconnect(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for range 4 {
				got = append(got, testkit.Receive(t, lines))
			}
			if want := []string{"connected ann", "subscribed ann /topic/a", "unsubscribed ann /topic/a", "disconnected ann disconnect"}; !slices.Equal(got, want) {
				t.Errorf("it heard %q, want %q", got, want)
			}
		})
	}
}
