package drive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	check "github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
	"github.com/hoofbeat/hoofbeat/frames"
)

// History is a run with random faults against topics with a history: publishers,
// some of them with transactions, and subscribers that disconnect at random and
// come back with the offset of the last MESSAGE that they read. Some read slowly.
// The history, [HistoryPattern], should be smaller than some gaps.
type History struct {
	// Address of the broker's listener for TCP.
	Address string
	Checker *check.Checker
	// Restarts says that the broker is killed and started again during the run:
	// clients connect again until it answers.
	Restarts bool

	topics  []string
	stop    chan struct{} // publishers end
	last    chan struct{} // subscribers come back once more and stay
	claimed [3]atomic.Int64
	gaps    atomic.Int64
}

// HistoryPattern covers the destinations of a [History].
const HistoryPattern = "/topic/h/**"

// HistoryCounts is what has happened in a run.
type HistoryCounts struct {
	True, False int64 // RECEIPTs that said recovered
	Slow        int64 // sessions that ended because they were too slow
	Gaps        int64 // gaps that a MESSAGE has told
}

// Run publishes and subscribes while during runs, and returns when all
// subscribers have what was published.
func (r *History) Run(ctx context.Context, during func()) (HistoryCounts, error) {
	r.stop, r.last = make(chan struct{}), make(chan struct{})
	for i := range 6 {
		r.topics = append(r.topics, fmt.Sprintf("/topic/h/%c/%d", 'a'+i%2, i))
	}
	var publishers, subscribers sync.WaitGroup
	results := make(chan error, 20)
	for i := range 4 {
		publishers.Go(func() {
			if err := r.publisher(ctx, i); err != nil {
				results <- fmt.Errorf("publisher %d: %w", i, err)
			}
		})
	}
	for i := range 16 {
		subscribers.Go(func() {
			if err := r.subscriber(ctx, i); err != nil {
				results <- fmt.Errorf("subscriber %d: %w", i, err)
			}
		})
	}
	during()
	close(r.stop)
	publishers.Wait()
	close(r.last)
	subscribers.Wait()
	close(results)
	var all error
	for err := range results {
		all = errors.Join(all, err)
	}
	return r.Counts(), all
}

// Counts returns what has happened so far. It is safe to call during the run.
func (r *History) Counts() HistoryCounts {
	return HistoryCounts{r.claimed[0].Load(), r.claimed[1].Load(), r.claimed[2].Load(), r.gaps.Load()}
}

func (r *History) stopped() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// faultConn is a connection over TCP.
type faultConn struct {
	conn    *net.TCPConn
	dec     frames.Decoder
	buf     []byte
	session *check.Session
}

// dial connects. If the broker may be down, it tries until it is not.
func (r *History) dial(ctx context.Context, who string) (*faultConn, error) {
	for {
		c, err := r.dialOnce(ctx, who)
		if err == nil || !r.Restarts || ctx.Err() != nil {
			return c, err
		}
		wait(ctx, 10*time.Millisecond)
	}
}

func (r *History) dialOnce(ctx context.Context, who string) (*faultConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", r.Address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	c := &faultConn{conn: conn.(*net.TCPConn), buf: make([]byte, 8<<10)}
	c.dec.SetVersion(frames.V12)
	if err := c.write("CONNECT", nil, "accept-version", "1.2", "login", who, "heart-beat", "0,0"); err != nil {
		_ = conn.Close()
		return nil, err
	}
	f, err := c.read()
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	c.session = r.Checker.Session(check.Who{User: who, Session: f.Get("session")})
	return c, nil
}

func (c *faultConn) write(command string, body []byte, headers ...string) error {
	f := frames.Frame{Command: command, Body: body}
	for i := 0; i < len(headers); i += 2 {
		f.Headers = append(f.Headers, frames.Header{Name: headers[i], Value: headers[i+1]})
	}
	_, err := c.conn.Write(frames.Append(nil, frames.V12, &f))
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
func (r *History) publisher(ctx context.Context, n int) error {
	rnd := rand.New(rand.NewPCG(uint64(n), 1))
	for {
		over := r.stopped()
		c, err := r.dial(ctx, fmt.Sprint("publisher", n))
		if err != nil {
			return err
		}
		err = r.publish(c, rnd, over)
		c.cut()
		if err != nil && r.Restarts && ctx.Err() == nil && !errors.Is(err, errUnexpected) {
			continue // the broker was killed
		}
		if err != nil {
			return err
		}
		if over {
			return nil
		}
	}
}

func (r *History) publish(c *faultConn, rnd *rand.Rand, over bool) error {
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
				return fmt.Errorf("%w: got %s %v", errUnexpected, f.Command, f.Headers)
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

// errUnexpected is an answer of the broker that no run expects.
var errUnexpected = errors.New("an unexpected answer")

// subscriber comes and goes, and in the end stays until it has the last message
// of each publisher to each of its topics.
func (r *History) subscriber(ctx context.Context, n int) error {
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
	r           *History
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
		return f.lost(ctx, c, over, err)
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
