package broker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// withHistory returns options with entries of so many messages a destination.
func withHistory(messages int, destinations ...string) broker.Options {
	var o broker.Options
	for _, d := range destinations {
		o.History = append(o.History, broker.History{Destination: d, Messages: messages, Bytes: 1 << 20})
	}
	return o
}

// subscribeFrom subscribes with headers and returns the RECEIPT.
func subscribeFrom(t testing.TB, c *brokertest.Client, id, destination string, headers ...string) *frames.Frame {
	t.Helper()
	c.Send("SUBSCRIBE", "", append([]string{"id", id, "destination", destination, "receipt", "s"}, headers...)...)
	return c.Expect(t, "RECEIPT")
}

// epochOf returns the epoch of a topic's history.
func epochOf(t testing.TB, b *broker.Broker, destination string) string {
	t.Helper()
	c := brokertest.Connect(t, b)
	defer c.Close()
	subscribeFrom(t, c, "e", destination, "offset", "-1")
	epoch, _, ok := strings.Cut(c.Expect(t, "MESSAGE").Get("offset"), ":")
	if !ok || len(epoch) != 8 {
		t.Fatalf("the epoch is %q", epoch)
	}
	return epoch
}

func TestH1HistoryBeginsWhereTheClientSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, withHistory(5, "/topic/prices/**"))
		begun := time.Now()
		for i := range 8 { // 4 to 8 are kept
			publish(t, b, "/topic/prices/a", fmt.Sprint(i+1))
			time.Sleep(10 * time.Second)
		}
		epoch := epochOf(t, b, "/topic/prices/a")
		at := func(seconds int) time.Time { return begun.Add(time.Duration(seconds) * time.Second) }
		for _, c := range []struct{ header, value, want, recovered string }{
			{"offset", "first", "4 5 6 7 8", "false"},
			{"offset", "last", "8", "false"},
			{"offset", "next", "", "false"},
			{"offset", "-0", "", "false"},
			{"offset", "-1", "8", "false"},
			{"offset", "-3", "6 7 8", "false"},
			{"offset", "-99", "4 5 6 7 8", "false"},
			{"offset", at(45).UTC().Format(time.RFC3339), "6 7 8", "false"},
			{"offset", at(50).In(time.FixedZone("", 3600)).Format(time.RFC3339Nano), "6 7 8", "false"},
			{"offset", at(3600).UTC().Format(time.RFC3339), "", "false"},
			{"offset", "1970-01-01T00:00:00Z", "4 5 6 7 8", "false"},
			{"offset", epoch + ":8", "", "true"},
			{"offset", epoch + ":6", "7 8", "true"},
			{"offset", epoch + ":3", "4 5 6 7 8", "true"},
			{"offset", epoch + ":2", "4 5 6 7 8", "false"},
			{"offset", epoch + ":0", "4 5 6 7 8", "false"},
			{"offset", epoch + ":9", "4 5 6 7 8", "false"}, // never given out
			{"offset", "otherone:6", "4 5 6 7 8", "false"},
			{"x-stream-offset", "first", "4 5 6 7 8", "false"},
			{"x-stream-offset", "last", "8", "false"},
			{"x-stream-offset", "next", "", "false"},
			{"x-stream-offset", "offset=7", "7 8", "false"}, // RabbitMQ's is the first message, and never a proof
			{"x-stream-offset", "offset=0", "4 5 6 7 8", "false"},
			{"x-stream-offset", fmt.Sprint("timestamp=", at(50).Unix()), "6 7 8", "false"},
			{"activemq.retroactive", "true", "4 5 6 7 8", "false"},
			{"activemq.retroactive", "false", "", "-"},
		} {
			t.Log(c.header, c.value) // a bubble has no subtests
			client := brokertest.Connect(t, b)
			wantHeaders(t, subscribeFrom(t, client, "1", "/topic/prices/a", c.header, c.value), "recovered", c.recovered)
			for i, m := range wantMessages(t, client, strings.Fields(c.want)...) {
				wantHeaders(t, m, "offset", epoch+":"+string(m.Body), "x-stream-offset", string(m.Body), "destination", "/topic/prices/a")
				if i == 0 {
					wantHeaders(t, m, "recovered", c.recovered)
				} else {
					wantHeaders(t, m, "recovered", "-")
				}
			}
			client.Close()
		}
	})
}

// The first MESSAGE may be a live one.
func TestH2FirstMessageSaysWhetherItRecovered(t *testing.T) {
	for _, mode := range []string{"auto", "client", "client-individual"} {
		b := newBroker(t, withHistory(5, "/topic/prices/**"))
		publish(t, b, "/topic/prices/a", "1")
		epoch := epochOf(t, b, "/topic/prices/a")
		other := brokertest.Connect(t, b)
		other.Subscribe(t, "1", "/topic/prices/a")
		c := brokertest.Connect(t, b)
		subscribeFrom(t, c, "1", "/topic/prices/a", "offset", epoch+":1", "ack", mode)
		publish(t, b, "/topic/prices/a", "2")
		publish(t, b, "/topic/prices/a", "3")
		got := wantMessages(t, c, "2", "3")
		wantHeaders(t, got[0], "recovered", "true", "offset", epoch+":2")
		wantHeaders(t, got[1], "recovered", "-", "offset", epoch+":3")
		for _, m := range wantMessages(t, other, "2", "3") { // who asks for nothing is told nothing
			wantHeaders(t, m, "recovered", "-", "offset", epoch+":"+string(m.Body))
		}
	}
}

