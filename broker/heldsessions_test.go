package broker_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// A session keeps nothing of the request that opened it, however long that was.
func TestIdleSessionHoldsNoHandshake(t *testing.T) {
	const n = 20
	srv := brokertest.Start(t, broker.Options{Authenticator: auth.TrustLogin})
	var conns []net.Conn
	held := func(junk string) int64 {
		before := testkit.Heap()
		for i := range n {
			nc, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(srv.URL, "ws://"), "/ws"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = nc.Close() })
			_ = nc.SetDeadline(time.Now().Add(patience))
			fmt.Fprintf(nc, "GET /ws?login=ann&x=%s HTTP/1.1\r\nHost: localhost\r\nX-Junk: %s\r\nUser-Agent: a%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", junk, junk, junk)
			res, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
				t.Fatal(res, err)
			}
			connect := frame("CONNECT", "", "accept-version", "1.2", "heart-beat", "0,0", "login", fmt.Sprint("user", i))
			if _, err := nc.Write(webSocketFrame(opText, encode(connect))); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, nc)
		}
		brokertest.Eventually(t, "all are connected", func() bool { return srv.Broker.Stats().Sessions == len(conns) })
		return testkit.Heap() - before
	}
	held("x") // fills what is shared
	short, long := held("x"), held(strings.Repeat("x", 200_000))
	if more := (long - short) / n; more > 4<<10 {
		t.Errorf("a session that began with a long request holds %d bytes more than another", more)
	}
}

// Frames that are never finished hold what they have, up to twice the limit of a
// frame.
func TestUnfinishedFramesHoldTheirLimit(t *testing.T) {
	const n, limit = 20, 64 << 10
	b := brokertest.New(t, broker.Options{})
	var clients []*brokertest.Client
	for range n {
		clients = append(clients, brokertest.Connect(t, b))
	}
	body := strings.Repeat("x", 1000)
	before := testkit.Heap()
	for _, c := range clients {
		c.Write([]byte("SEND\ndestination:/topic/a\ncontent-length:65000\n\n"))
		for range 64 {
			c.Write([]byte(body))
		}
	}
	in := int64(n * 64_000)
	brokertest.Eventually(t, "all was read", func() bool { return b.Stats().BytesIn >= in })
	wantHeld(t, "unfinished frames", before, n*2*limit)
	runtime.KeepAlive(clients)
}

// Messages that a client has been given and does not acknowledge hold what is
// counted for them in their queue.
func TestUnacknowledgedHoldWhatTheyCount(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	c, sender := brokertest.Connect(t, b), brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/a", "ack", "client-individual", "prefetch-count", "0")
	before := testkit.Heap()
	for range 2000 {
		sender.Send("SEND", "b", "destination", "/queue/a", "a", "b")
	}
	sender.Sync(t)
	for range 1000 {
		c.Expect(t, "MESSAGE")
	}
	wantMessages(t, c)
	wantHeld(t, "unacknowledged", before, b.Stats().QueueBytes*5/4+256<<10)
	runtime.KeepAlive(c)
}

// The most queues with the longest names, each with a message.
func TestQueuesHoldWhatTheyCount(t *testing.T) {
	const n, perQueue = 1000, 4 << 10
	b := brokertest.New(t, broker.Options{Queues: broker.Queues{QueuesPerUser: n}})
	c := brokertest.Connect(t, b)
	before := testkit.Heap()
	for i := range n {
		c.Send("SEND", "b", "destination", fmt.Sprintf("/queue/%0900d", i))
		if i%100 == 99 {
			c.Sync(t)
		}
	}
	c.Sync(t)
	if st := b.Stats(); st.QueueMessages != n {
		t.Fatalf("%d messages", st.QueueMessages)
	}
	wantHeld(t, "queues", before, b.Stats().QueueBytes*5/4+n*perQueue)
	runtime.KeepAlive(c)
}
