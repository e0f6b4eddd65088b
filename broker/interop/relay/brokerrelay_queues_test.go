package relay_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// TestStompBrokerRelayMessageHandlerPrivateQueuesGoAway: a queue of its own for
// every session is Spring's way, /queue/replies-user<session>, and other brokers
// are known to keep them. Here nothing is left of those whose sessions have gone,
// with or without a DISCONNECT.
func TestStompBrokerRelayMessageHandlerPrivateQueuesGoAway(t *testing.T) {
	t.Parallel()
	const sessions, atATime = 2000, 40
	srv := start(t, broker.Options{})
	app := system(t, srv.TCP)
	subscribed(t, srv.Broker, 2)
	for from := 0; from < sessions; from += atATime {
		peers := make([]*peer, atATime)
		var opened sync.WaitGroup
		for i := range peers {
			peers[i] = dial(t, srv.TCP)
			opened.Go(func() {
				session := fmt.Sprintf("s%d", from+i)
				octets := fill(clientConnect+userSubscribe+"UNSUBSCRIBE\nid:none\nreceipt:there\n\n\x00", "session", session)
				if err := peers[i].write([]byte(octets)); err != nil {
					t.Error(err)
				}
			})
		}
		testkit.Wait(t, &opened)
		for i, p := range peers {
			p.want(t, "CONNECTED")
			p.want(t, "RECEIPT", "receipt-id", "there")
			app.say(t, fill(userSend, "session", fmt.Sprintf("s%d", from+i)))
		}
		for i, p := range peers {
			p.wantMessage(t, "true", "destination", fmt.Sprintf("/queue/replies-users%d", from+i))
			switch i % 3 {
			case 0:
				p.say(t, "DISCONNECT\n\n\x00")
			case 1:
				p.say(t, "UNSUBSCRIBE\nid:sub-0\n\n\x00")
			}
			if err := p.close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	brokertest.Eventually(t, "all but the system session have gone", func() bool { return srv.Broker.Stats().Sockets == 1 })
	if st := srv.Broker.Stats(); st.Subscriptions != 2 || st.QueueMessages != 0 || st.QueueBytes != 0 || st.Users != 1 {
		t.Errorf("left behind: %+v", st)
	}
	if got := queues(srv.Broker); len(got) != 0 {
		t.Errorf("%d queues are left, the first of them %+v", len(got), got[0])
	}
}

// queues returns what is not a system subscription.
func queues(b *broker.Broker) []broker.DestinationInfo {
	return slices.DeleteFunc(slices.Collect(b.Destinations()), func(d broker.DestinationInfo) bool {
		return d.Name == "/topic/unresolved-user-destination" || d.Name == "/topic/simp-user-registry"
	})
}

// TestStompBrokerRelayMessageHandlerDeadSession: an application may send to a
// session that has gone: its registry, and above all the one of another node,
// which comes every 10 s, is late.
func TestStompBrokerRelayMessageHandlerDeadSession(t *testing.T) {
	t.Parallel()
	gone := func(t *testing.T, srv *brokertest.Server) {
		t.Helper()
		c := client(t, srv.TCP)
		c.say(t, fill(userSubscribe, "session", "dead")+"DISCONNECT\nreceipt:bye\n\n\x00")
		c.want(t, "RECEIPT", "receipt-id", "bye")
		c.wantEnd(t, 0)
		brokertest.Eventually(t, "the client has gone", func() bool { return srv.Broker.Stats().Sockets == 1 })
	}

	// A work queue keeps what nobody takes, as it keeps what nobody takes yet, and
	// refuses what is over its limits. The ERROR ends the system session; Spring
	// starts another.
	t.Run("work queues are bounded", func(t *testing.T) {
		t.Parallel()
		srv := start(t, broker.Options{Queues: broker.Queues{Messages: 3, Queues: 2}})
		app := system(t, srv.TCP)
		gone(t, srv)
		for range 4 {
			app.say(t, fill(userSend, "session", "dead"))
		}
		app.want(t, "ERROR", "message", "queue limit reached: at most 3 messages per queue (queues.messages)")
		app.wantEnd(t, 0)
		if st := srv.Broker.Stats(); st.QueueMessages != 3 {
			t.Errorf("%d messages are kept, want 3", st.QueueMessages)
		}
		app = system(t, srv.TCP)
		for _, session := range []string{"dead2", "dead3"} {
			app.say(t, fill(userSend, "session", session))
		}
		app.want(t, "ERROR", "message", "queue limit reached: at most 2 queues (queues.queues)")
		app.wantEnd(t, 0)
	})

	// Where /queue is a second /topic, which is what Spring's simple broker makes
	// of it, nothing is kept for sessions that are not there, and every session may
	// have as many queues as subscriptions.
	t.Run("broadcast queues keep nothing", func(t *testing.T) {
		t.Parallel()
		srv := start(t, broker.Options{Queues: broker.Queues{Mode: broker.QueueBroadcast, Messages: 3, Queues: 2}})
		keepsNothing(t, srv, gone, userSubscribe, userSend)
	})

	// So do topics in any case: /user/topic/replies becomes
	// /topic/replies-user<session>.
	t.Run("topics keep nothing", func(t *testing.T) {
		t.Parallel()
		srv := start(t, broker.Options{Queues: broker.Queues{Messages: 3, Queues: 2}})
		keepsNothing(t, srv, gone,
			"SUBSCRIBE\nid:sub-0\ndestination:/topic/replies-user{session}\nsimpOrigDestination:/user/topic/replies\n\n\x00",
			"SEND\nsimpOrigDestination:/user/topic/replies\ndestination:/topic/replies-user{session}\ncontent-type:application/json\ncontent-length:4\n\ntrue\x00")
	})
}

// keepsNothing sends to sessions that have gone, and to more that are there than
// there may be queues.
func keepsNothing(t *testing.T, srv *brokertest.Server, gone func(*testing.T, *brokertest.Server), subscribe, send string) {
	t.Helper()
	app := system(t, srv.TCP)
	gone(t, srv)
	for range 10 {
		app.say(t, fill(send, "session", "dead"))
	}
	var alive []*peer
	for i := range 5 {
		c := client(t, srv.TCP)
		c.say(t, fill(subscribe, "session", fmt.Sprint(i)))
		alive = append(alive, c)
	}
	subscribed(t, srv.Broker, 2+len(alive))
	for i, c := range alive {
		app.say(t, fill(send, "session", fmt.Sprint(i)))
		c.wantMessage(t, "true", "subscription", "sub-0")
	}
	if st := srv.Broker.Stats(); st.QueueMessages != 0 || st.Published != 15 {
		t.Errorf("%d messages are kept of %d, want none of 15", st.QueueMessages, st.Published)
	}
}
