package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	check "github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
	"github.com/hoofbeat/hoofbeat/frames"
)

// historyRun is a run with random faults: publishers, some of them with
// transactions, and subscribers that disconnect at random and come back with
// the offset of the last MESSAGE that they read. Some read slowly. The history
// is smaller than some gaps, and its entry has several destinations.
type historyRun struct {
	address string
	c       *check.Checker
	topics  []string
	stop    chan struct{} // publishers end
	last    chan struct{} // subscribers come back once more and stay
	claimed [3]atomic.Int64
	gaps    atomic.Int64
}

func (r *historyRun) stopped() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// TestHistoryUnderFaults takes 6 s, or 60 s with HOOFBEAT_FAULTS=long,
// as .ci/run does.
func TestHistoryUnderFaults(t *testing.T) {
	length := 6 * time.Second
	if os.Getenv("HOOFBEAT_FAULTS") == "long" {
		length = time.Minute
	}
	o := broker.Options{History: []broker.History{{Destination: "/topic/h/**", Messages: 40, Bytes: 100_000}}}
	o.Limits.Frame, o.Limits.Outbox = 8<<10, 32<<10
	r := &historyRun{address: serveNarrow(t, brokertest.New(t, o)), c: check.New(check.Options{}), stop: make(chan struct{}), last: make(chan struct{})}
	for i := range 6 {
		r.topics = append(r.topics, fmt.Sprintf("/topic/h/%c/%d", 'a'+i%2, i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), length+2*time.Minute)
	defer cancel()
	var publishers, subscribers sync.WaitGroup
	for i := range 4 {
		publishers.Go(func() {
			if err := r.publisher(ctx, i); err != nil {
				t.Errorf("publisher %d: %v", i, err)
			}
		})
	}
	for i := range 16 {
		subscribers.Go(func() {
			if err := r.subscriber(ctx, i); err != nil {
				t.Errorf("subscriber %d: %v", i, err)
			}
		})
	}
	time.Sleep(length)
	close(r.stop)
	publishers.Wait()
	close(r.last)
	subscribers.Wait()
	for _, v := range r.c.Report().Violations {
		t.Error(v)
	}
	n := r.c.Counts()
	t.Logf("%+v; recovered:true %d, false %d, sessions that were too slow %d, gaps that were said %d", n, r.claimed[0].Load(), r.claimed[1].Load(), r.claimed[2].Load(), r.gaps.Load())
	if n.Receipted < 100 || r.claimed[0].Load() < 10 || r.claimed[1].Load() < 10 || length > 10*time.Second && r.claimed[2].Load() == 0 {
		t.Error("the run tests nothing")
	}
}

// narrow is a listener whose connections buffer little of what they write, so
// that a slow reader soon fills its outbox.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetWriteBuffer(8 << 10)
	}
	return conn, err
}

// serveNarrow serves TCP and returns the address. The broker ends with the test.
func serveNarrow(t *testing.T, b *broker.Broker) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = b.ServeTCP(narrow{l}) }() // which Close waits for
	return l.Addr().String()
}

// faultConn is a connection over TCP.
type faultConn struct {
	conn    *net.TCPConn
	dec     frames.Decoder
	buf     []byte
	session *check.Session
}

func (r *historyRun) dial(ctx context.Context, who string) (*faultConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", r.address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	c := &faultConn{conn: conn.(*net.TCPConn), buf: make([]byte, 8<<10)}
	c.dec.SetVersion(frames.V12)
	if err := c.write("CONNECT", nil, "accept-version", "1.2", "login", who, "heart-beat", "0,0"); err != nil {
		return nil, err
	}
	f, err := c.read()
	if err != nil {
		return nil, err
	}
	c.session = r.c.Session(check.Who{User: who, Session: f.Get("session")})
	return c, nil
}

func (c *faultConn) write(command string, body []byte, headers ...string) error {
	f := frame(command, string(body), headers...)
	_, err := c.conn.Write(encode(f))
	return err
}

