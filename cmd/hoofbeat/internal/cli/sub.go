package cli

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/spf13/cobra"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// reception is one run of sub.
type reception struct {
	connection
	output
	ack     string
	offset  string
	headers []string
	count   int
}

func (p *Program) sub() *cobra.Command {
	s := &reception{connection: connection{program: p}}
	cmd := &cobra.Command{
		Use:   "sub [flags] DESTINATION...",
		Short: "Receive messages",
		Long: `Subscribe to one or more destinations and print each message: its body on a line. --verbose
prints the headers above it. --json prints one JSON object on a line (body_base64 replaces
body if the body is not UTF-8).

sub prints "subscribed to DESTINATION" on stderr when the server has confirmed a
subscription: sub receives every message sent after that. If no receipt arrives within
--timeout, as with servers that do not confirm subscriptions, sub reports that on stderr and
continues.

If the topic has a history, --offset says where to begin: first, last (the latest message),
next, -N (N messages back), a time such as 2026-01-31T15:04:05Z, or the offset of a message
that --verbose has printed, to get what came after it. If messages may be missing after
that offset, sub reports it on stderr.

sub runs until Ctrl-C, or until it has received --count messages. With --ack client or
client-individual, which is the default for /queue/ destinations, it acknowledges each
message after printing it, and what it has not printed stays for other consumers. With
--count it holds no more messages than that at a time (prefetch-count).

` + connectHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat sub /topic/greetings
  hoofbeat sub '/topic/**' --json | jq .destination
  hoofbeat sub /queue/jobs --count 10
  hoofbeat sub --offset -10 /topic/chat/lobby
  hoofbeat sub -u wss://broker.example.com/ws --login ann /user/queue/replies`,
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args) },
	}
	s.connection.addFlags(cmd)
	f := cmd.Flags()
	f.IntVarP(&s.count, "count", "n", 0, "stop after this number of messages, 0 = never")
	f.StringVar(&s.ack, "ack", "", "how messages are acknowledged: auto, client or client-individual (default client-individual for /queue/, otherwise auto)")
	f.StringVar(&s.offset, "offset", "", "where to begin in the history of a topic")
	f.StringArrayVarP(&s.headers, "header", "H", nil, "header of the subscription as name:value; may be repeated")
	s.output.addFlags(f)
	// It fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("ack", cobra.FixedCompletions(ackModes, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (s *reception) run(ctx context.Context, destinations []string) error {
	if s.count < 0 {
		return usagef("--count %d is negative", s.count)
	}
	if err := s.check(); err != nil {
		return err
	}
	if s.ack != "" && !slices.Contains(ackModes, s.ack) {
		return usagef("--ack %q: want auto, client or client-individual", s.ack)
	}
	all, err := headers(s.headers, frame.Destination, frame.Id, frame.Ack, frame.Receipt, stomp.ReplyToHeader)
	if err != nil {
		return err
	}
	var options []func(*frame.Frame) error
	for _, h := range all {
		options = append(options, stomp.SubscribeOpt.Header(h[0], h[1]))
	}
	if s.offset != "" {
		options = append(options, stomp.SubscribeOpt.Header("offset", s.offset))
	}
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	in := s.newFeed(ctx, len(destinations), 64)
	for _, destination := range destinations {
		mode := s.mode(destination)
		options := options
		if mode != stomp.AckAuto && s.count > 0 && !slices.ContainsFunc(all, func(h [2]string) bool { return h[0] == headerPrefetch }) {
			options = append(slices.Clip(options), stomp.SubscribeOpt.Header(headerPrefetch, strconv.Itoa(min(s.count, maxPrefetch))))
		}
		if err = in.subscribe(ctx, conn, destination, mode, options...); err != nil {
			break
		}
	}
	if err == nil {
		err = s.receive(ctx, conn, in)
	}
	in.end(err)
	return leave(ctx, conn, err)
}

var ackModes = []string{"auto", "client", "client-individual"}

const (
	headerPrefetch = "prefetch-count"
	maxPrefetch    = 100 // the broker's default
)

// mode returns how messages of a destination are acknowledged. A message of a
// queue that is only given to this program is lost if it is not printed.
func (s *reception) mode(destination string) stomp.AckMode {
	switch {
	case s.ack == "client":
		return stomp.AckClient
	case s.ack == "client-individual", s.ack == "" && strings.HasPrefix(destination, "/queue/"):
		return stomp.AckClientIndividual
	}
	return stomp.AckAuto
}

// continues reports whether --offset is that of a message.
func (s *reception) continues() bool {
	_, notTime := time.Parse(time.RFC3339, s.offset)
	return notTime != nil && strings.Contains(s.offset, ":")
}

// receive prints messages until there were enough, the user has enough, or the
// connection ends.
func (s *reception) receive(ctx context.Context, conn *client.Conn, in *feed) (err error) {
	out := bufio.NewWriter(s.program.Out)
	defer func() {
		if flushed := out.Flush(); err == nil {
			err = flushed
		}
	}()
	done := conn.Done()
	var late <-chan time.Time
	for received := 0; s.count == 0 || received < s.count; {
		select {
		case <-ctx.Done():
			if s.count > 0 {
				return fmt.Errorf("%w after %d of %d messages", errInterrupted, received, s.count)
			}
			return nil
		case c := <-in.confirmed:
			in.confirm(c)
		case <-done:
			// What has arrived is still on its way through go-stomp.
			done, late = nil, time.After(grace)
		case <-late:
			return lost(conn)
		case m := <-in.messages:
			if m.Err != nil {
				return explain(conn, m.Err)
			}
			received++
			if s.continues() && m.Header.Get("recovered") == "false" {
				fmt.Fprintf(s.program.Err, "messages of %s may be missing before this one (recovered:false)\n", oneLine(m.Destination))
			}
			if err := s.print(out, m); err != nil {
				return err
			}
			// One write for a burst, but nothing is acknowledged before it is out.
			acknowledged := m.Subscription.AckMode() != stomp.AckAuto
			if acknowledged || len(in.messages) == 0 {
				if err := out.Flush(); err != nil {
					return err
				}
			}
			if acknowledged {
				if err := await(ctx, conn, func() error { return conn.Ack(m) }); err != nil {
					return err
				}
			}
			if late != nil {
				late = time.After(grace)
			}
		}
	}
	return nil
}
