//go:build !nostore

package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
)

// The engine gives up a snapshot or a restore when nothing moves for five
// seconds. What is at the other end of an export can be slower: a network, or a
// person who reads. So a little moves every keepMoving.
const (
	keepMoving = 2 * time.Second
	// giveUpPatience is how long the end of a restore that is given up may take.
	giveUpPatience = 10 * time.Second
	// maxAhead is how many pieces wait for a slow writer: with one every
	// keepMoving, 64 MiB for 17 minutes.
	maxAhead = 512
	// askAhead is how many may wait before the engine is asked for no more.
	askAhead = 16
	window   = 64 * pieceSize // what the engine sends before it is asked
	apiLimit = time.Minute    // for the first answer to a request
)

// apiError is what the engine's API refuses with.
type apiError struct {
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return e.Description }

// request asks the engine's API.
func request(ctx context.Context, conn *nats.Conn, subject string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, apiLimit)
	defer cancel()
	msg, err := conn.RequestWithContext(ctx, subject, data)
	if err != nil {
		return err
	}
	return answered(msg.Data, answer)
}

// answered reads an answer of the engine's API, which may be an error.
func answered(data []byte, answer any) error {
	var failed struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(data, &failed); err != nil {
		return err
	}
	if failed.Error != nil {
		return failed.Error
	}
	return json.Unmarshal(data, answer)
}

// snapshot has the engine take a snapshot of a stream: its messages with their
// sequences, its metadata and its consumers with what they have not
// acknowledged. It calls begin once and then piece in order, each from this
// goroutine.
func snapshot(ctx context.Context, conn *nats.Conn, name string, begin func(exportStream) error, piece func([]byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	inbox := nats.NewInbox()
	arriving := make(chan *nats.Msg, 2*window/pieceSize)
	sub, err := conn.ChanSubscribe(inbox, arriving)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only if the connection is closed
	var s exportStream
	if err := request(ctx, conn, "$JS.API.STREAM.SNAPSHOT."+name, map[string]any{
		"deliver_subject": inbox, "chunk_size": pieceSize, "window_size": window,
	}, &s); err != nil {
		return err
	}
	if err := begin(s); err != nil {
		return err
	}
	pieces, took := make(chan []byte, maxAhead), make(chan struct{}, 1)
	go func() {
		defer close(pieces)
		if err := pump(ctx, conn, arriving, pieces, took); err != nil {
			cancel(err)
		}
	}()
	for data := range pieces {
		if err := piece(data); err != nil {
			cancel(err)
			for range pieces { // until pump has ended
			}
			return err
		}
		select {
		case took <- struct{}{}:
		default:
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if lost, err := sub.Dropped(); err != nil || lost > 0 {
		return errors.Join(fmt.Errorf("%d pieces were lost", lost), err)
	}
	return nil
}

// pump hands the pieces of a snapshot on, and tells the engine when to send
// more.
func pump(ctx context.Context, conn *nats.Conn, arriving <-chan *nats.Msg, pieces chan<- []byte, took <-chan struct{}) error {
	tick := time.NewTicker(keepMoving)
	defer tick.Stop()
	var owed []string // where to ask for one more piece
	ask := func(n int) error {
		for _, reply := range owed[:n] {
			if err := conn.Publish(reply, nil); err != nil {
				return err
			}
		}
		owed = owed[n:]
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case msg := <-arriving:
			if len(msg.Data) == 0 {
				if status := msg.Header.Get("Status"); status != "" && status != "204" {
					return fmt.Errorf("the engine ended the snapshot: %s %s", status, msg.Header.Get("Description"))
				}
				return nil
			}
			select {
			case pieces <- msg.Data:
			default:
				return errors.New("what writes the export is too slow: nothing was written for many minutes")
			}
			if msg.Reply != "" {
				owed = append(owed, msg.Reply)
			}
		case <-took:
		case <-tick.C:
			if !conn.IsConnected() { // what is missing never comes
				return errors.New("the engine ended before the snapshot was complete")
			}
			if len(owed) > 0 {
				if err := ask(1); err != nil {
					return err
				}
			}
		}
		if len(pieces) < askAhead {
			if err := ask(len(owed)); err != nil {
				return err
			}
		}
	}
}

// restored is the engine's answer to a complete restore.
type restored struct {
	Config struct {
		MaxAge            time.Duration `json:"max_age"`
		Retention         string        `json:"retention"`
		AllowMsgTTL       bool          `json:"allow_msg_ttl"`
		AllowMsgSchedules bool          `json:"allow_msg_schedules"`
	} `json:"config"`
	State streamState `json:"state"`
}

// streamState is what the states before and after must have in common.
type streamState struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	First    uint64 `json:"first_seq"`
	Last     uint64 `json:"last_seq"`

	Consumers int `json:"consumer_count"`
}

// restore has the engine make a stream from a snapshot. next returns the pieces,
// and io.EOF after the last. After an error next may still be running.
func restore(ctx context.Context, conn *nats.Conn, name string, s exportStream, next func() ([]byte, error)) (r restored, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pieces := make(chan piece)
	go func() {
		for {
			data, err := next()
			select {
			case pieces <- piece{data, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	var to struct {
		Subject string `json:"deliver_subject"`
	}
	send := func(data []byte) error {
		if to.Subject == "" {
			if err := request(ctx, conn, "$JS.API.STREAM.RESTORE."+name, s, &to); err != nil {
				return err
			}
		}
		msg, err := conn.RequestWithContext(ctx, to.Subject, data)
		if err != nil || len(msg.Data) == 0 {
			return err
		}
		return answered(msg.Data, &r)
	}
	// The engine does not stop cleanly while it restores, so a restore that is
	// given up is ended first: the answer, whatever it says, comes after it.
	giveUp := func() {
		if to.Subject == "" {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpPatience)
		defer cancel()
		_, _ = conn.RequestWithContext(ctx, to.Subject, nil)
	}
	tick := time.NewTicker(keepMoving)
	defer tick.Stop()
	var held []byte // sent when the next piece is there, or bit by bit
	for {
		select {
		case p := <-pieces:
			if len(held) > 0 {
				if err := send(held); err != nil {
					return r, err
				}
			}
			held = p.data
			switch {
			case errors.Is(p.err, io.EOF):
				return r, send(nil)
			case p.err != nil:
				giveUp()
				return r, p.err
			}
		case <-tick.C:
			if len(held) > 1 {
				if err := send(held[:1]); err != nil {
					return r, err
				}
				held = held[1:]
			}
		case <-ctx.Done():
			giveUp()
			return r, context.Cause(ctx)
		}
	}
}