func (c *faultConn) read() (*frames.Frame, error) {
	for {
		f, ok, err := c.dec.Next()
		if ok || err != nil {
			return f, err
		}
		n, err := c.conn.Read(c.buf)
		if err != nil {
			return nil, err
		}
		c.dec.Feed(c.buf[:n])
	}
}

func (c *faultConn) cut() {
	c.session.Cut()
	_ = c.conn.SetLinger(0)
	_ = c.conn.Close()
}

// publisher sends to random destinations until the run stops, over several
// connections. Its last connection sends to each once more and waits for all
// receipts.
func (r *historyRun) publisher(ctx context.Context, n int) error {
	rnd := rand.New(rand.NewPCG(uint64(n), 1))
	for {
		over := r.stopped()
		c, err := r.dial(ctx, fmt.Sprint("publisher", n))
		if err != nil {
			return err
		}
		if err := r.publish(c, rnd, over); err != nil {
			return err
		}
		c.cut()
		if over {
			return nil
		}
	}
}

func (r *historyRun) publish(c *faultConn, rnd *rand.Rand, over bool) error {
	receipted := make(map[string]func())
	done := 0
	ask := func(then func(), command string, body []byte, headers ...string) error {
		id := fmt.Sprint(len(receipted))
		receipted[id] = then
		return c.write(command, body, append(headers, "receipt", id)...)
	}
	send := func(topic string, tx ...string) error {
		name := strings.Join(tx, "")
		id := c.session.Send(topic, name)
		headers := []string{"destination", topic}
		if name != "" {
			headers = append(headers, "transaction", name)
		}
		return ask(func() { c.session.Receipted(id) }, "SEND", check.Body(id, 20+rnd.IntN(600)), headers...)
	}
	settle := func(atMost int) error {
		for len(receipted)-done > atMost {
			f, err := c.read()
			if err != nil {
				return err
			}
			if f.Command != "RECEIPT" {
				return fmt.Errorf("got %s %v", f.Command, f.Headers)
			}
			receipted[f.Get("receipt-id")]()
			done++
		}
		return nil
	}
	for i := range 1 + rnd.IntN(600) {
		if over || r.stopped() {
			break
		}
		var err error
		if rnd.IntN(10) == 0 {
			tx := fmt.Sprint("t", i)
			c.session.Begin(tx)
			err = errors.Join(c.write("BEGIN", nil, "transaction", tx), send(r.topics[rnd.IntN(6)], tx), send(r.topics[rnd.IntN(6)], tx))
			c.session.Commit(tx)
			err = errors.Join(err, ask(func() { c.session.Committed(tx) }, "COMMIT", nil, "transaction", tx))
		} else {
			err = send(r.topics[rnd.IntN(6)])
		}
		if err == nil {
			err = settle(20)
		}
		if err != nil {
			return err
		}
		time.Sleep(time.Duration(rnd.IntN(int(3 * time.Millisecond))))
	}
	if !over {
		return settle(rnd.IntN(20))
	}
	for _, topic := range r.topics {
		if err := send(topic); err != nil {
			return err
		}
	}
	return settle(0)
}

// subscriber comes and goes, and in the end stays until it has the last message
// of each publisher to each of its topics.
func (r *historyRun) subscriber(ctx context.Context, n int) error {
	rnd := rand.New(rand.NewPCG(uint64(n), 2))
	destination := []string{r.topics[n%6], "/topic/h/**", "/topic/h/a/*", r.topics[(n+1)%6]}[n%4]
	f := &follower{r: r, destination: destination, offset: "next", slow: n%5 == 4, rnd: rnd, user: fmt.Sprint("subscriber", n)}
	for {
		over := false
		select {
		case <-r.last:
			over = true
		default:
		}
		if err := f.follow(ctx, over); err != nil {
			return err
		}
		if over {
			return nil
		}
		time.Sleep(time.Duration(rnd.IntN(int(500*time.Millisecond)) >> rnd.IntN(8)))
	}
}

