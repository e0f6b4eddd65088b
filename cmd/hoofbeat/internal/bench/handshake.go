package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// connect opens a connection and waits for CONNECTED.
func (r *run) connect(ctx context.Context, number int, heartbeat string) (*conn, error) {
	t, start := r.target, time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, t.Timeout, fmt.Errorf("no answer within %v", t.Timeout))
	defer cancel()
	nc, first, err := t.dial(ctx)
	if err != nil {
		return nil, explain(ctx, err)
	}
	c := &conn{Conn: nc, number: number, webSocket: t.webSocket, buffers: r.buffers, headers: r.Headers, undecoded: first}
	headers := []string{"accept-version", "1.0,1.1,1.2", "host", t.Host, "heart-beat", heartbeat}
	if t.Login != "" {
		headers = append(headers, "login", t.login(number), "passcode", t.Passcode)
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	err = c.write(c.wrap(nil, command("CONNECT", headers...)))
	if err == nil {
		err = c.await(ctx, r.clock, "CONNECTED", func(*frame) bool { return true })
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		c.close()
		var refused *client.ErrorFrame
		if errors.As(err, &refused) {
			return nil, &client.RefusedError{ErrorFrame: *refused}
		}
		return nil, explain(ctx, err)
	}
	c.took = time.Since(start)
	return c, nil
}

// explain returns why the context ended, if it did, rather than the network
// error that this caused.
func explain(ctx context.Context, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		<-ctx.Done() // it has the same deadline
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// awaiting is a receiver that waits for one frame.
type awaiting struct {
	command string
	ok      func(*frame) bool
	done    bool
	err     error
}

var errDone = errors.New("done")

func (a *awaiting) begin(int64) {}

func (a *awaiting) frame(f *frame) {
	switch {
	case a.done:
	case string(f.command) == a.command:
		a.done = a.ok(f)
	case a.command == "CONNECTED":
		a.err = fmt.Errorf("%w: the answer to CONNECT starts with %.20q", client.ErrNotStomp, f.command)
	}
}

func (a *awaiting) end() error {
	if a.done {
		return errDone
	}
	return a.err
}

// await reads until a frame with the command arrives that ok accepts, or ctx
// ends.
func (c *conn) await(ctx context.Context, clock clock, command string, ok func(*frame) bool) error {
	deadline, _ := ctx.Deadline()
	if err := c.SetReadDeadline(deadline); err != nil {
		return err
	}
	err := c.receiveSimply(clock, &awaiting{command: command, ok: ok})
	if errors.Is(err, errDone) {
		return c.SetReadDeadline(time.Time{})
	}
	if command != "CONNECTED" {
		return err
	}
	switch {
	case errors.Is(err, errFrame), errors.Is(err, errWire):
		return fmt.Errorf("%w: %w", client.ErrNotStomp, err)
	case errors.Is(err, io.EOF) && len(c.undecoded) > 0:
		return fmt.Errorf("%w: the answer to CONNECT starts with %.20q", client.ErrNotStomp, c.undecoded)
	case errors.Is(err, io.EOF):
		return errors.New("the server closed the connection without an answer to CONNECT")
	}
	return err
}
