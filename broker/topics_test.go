package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
)

func TestTopicFanOut(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	sender := brokertest.Connect(t, b)
	var receivers []*brokertest.Client
	for i := range 20 {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, fmt.Sprint("sub-", i%11), "/topic/news") // more ids than are cached
		receivers = append(receivers, c)
	}
	elsewhere := brokertest.Connect(t, b)
	elsewhere.Subscribe(t, "sub-0", "/topic/news/today")

	send(t, sender, "/topic/news", "one")
	send(t, sender, "/topic/news", "two")
	ids := map[string]int{}
	for i, c := range receivers {
		got := wantMessages(t, c, "one", "two")
		for _, m := range got {
			wantHeaders(t, m, "destination", "/topic/news", "subscription", fmt.Sprint("sub-", i%11), "content-length", "3")
			ids[m.Get("message-id")]++
		}
		if got[0].Get("message-id") == got[1].Get("message-id") {
			t.Fatal("two messages have the same message-id")
		}
	}
	if len(ids) != 2 || ids[""] != 0 {
		t.Errorf("message-ids are %v, want two, each the same for all 20 receivers", ids)
	}
	wantMessages(t, elsewhere)
}

func TestTopicEchoesToTheSender(t *testing.T) {
	c := brokertest.Connect(t, brokertest.New(t, broker.Options{}))
	c.Subscribe(t, "s", "/topic/a")
	c.Send("SEND", "mine", "destination", "/topic/a")
	wantMessages(t, c, "mine")
}

func TestTopicPatterns(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		matches []string
		others  []string
	}{
		{"/topic/a", []string{"/topic/a"}, []string{"/topic/b", "/topic/a/b", "/topic/A"}},
		{"/topic/?", []string{"/topic/a", "/topic/ä"}, []string{"/topic/ab", "/topic/a/b"}},
		{"/topic/*", []string{"/topic/a", "/topic/news"}, []string{"/topic/a/b"}},
		{"/topic/a*z/c", []string{"/topic/az/c", "/topic/a-z/c"}, []string{"/topic/a/z/c", "/topic/az"}},
		{"/topic/**", []string{"/topic/a", "/topic/a/b/c"}, []string{"/queue/a"}},
		{"/topic/a/**", []string{"/topic/a", "/topic/a/b/c"}, []string{"/topic/ab", "/topic/b/a"}},
		{"/topic/**/z", []string{"/topic/z", "/topic/x/y/z"}, []string{"/topic/z/x"}},
	} {
		t.Run(tc.pattern, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{})
			c := brokertest.Connect(t, b)
			c.Subscribe(t, "s", tc.pattern)
			for _, d := range append(append([]string(nil), tc.matches...), tc.others...) {
				publish(t, b, d, d)
			}
			for _, m := range wantMessages(t, c, tc.matches...) {
				wantHeaders(t, m, "destination", string(m.Body), "subscription", "s") // trap 33: of the SEND, not the pattern
			}
		})
	}
}

func TestOverlappingSubscriptionsEachGetACopy(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	c := brokertest.Connect(t, b)
	for id, d := range map[string]string{"literal": "/topic/a", "again": "/topic/a", "star": "/topic/*", "all": "/topic/**"} {
		c.Subscribe(t, id, d)
	}
	publish(t, b, "/topic/a", "x")
	seen := map[string]int{}
	var ids []string
	for _, m := range wantMessages(t, c, "x", "x", "x", "x") {
		seen[m.Get("subscription")]++
		ids = append(ids, m.Get("message-id"))
	}
	if len(seen) != 4 {
		t.Errorf("subscriptions %v, want each once", seen)
	}
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("one message has the ids %v", ids)
		}
	}
}