// follower is a subscriber over all its connections.
type follower struct {
	r           *historyRun
	destination string
	offset      string
	slow        bool
	rnd         *rand.Rand
	user        string
	sub         *check.Subscription
}

// follow connects once. At the end of the run it stays until it has subscribed
// behind all publishers, so that everything before has come.
func (f *follower) follow(ctx context.Context, over bool) error {
	c, err := f.r.dial(ctx, f.user)
	if err != nil {
		return err
	}
	if f.slow {
		_ = c.conn.SetReadBuffer(4 << 10)
	}
	f.sub = c.session.Subscribe("0", f.destination, check.Auto, f.sub)
	if err := c.write("SUBSCRIBE", nil, "id", "0", "destination", f.destination, "offset", f.offset, "receipt", "s"); err != nil {
		return err
	}
	if !over {
		longest := time.Second
		if f.slow { // long enough to be too slow
			longest = 5 * time.Second
		}
		timer := time.AfterFunc(time.Duration(f.rnd.IntN(int(longest))), c.cut)
		defer timer.Stop()
	}
	marks, messages, said := 0, 0, ""
	if over {
		for _, topic := range f.r.topics {
			if check.Match(f.destination, "", topic) {
				marks++
			}
		}
	}
	for {
		m, err := c.read()
		if err != nil {
			return f.lost(ctx, c, over, err)
		}
		switch m.Command {
		case "RECEIPT":
			if m.Get("receipt-id") == "mark" {
				continue
			}
			said = m.Get("recovered")
			f.sub.Receipted(said)
			if said == "true" {
				f.r.claimed[0].Add(1)
			} else {
				f.r.claimed[1].Add(1)
			}
			if over { // what this session sends comes after everything else
				for _, topic := range f.r.topics {
					if check.Match(f.destination, "", topic) {
						id := c.session.Send(topic, "")
						if err := c.write("SEND", check.Body(id, 0), "destination", topic, "mark", f.user, "receipt", "mark"); err != nil {
							return f.lost(ctx, c, over, err)
						}
					}
				}
			}
		case "MESSAGE":
			// Some may be missing before it, and it says so. Of the first MESSAGE
			// that includes what was sent since a RECEIPT that said so too.
			if messages++; m.Get("recovered") == "false" && (messages > 1 || said == "false") {
				f.sub.Unsubscribe()
				f.sub = c.session.Subscribe("0", f.destination, check.Auto, f.sub)
				f.sub.Receipted("false")
				if messages > 1 {
					f.r.gaps.Add(1)
				}
			}
			c.session.Message(check.Message{
				Subscription: m.Get("subscription"), Destination: m.Get("destination"), MessageID: m.Get("message-id"),
				Recovered: m.Get("recovered"), Body: m.Body,
			})
			f.offset = strings.Clone(m.Get("offset"))
			if over && m.Get("mark") == f.user {
				if marks--; marks == 0 {
					return nil // it stays open for the report
				}
			}
			if f.slow && !over {
				time.Sleep(time.Duration(f.rnd.IntN(int(40 * time.Millisecond))))
			}
		case "ERROR":
			text := m.Get("message")
			switch {
			case strings.Contains(text, "before you read them"), strings.Contains(text, "waiting to be read by you"):
				f.r.claimed[2].Add(1)
			default:
				return fmt.Errorf("ERROR: %s", text)
			}
			c.cut()
			if over { // it was too slow: once more
				return f.follow(ctx, over)
			}
			return nil
		}
	}
}

// lost ends a connection that has broken. At the end of the run the subscriber
// connects again: it may have been too slow to read why its session ended.
func (f *follower) lost(ctx context.Context, c *faultConn, over bool, err error) error {
	c.cut()
	switch {
	case !over:
		return nil
	case ctx.Err() != nil:
		return err
	}
	return f.follow(ctx, over)
}
