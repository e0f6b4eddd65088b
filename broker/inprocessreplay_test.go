package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// got is a message that a program's subscription received.
type got struct{ body, recovered, offset string }

// follow subscribes in process. Before each message it calls wait, if set.
func follow(t *testing.T, b *broker.Broker, destination string, o broker.SubscribeOptions, wait func(context.Context)) (*broker.Subscription, *[]got) {
	t.Helper()
	list := new([]got)
	l, err := b.Subscribe(t.Context(), destination, o, func(ctx context.Context, m *broker.Message) error {
		if wait != nil {
			wait(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		*list = append(*list, got{string(m.Body), m.Header("recovered"), m.Header("offset")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return l, list
}

func bodies(list []got) string {
	var out []string
	for _, g := range list {
		out = append(out, g.body)
	}
	return strings.Join(out, " ")
}

// A program's subscription begins where its offset says, goes on with live
// messages, and tells whether it recovered as a client is told.
func TestProgramGetsHistory(t *testing.T) {
	for _, c := range []struct {
		destination, offset string // EPOCH is that of the history of /topic/a/**
		recovered           bool
		want                string
	}{
		{"/topic/a/**", "EPOCH:1", true, "2 3 4 5 6"},
		{"/topic/a/1", "EPOCH:1", true, "3 5 6"},
		{"/topic/a/1", "EPOCH:4", true, "5 6"},
		{"/topic/a/**", "EPOCH:5", true, "6"},
		{"/topic/a/**", "EPOCH:1000", false, "1 2 3 4 5 6"},
		{"/topic/a/**", "other:1", false, "1 2 3 4 5 6"},
		{"/topic/a/*", "first", false, "1 2 3 4 5 6"},
		{"/topic/a/*", "last", false, "4 5 6"},
		{"/topic/a/*", "-2", false, "4 5 6"},
		{"/topic/a/*", "next", false, "6"},
		{"/topic/a/*", "1999-01-01T00:00:00Z", false, "1 2 3 4 5 6"},
		{"/topic/a/*", "2099-01-01T00:00:00Z", false, "6"},
		{"/topic/**", "EPOCH:1", false, "6"}, // over two entries: live only
	} {
		t.Run(c.destination+" "+c.offset, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t, withHistory(3, "/topic/a/**", "/topic/b"))
				for i, destination := range []string{"/topic/a/1", "/topic/a/0", "/topic/a/1", "/topic/a/0", "/topic/a/1"} {
					publish(t, b, destination, fmt.Sprint(i+1)) // with this number
				}
				offset := strings.Replace(c.offset, "EPOCH", epochOf(t, b, "/topic/a/1"), 1)
				l, list := follow(t, b, c.destination, broker.SubscribeOptions{Offset: offset}, nil)
				synctest.Wait()
				publish(t, b, "/topic/a/1", "6")
				synctest.Wait()
				if l.Recovered() != c.recovered || bodies(*list) != c.want {
					t.Errorf("recovered %v, %q; want %v, %q", l.Recovered(), bodies(*list), c.recovered, c.want)
				}
				for i, g := range *list {
					said := ""
					if i == 0 {
						said = fmt.Sprint(c.recovered)
					}
					if g.recovered != said || !strings.HasSuffix(g.offset, ":"+g.body) {
						t.Errorf("message %d: %+v, want recovered %q", i, g, said)
					}
				}
			})
		})
	}
}

// Other destinations have no history: the subscription is live, and says so.
func TestProgramAsksForNoHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, withHistory(3, "/topic/a"))
		l, list := follow(t, b, "/topic/b", broker.SubscribeOptions{Offset: "first"}, nil)
		for i := range 3 {
			publish(t, b, "/topic/b", fmt.Sprint(i))
		}
		synctest.Wait()
		if l.Recovered() || bodies(*list) != "0 1 2" || (*list)[0].recovered != "false" || (*list)[1].recovered != "" {
			t.Errorf("recovered %v, %+v", l.Recovered(), *list)
		}
		_, err := b.Subscribe(t.Context(), "/topic/a", broker.SubscribeOptions{Offset: "yesterday"}, func(context.Context, *broker.Message) error { return nil })
		if err == nil || !strings.Contains(err.Error(), `offset "yesterday" is none of first, last, next`) {
			t.Errorf("a bad offset: %v", err)
		}
	})
}

// The history waits for room in the buffer, however small it is, and live
// messages come after it.
func TestProgramIsSlowerThanItsHistory(t *testing.T) {
	for _, buffer := range []int{1, 2, 7, 1000} {
		t.Run(fmt.Sprint(buffer), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker(t, withHistory(500, "/topic/a"))
				n := 0
				send := func(count int) {
					for range count {
						publish(t, b, "/topic/a", fmt.Sprint(n))
						n++
					}
				}
				send(300)
				l, list := follow(t, b, "/topic/a", broker.SubscribeOptions{Offset: "first", Buffer: buffer}, func(context.Context) { time.Sleep(time.Millisecond) })
				time.Sleep(100 * time.Millisecond)
				send(50) // more than most of the buffers take
				time.Sleep(time.Second)
				for range 5 {
					send(1)
					time.Sleep(time.Second)
				}
				synctest.Wait()
				for i, g := range *list {
					if g.body != fmt.Sprint(i) {
						t.Fatalf("%q at %d", g.body, i)
					}
				}
				if len(*list) != n || l.Err() != nil {
					t.Errorf("%d messages of %d, %v", len(*list), n, l.Err())
				}
			})
		})
	}
}

// A program that is so slow that the history overtakes it never misses a message
// without a sign.
func TestProgramIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, recovers := range []bool{true, false} {
			b := newBroker(t, withHistory(5, "/topic/a"))
			publish(t, b, "/topic/a", "x")
			offset := epochOf(t, b, "/topic/a") + ":1"
			if !recovers {
				offset = "first"
			}
			for i := range 5 {
				publish(t, b, "/topic/a", fmt.Sprint(i))
			}
			next := make(chan struct{})
			l, list := follow(t, b, "/topic/a", broker.SubscribeOptions{Offset: offset, Buffer: 2}, func(ctx context.Context) {
				select {
				case <-next:
				case <-ctx.Done():
				}
			})
			synctest.Wait()
			for i := range 20 {
				publish(t, b, "/topic/a", fmt.Sprint(5+i))
			}
			for range 4 {
				select {
				case next <- struct{}{}:
				case <-l.Done():
				}
				synctest.Wait()
			}
			if l.Recovered() != recovers {
				t.Errorf("recovered %v, want %v", l.Recovered(), recovers)
			}
			if recovers {
				if err := l.Err(); !errors.Is(err, broker.ErrSlowConsumer) || !strings.Contains(err.Error(), "history[].messages") {
					t.Errorf("ended with %v after %q", err, bodies(*list))
				}
			} else if gaps := strings.Count(fmt.Sprint(*list), " false "); l.Err() != nil || gaps != 2 {
				t.Errorf("%d gaps in %+v, %v", gaps, *list, l.Err())
			}
			l.Cancel()
			b.Close()
		}
	})
}