func TestTopicOrder(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/**")
	sender := brokertest.Connect(t, b)
	var want []string
	for i := range 500 {
		sender.Send("SEND", fmt.Sprint(i), "destination", fmt.Sprint("/topic/", i%7))
		want = append(want, fmt.Sprint(i))
	}
	sender.Sync(t)
	wantMessages(t, c, want...)
}

func TestHeadersReachTheMessage(t *testing.T) { // trap 15
	b := brokertest.New(t, broker.Options{})
	sender, c := brokertest.Connect(t, b), brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/a")
	send(t, sender, "/topic/a", "{}",
		"content-type", "application/json", "x-trace", "1", "empty", "", "colon:name", "v:w", "x-trace", "2",
		"priority", "9", "correlation-id", "c", "reply-to", "/topic/b", "persistent", "true")
	m := wantMessages(t, c, "{}")[0]
	wantHeaders(t, m, "content-type", "application/json", "x-trace", "1", "empty", "", "colon:name", "v:w",
		"priority", "9", "correlation-id", "c", "reply-to", "/topic/b", "persistent", "true")
}

func TestReservedHeadersAreNeverForwarded(t *testing.T) { // trap 15
	forged := []string{
		"message-id", "forged", "subscription", "forged", "ack", "forged", "id", "forged", "redelivered", "forged",
		"receipt-id", "forged", "heart-beat", "forged", "login", "forged", "passcode", "forged", "ticket", "forged",
		"authorization", "forged", "Authorization", "forged", "simpSessionId", "forged", "simpUser", "forged",
		"destination", "/topic/forged", // the second one, behind send's
		"receipt", "forged",
	}
	for _, destination := range []string{"/topic/a", "/queue/a"} {
		for _, ack := range []string{"auto", "client-individual"} {
			t.Run(destination+" "+ack, func(t *testing.T) {
				b := brokertest.New(t, broker.Options{})
				sender, c := brokertest.Connect(t, b), brokertest.Connect(t, b)
				c.Subscribe(t, "s", destination, "ack", ack)
				local := make(chan *broker.Message, 1)
				if _, err := b.Subscribe(t.Context(), "/topic/**", broker.SubscribeOptions{}, func(_ context.Context, m *broker.Message) error {
					local <- m
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				send(t, sender, destination, "x", forged...)
				m := wantMessages(t, c, "x")[0]
				wantHeaders(t, m, "destination", destination, "subscription", "s")
				count := map[string]int{}
				for _, h := range m.Headers {
					count[h.Name]++
					if h.Value == "forged" || h.Value == "/topic/forged" {
						t.Errorf("the client's %s:%s was forwarded", h.Name, h.Value)
					}
					if count[h.Name] > 1 {
						t.Errorf("more than one %s in %v", h.Name, m.Headers)
					}
				}
				if destination == "/topic/a" {
					if m := testkit.Receive(t, local); len(m.Headers) != 0 || m.Redelivered || m.ID == "forged" {
						t.Errorf("the program received %+v", m)
					}
				}
			})
		}
	}
}

func TestFirstOfRepeatedHeadersCounts(t *testing.T) { // trap 14
	b := brokertest.New(t, broker.Options{})
	sender, c := brokertest.Connect(t, b), brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/**")
	c.Subscribe(t, "only", "/topic/only", "id", "second", "destination", "/topic/ignored")
	sender.Send("SEND", "x", "destination", "/topic/first", "destination", "/topic/second", "receipt", "1", "receipt", "2")
	sender.ExpectReceipt(t, "1")
	sender.Sync(t)
	wantHeaders(t, wantMessages(t, c, "x")[0], "destination", "/topic/first")
	publish(t, b, "/topic/ignored", "y")
	wantMessages(t, c, "y")
}

func TestBodiesAreOctets(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	sender, c := brokertest.Connect(t, b), brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/a")
	for name, body := range map[string][]byte{
		"empty": nil, "NUL": {0, 'a', 0, 0}, "empty lines": []byte("a\n\nb\r\n\r\n"), "not UTF-8": {0xff, 0xfe},
		"a frame": []byte("SEND\ndestination:/topic/a\n\nx\x00"), "large": bytes.Repeat([]byte("0123456789abcdef"), 3000),
	} {
		t.Run(name, func(t *testing.T) {
			send(t, sender, "/topic/a", string(body))
			wantHeaders(t, wantMessages(t, c, string(body))[0], "content-length", fmt.Sprint(len(body)))
		})
	}
}

func TestNobodyListens(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	c := brokertest.Connect(t, b)
	send(t, c, "/topic/nobody", "x")
	c.Subscribe(t, "s", "/topic/nobody")
	wantMessages(t, c) // a topic keeps nothing
}

// trap 12: what one version says another may not be able to, and every receiver
// gets the frame in its own version.
func TestReceiversOfAllVersions(t *testing.T) {
	senders := map[string][]string{
		"1.2": {"lines", "a\nb", "return", "a\rb", "url", "http://x:8/", "na:me", "v", "back", `a\nb`, "plain", "p"},
		"1.1": {"lines", "a\nb", "url", "http://x:8/", "na:me", "v", "back", `a\nb`, "plain", "p"},
		"1.0": {"url", "http://x:8/", "back", `a\nb`, "plain", "p"},
	}
	cannot := map[string][]string{
		"1.2": nil,
		"1.1": {"return"},
		"1.0": {"lines", "return", "na:me"},
	}
	for from, headers := range senders {
		for to, left := range cannot {
			t.Run(from+" to "+to, func(t *testing.T) {
				b := brokertest.New(t, broker.Options{})
				sender := brokertest.Connect(t, b, "accept-version", from)
				for _, other := range []string{"1.0", "1.1", "1.2"} { // encoded for the others first
					c := brokertest.Connect(t, b, "accept-version", other)
					c.Subscribe(t, "s", "/topic/a:b")
				}
				c := brokertest.Connect(t, b, "accept-version", to)
				c.Subscribe(t, "s", "/topic/a:b")
				send(t, sender, "/topic/a:b", "x", headers...)
				m := wantMessages(t, c, "x")[0]

				want := []frames.Header{{Name: "subscription", Value: "s"}, {Name: "destination", Value: "/topic/a:b"}, {Name: "message-id", Value: m.Get("message-id")}}
				for i := 0; i < len(headers); i += 2 {
					if !contains(left, headers[i]) {
						want = append(want, frames.Header{Name: headers[i], Value: headers[i+1]})
					}
				}
				want = append(want, frames.Header{Name: "content-length", Value: "1"})
				if fmt.Sprintf("%q", m.Headers) != fmt.Sprintf("%q", want) {
					t.Errorf("headers are\n%q, want\n%q", m.Headers, want)
				}
			})
		}
	}
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}
