package drive

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
	"github.com/hoofbeat/hoofbeat/frames"
)

// client is one connection. One goroutine reads, one or more write.
type client struct {
	run     *run
	conn    *websocket.Conn
	session *checker.Session
	dec     frames.Decoder

	mu      sync.Mutex
	next    int
	waiting map[string]func(*frames.Frame) // by receipt
	leaving bool

	subs  map[string]*subscription // used by the reader
	taken int                      // MESSAGEs received, used by the reader
	visit int                      // after so many it ends its connection, 0 = never
}

type subscription struct {
	*checker.Subscription
	mode checker.Mode
}

// errRefused means that the broker answered with ERROR.
var errRefused = errors.New("ERROR")

// connect opens a connection and waits for CONNECTED.
func (r *run) connect(ctx context.Context, role Role, n int, user string) (*client, error) {
	conn, _, err := websocket.Dial(ctx, r.URL(role, n), &websocket.DialOptions{Subprotocols: []string{"v12.stomp"}})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1)
	c := &client{run: r, conn: conn, waiting: make(map[string]func(*frames.Frame)), subs: make(map[string]*subscription)}
	c.dec.SetVersion(frames.V12)
	c.dec.SetLimits(frames.Limits{Frame: -1, Headers: -1, HeaderBytes: -1})
	err = c.write(ctx, frames.CommandConnect, nil, "accept-version", "1.2", "host", "hoofbeat", "login", user, "heart-beat", "0,0")
	if err == nil {
		var f *frames.Frame
		if f, err = c.read(ctx); err == nil && f.Command != frames.CommandConnected {
			err = fmt.Errorf("%w: %s %q", errRefused, f.Get("message"), f.Body)
		} else if err == nil {
			c.session = r.c.Session(checker.Who{Node: r.Node(role, n), User: user, Session: f.Get(frames.HeaderSession)})
			return c, nil
		}
	}
	_ = conn.CloseNow()
	return nil, err
}

// read returns the next frame, which is valid until the next call.
func (c *client) read(ctx context.Context) (*frames.Frame, error) {
	for {
		f, ok, err := c.dec.Next()
		if ok || err != nil {
			return f, err
		}
		_, p, err := c.conn.Read(ctx)
		if err != nil {
			return nil, err
		}
		c.dec.Feed(p)
	}
}

func (c *client) write(ctx context.Context, command string, body []byte, headers ...string) error {
	f := frames.Frame{Command: command, Body: body}
	for i := 0; i < len(headers); i += 2 {
		f.Headers = append(f.Headers, frames.Header{Name: headers[i], Value: headers[i+1]})
	}
	return c.conn.Write(ctx, websocket.MessageText, frames.Append(nil, frames.V12, &f))
}

// ask writes a frame with a receipt. The reader calls then when the RECEIPT
// arrives.
func (c *client) ask(ctx context.Context, then func(*frames.Frame), command string, body []byte, headers ...string) error {
	c.mu.Lock()
	c.next++
	id := strconv.Itoa(c.next)
	c.waiting[id] = then
	c.mu.Unlock()
	return c.write(ctx, command, body, append(headers, "receipt", id)...)
}

// listen reads until the connection ends, and reports everything to the
// checker.
func (c *client) listen(ctx context.Context) error {
	for {
		f, err := c.read(ctx)
		if err != nil {
			return err
		}
		switch f.Command {
		case frames.CommandReceipt:
			id := f.Get(frames.HeaderReceiptID)
			c.mu.Lock()
			then := c.waiting[id]
			delete(c.waiting, id)
			c.mu.Unlock()
			if then == nil {
				return fmt.Errorf("a RECEIPT %q that nobody asked for", id)
			}
			then(f)
		case frames.CommandMessage:
			if err := c.message(ctx, f); err != nil {
				return err
			}
		case frames.CommandError:
			return fmt.Errorf("%w: %s %q", errRefused, f.Get("message"), f.Body)
		}
	}
}

// message reports a MESSAGE to the checker and acknowledges it.
func (c *client) message(ctx context.Context, f *frames.Frame) error {
	name := f.Get(frames.HeaderSubscription)
	recovered := f.Get("recovered")
	id, sub := c.session.Message(checker.Message{
		Subscription: name, Destination: f.Get(frames.HeaderDestination), MessageID: f.Get(frames.HeaderMessageID),
		Redelivered: f.Get("redelivered") == "true", Recovered: recovered, Body: f.Body,
	})
	c.run.heard()
	c.taken++
	u := c.subs[name]
	if sub == nil || u == nil || u.mode == checker.Auto {
		return nil
	}
	switch kill := max(c.run.killAfter(c), c.visit); {
	case kill > 0 && c.taken >= kill:
		c.cut()
		return errKilled
	case kill > 0 && c.taken >= kill-10:
		return nil
	}
	a := c.session.Ack(sub, id, "")
	return c.ask(ctx, func(*frames.Frame) { a.Receipted() }, frames.CommandAck, nil, "id", f.Get(frames.HeaderAck))
}

var errKilled = errors.New("the plan has killed it")

// busy reports whether the broker still believes that a durable subscription is
// in use.
func busy(err error) bool {
	return errors.Is(err, errRefused) && strings.Contains(err.Error(), "is in use by another")
}

// cut ends the connection without DISCONNECT.
func (c *client) cut() {
	c.session.Cut()
	_ = c.conn.CloseNow()
}

// leave ends the connection at the end of the run.
func (c *client) leave() {
	c.mu.Lock()
	c.leaving = true
	c.mu.Unlock()
	c.session.Leave()
	_ = c.conn.CloseNow()
}

func (c *client) left() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaving
}