func TestH3RecoveredOnlyWhenProven(t *testing.T) {
	o := withHistory(3, "/topic/prices/eu/special", "/topic/prices/**", "/topic/news/*")
	b := newBroker(t, o)
	for i := range 10 { // numbers 1 to 20 of the second entry; what is kept: a 15 17 19, b 16 18 20
		publish(t, b, "/topic/prices/eu/a", fmt.Sprint("a", i))
		publish(t, b, "/topic/prices/us/b", fmt.Sprint("b", i))
	}
	publish(t, b, "/topic/prices/us/c", "c0") // 21
	publish(t, b, "/topic/prices/eu/special", "s")
	publish(t, b, "/topic/news/x", "n")
	epoch := epochOf(t, b, "/topic/prices/us/c")
	if epoch == epochOf(t, b, "/topic/news/x") {
		t.Error("two entries have the same epoch")
	}
	for _, c := range []struct {
		destination string
		number      int
		recovered   string
		want        string
	}{
		{"/topic/prices/eu/a", 13, "true", "a7 a8 a9"},
		{"/topic/prices/eu/a", 12, "false", "a7 a8 a9"},
		{"/topic/prices/us/b", 13, "false", "b7 b8 b9"}, // 14 is gone
		{"/topic/prices/us/b", 14, "true", "b7 b8 b9"},
		{"/topic/prices/us/c", 0, "true", "c0"}, // it has lost nothing
		{"/topic/prices/us/d", 5, "true", ""},   // neither has one without messages
		{"/topic/prices/us/*", 14, "true", "b7 b8 b9 c0"},
		{"/topic/prices/us/*", 13, "false", "b7 b8 b9 c0"},
		{"/topic/prices/us/**", 19, "true", "b9 c0"},
		{"/topic/prices/*/?", 14, "true", "a7 b7 a8 b8 a9 b9 c0"},
		{"/topic/prices/*/*", 14, "false", ""}, // over the first entry too: live only
		{"/topic/prices/**", 19, "false", ""},
		{"/topic/**", 19, "false", ""},
		{"/topic/news/**", 0, "false", ""},   // more than its entry
		{"/topic/other/x", 0, "false", ""},   // no history
		{"/user/queue/x", 0, "false", ""},    // nor here
		{"/topic/news/x", 0, "false", "n"},   // the epoch of another entry
		{"/topic/prices/us/", 0, "true", ""}, // belongs to the entry as /topic/prices/us does
	} {
		t.Run(fmt.Sprint(c.destination, " ", c.number), func(t *testing.T) {
			client := brokertest.Connect(t, b)
			wantHeaders(t, subscribeFrom(t, client, "1", c.destination, "offset", fmt.Sprint(epoch, ":", c.number)), "recovered", c.recovered)
			got := wantMessages(t, client, strings.Fields(c.want)...)
			if len(got) > 0 {
				wantHeaders(t, got[0], "recovered", c.recovered)
			}
		})
	}
}

func TestH4BadOffsetIsRefused(t *testing.T) {
	b := newBroker(t, withHistory(3, "/topic/prices/**"))
	for _, c := range []struct{ header, value, forms string }{
		{"offset", "", "first, last, next, -<n>, <epoch>:<n> and a time"},
		{"offset", "newest", "first, last, next"}, {"offset", "5", "<epoch>:<n>"}, {"offset", "-x", "-<n>"},
		{"offset", "-+1", "-<n>"}, {"offset", ":5", "<epoch>"}, {"offset", "abcdefgh:", "<epoch>"}, {"offset", "abcdefgh:-1", "<epoch>"},
		{"offset", "abc defg:1", "<epoch>"}, {"offset", strings.Repeat("a", 33) + ":1", "<epoch>"},
		{"offset", "abcdefgh:18446744073709551616", "<epoch>"}, {"offset", "2026-01-31 15:04:05", "2026-01-31T15:04:05Z"},
		{"x-stream-offset", "5", "offset=<n> and timestamp=<seconds>"}, {"x-stream-offset", "offset=", "offset=<n>"},
		{"x-stream-offset", "timestamp=soon", "timestamp=<seconds>"}, {"x-stream-offset", "timestamp=18446744073709551615", "timestamp"},
		{"x-stream-offset", "offset=abcdefgh:1", "offset=<n>"},
		{"activemq.retroactive", "yes", "neither true nor false"},
	} {
		t.Run(c.header+" "+c.value, func(t *testing.T) {
			client := brokertest.Connect(t, b)
			client.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/prices/a", c.header, c.value)
			f := wantError(t, client, 1002, c.header+" header: ")
			if !strings.Contains(f.Get("message"), c.forms) {
				t.Errorf("%q does not name %s", f.Get("message"), c.forms)
			}
		})
	}
}

