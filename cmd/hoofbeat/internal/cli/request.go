package cli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/spf13/cobra"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// answersTo is where a request gets its answers.
const answersTo = "/temp-queue/answers"

// inquiry is one run of request.
type inquiry struct {
	connection
	output
	contentType string
	headers     []string
	count       int
}

func (p *Program) request() *cobra.Command {
	q := &inquiry{connection: connection{program: p}}
	cmd := &cobra.Command{
		Use:   "request [flags] DESTINATION [BODY]",
		Short: "Send a message and print the answer",
		Long: `Send a message to a destination, wait for the answer and print its body on a line. The body
of the message is the argument or, without one, all of standard input.

The message has a reply-to header that names a private destination of this connection. Whoever
receives the message sends the answer there: a program, or hoofbeat reply. If several may
answer, as on a topic, --count says how many answers to wait for.

request waits for --timeout, from the message to the first answer and from each answer to the
next. If none arrives, it exits with 1, also if it has printed some of --count answers.

` + connectHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat request /queue/upper hello
  hoofbeat request /topic/who-is-there --count 3 --timeout 2s </dev/null
  hoofbeat request /queue/orders '{"id":1}' -t application/json --json | jq .headers`,
		RunE: func(cmd *cobra.Command, args []string) error {
			in := p.In
			if len(args) == 2 {
				in = bytes.NewReader([]byte(args[1]))
			}
			return q.run(cmd.Context(), args[0], in)
		},
	}
	q.connection.addFlags(cmd)
	f := cmd.Flags()
	f.Lookup("timeout").Usage = "maximum time to connect, to wait for the receipt, and for each answer"
	f.StringVarP(&q.contentType, "content-type", "t", "", "content-type header, for example application/json")
	f.StringArrayVarP(&q.headers, "header", "H", nil, "header of the message as name:value; may be repeated")
	f.IntVarP(&q.count, "count", "n", 1, "number of answers to wait for")
	q.output.addFlags(f)
	return cmd
}

func (q *inquiry) run(ctx context.Context, destination string, in io.Reader) error {
	if q.count < 1 {
		return usagef("--count %d is not positive", q.count)
	}
	if err := q.check(); err != nil {
		return err
	}
	// The body is read, and sent, as pub does.
	b := publication{connection: q.connection, destination: destination, contentType: q.contentType, headers: q.headers, receipt: true}
	options, err := b.options()
	if err != nil {
		return err
	}
	if _, err := headers(q.headers, stomp.ReplyToHeader); err != nil {
		return err
	}
	options = append(options, stomp.SendOpt.Header(stomp.ReplyToHeader, answersTo))
	conn, err := q.dial(ctx)
	if err != nil {
		return err
	}
	answers, stop := make(chan *stomp.Message, 64), make(chan struct{})
	err = await(ctx, conn, func() error {
		// With reply-to, go-stomp sends no SUBSCRIBE: the SEND makes the subscription.
		sub, err := conn.Subscribe(answersTo, stomp.AckAuto, stomp.SubscribeOpt.Header(stomp.ReplyToHeader, answersTo))
		if err == nil {
			go forward(sub, answers, stop)
		}
		return err
	})
	if err == nil {
		err = b.each(ctx, in, func(body []byte) error { return b.send(ctx, conn, body, options) })
	}
	if err == nil {
		err = q.receive(ctx, conn, answers)
	}
	close(stop)
	return leave(ctx, conn, err)
}

// receive prints the answers.
func (q *inquiry) receive(ctx context.Context, conn *client.Conn, answers <-chan *stomp.Message) (err error) {
	out := bufio.NewWriter(q.program.Out)
	defer func() {
		if flushed := out.Flush(); err == nil {
			err = flushed
		}
	}()
	done := conn.Done()
	var late <-chan time.Time
	patience := time.NewTimer(q.timeout)
	defer patience.Stop()
	for received := 0; received < q.count; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w after %d of %d answers", errInterrupted, received, q.count)
		case <-patience.C:
			return fmt.Errorf("no answer within %v, %d of %d were received", q.timeout, received, q.count)
		case <-done:
			// What has arrived is still on its way through go-stomp.
			done, late = nil, time.After(grace)
		case <-late:
			return lost(conn)
		case m := <-answers:
			if m.Err != nil {
				return explain(conn, m.Err)
			}
			received++
			patience.Reset(q.timeout)
			if err := q.print(out, m); err != nil {
				return err
			}
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}
