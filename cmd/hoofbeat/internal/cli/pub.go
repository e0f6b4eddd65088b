package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/spf13/cobra"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// publication is one run of pub.
type publication struct {
	connection
	destination string
	contentType string
	headers     []string
	receipt     bool
	lines       bool
	count       int
}

func (p *Program) pub() *cobra.Command {
	b := &publication{connection: connection{program: p}}
	cmd := &cobra.Command{
		Use:   "pub [flags] DESTINATION [BODY]",
		Short: "Send messages",
		Long: `Send a message to a destination. The body is the argument or, without one, standard
input: all of it as one message or, with --lines, each line as one.

Each message asks for a receipt. pub exits with 0 only if all receipts arrived: the broker
has accepted the messages. --receipt=false does not wait for each message and is faster for
many; pub still reports an error of the server at the end.

` + connectHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat pub /topic/greetings hello
  hoofbeat pub /queue/jobs '{"id":1}' --content-type application/json --header priority:9
  date | hoofbeat pub /topic/time
  tail -f app.log | hoofbeat pub /topic/log --lines
  hoofbeat pub -u wss://broker.example.com/ws --login ann /topic/greetings hello`,
		RunE: func(cmd *cobra.Command, args []string) error {
			b.destination = args[0]
			in := p.In
			if len(args) == 2 {
				if b.lines {
					return usagef("--lines reads standard input: leave BODY out")
				}
				in = bytes.NewReader([]byte(args[1]))
			}
			return b.run(cmd.Context(), in)
		},
	}
	b.addFlags(cmd)
	f := cmd.Flags()
	f.StringVarP(&b.contentType, "content-type", "t", "", "content-type header, for example application/json")
	f.StringArrayVarP(&b.headers, "header", "H", nil, "header of the message as name:value; may be repeated")
	f.BoolVar(&b.receipt, "receipt", true, "wait for the receipt of each message")
	f.BoolVarP(&b.lines, "lines", "l", false, "send each line of standard input as a message")
	f.IntVarP(&b.count, "count", "n", 1, "number of times to send each message")
	return cmd
}

func (b *publication) run(ctx context.Context, in io.Reader) error {
	if b.count < 1 {
		return usagef("--count %d is not positive", b.count)
	}
	options, err := b.options()
	if err != nil {
		return err
	}
	conn, err := b.dial(ctx)
	if err != nil {
		return err
	}
	err = b.each(ctx, in, func(body []byte) error {
		for range b.count {
			if err := b.send(ctx, conn, body, options); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		conn.Abort()
		return err
	}
	// The receipt of DISCONNECT says that all before it was processed.
	return await(ctx, conn, conn.Disconnect)
}

func (b *publication) options() ([]func(*frame.Frame) error, error) {
	all, err := headers(b.headers, frame.Destination, frame.ContentLength, frame.ContentType, frame.Receipt)
	if err != nil {
		return nil, err
	}
	var options []func(*frame.Frame) error
	for _, h := range all {
		options = append(options, stomp.SendOpt.Header(h[0], h[1]))
	}
	if b.receipt {
		options = append(options, stomp.SendOpt.Receipt)
	}
	return options, nil
}

func (b *publication) send(ctx context.Context, conn *client.Conn, body []byte, options []func(*frame.Frame) error) error {
	return await(ctx, conn, func() error { return conn.Send(b.destination, b.contentType, body, options...) })
}

// each calls fn with every body that in holds. Reading does not see ctx: a
// terminal or pipe may be silent for ever, so it runs beside.
func (b *publication) each(ctx context.Context, in io.Reader, fn func([]byte) error) error {
	type piece struct {
		body []byte
		err  error
	}
	pieces := make(chan piece)
	go func() {
		defer close(pieces)
		next := wholeInput(in)
		if b.lines {
			next = linesOf(in)
		}
		for {
			body, err := next()
			if errors.Is(err, io.EOF) {
				return
			}
			select {
			case pieces <- piece{body, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for {
		select {
		case next, ok := <-pieces:
			if !ok {
				return nil
			}
			if next.err != nil {
				return fmt.Errorf("reading standard input: %w", next.err)
			}
			if err := fn(next.body); err != nil {
				return err
			}
		case <-ctx.Done():
			return errInterrupted
		}
	}
}

// wholeInput yields all of in, then io.EOF.
func wholeInput(in io.Reader) func() ([]byte, error) {
	done := false
	return func() ([]byte, error) {
		if done {
			return nil, io.EOF
		}
		done = true
		return io.ReadAll(in)
	}
}

// linesOf yields the lines of in without their ends, then io.EOF.
func linesOf(in io.Reader) func() ([]byte, error) {
	r := bufio.NewReader(in)
	return func() ([]byte, error) {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) > 0 {
			err = nil
		}
		line = bytes.TrimSuffix(line, []byte{'\n'})
		return bytes.TrimSuffix(line, []byte{'\r'}), err
	}
}