func TestH5HistoryOfEveryVersionAndFraming(t *testing.T) {
	o := withHistory(5, "/topic/prices/**")
	b := newBroker(t, o)
	publish(t, b, "/topic/prices/a", "1")
	epoch := epochOf(t, b, "/topic/prices/a")
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		c := brokertest.Connect(t, b, "accept-version", version)
		wantHeaders(t, subscribeFrom(t, c, "1", "/topic/prices/a", "offset", epoch+":0"), "recovered", "true")
		wantHeaders(t, expectMessage(t, c, "1"), "offset", epoch+":1", "x-stream-offset", "1", "recovered", "true")
	}
}

// What a client sends under the names of these headers does not pass for the
// broker's.
func TestH6OffsetsCannotBeForged(t *testing.T) {
	b := newBroker(t, withHistory(5, "/topic/prices/**"))
	live, sender := brokertest.Connect(t, b), brokertest.Connect(t, b)
	live.Subscribe(t, "1", "/topic/prices/a")
	send(t, sender, "/topic/prices/a", "1", "offset", "forged:1", "x-stream-offset", "99", "recovered", "true", " offset", "forged:2", "price", "5")
	again := brokertest.Connect(t, b)
	subscribeFrom(t, again, "1", "/topic/prices/a", "offset", "first")
	epoch := epochOf(t, b, "/topic/prices/a")
	for i, c := range []*brokertest.Client{live, again} {
		m := expectMessage(t, c, "1")
		wantHeaders(t, m, "offset", epoch+":1", "x-stream-offset", "1", "recovered", []string{"-", "false"}[i], " offset", "-", "price", "5")
		n := 0
		for _, h := range m.Headers {
			if strings.Contains(h.Name, "offset") {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%v", m.Headers)
		}
	}
	// Elsewhere they are headers like any other.
	live.Subscribe(t, "2", "/topic/other")
	send(t, sender, "/topic/other", "2", "offset", "40")
	wantHeaders(t, expectMessage(t, live, "2"), "offset", "40")
}

func TestHistoryOptions(t *testing.T) {
	for _, c := range []struct {
		field, problem string
		o              broker.Options
	}{
		{"History[0].Destination", "is not a topic: only destinations below /topic", withHistory(1, "/queue/a")},
		{"History[0].Destination", "is not a topic", withHistory(1, "/user/queue/a")},
		{"History[1].Destination", "is not a topic", withHistory(1, "/topic/a", "/app/a")},
		{"History[0].Destination", "destination", withHistory(1, "prices")},
		{"History[0].Destination", "variable", withHistory(1, "/topic/{user}/a")},
		{"History[0].Destination", "empty segment", withHistory(1, "/topic/a/")},
		{"History[1].Destination", "has an entry already", withHistory(1, "/topic/a", "/topic/a")},
		{"History[1].Bytes", "exceed the 1000000 bytes of all entries (history_bytes)", broker.Options{HistoryBytes: 1e6, History: []broker.History{{Destination: "/topic/a", Bytes: 9e5}, {Destination: "/topic/b", Bytes: 2e5}}}},
		{"History[0].Bytes", "without a limit", broker.Options{History: []broker.History{{Destination: "/topic/a", Bytes: -1}}}},
	} {
		_, err := broker.New(c.o)
		var option *broker.OptionError
		if !errors.As(err, &option) || option.Field != c.field || !strings.Contains(option.Problem, c.problem) {
			t.Errorf("%+v: %v", c.o.History, err)
		}
	}
	o := broker.Options{HistoryBytes: -1, History: []broker.History{{Destination: "/topic/a", Bytes: -1, Messages: -1}, {Destination: "/topic/**"}}}
	newBroker(t, o)
	if o.History[1].Messages != 0 {
		t.Error("New changed its argument")
	}
}

// Old messages go although nobody publishes any more.
func TestHistoryExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, broker.Options{History: []broker.History{{Destination: "/topic/**", Age: 10 * time.Second}}})
		publish(t, b, "/topic/a", "1")
		time.Sleep(5 * time.Second)
		if st := b.Stats(); st.HistoryMessages != 1 || st.HistoryBytes <= 0 {
			t.Errorf("%+v", st)
		}
		c := brokertest.Connect(t, b)
		subscribeFrom(t, c, "1", "/topic/a", "offset", "first")
		expectMessage(t, c, "1")
		time.Sleep(7 * time.Second)
		if st := b.Stats(); st.HistoryMessages != 0 || st.HistoryBytes != 0 {
			t.Errorf("%+v", st)
		}
		subscribeFrom(t, c, "2", "/topic/a", "offset", "first")
		wantMessages(t, c)
	})
}
