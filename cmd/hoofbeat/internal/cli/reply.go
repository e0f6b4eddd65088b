package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/spf13/cobra"

	"github.com/hoofbeat/hoofbeat/broker/client"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// correlation is the header that an answer repeats from its request.
const correlation = "correlation-id"

// replyPrefix begins the names of private destinations of requesters, in
// Hoofbeat and in RabbitMQ.
const replyPrefix = "/reply-queue/"

// service is one run of reply.
type service struct {
	connection
	exec        string
	execTimeout time.Duration
	body        string
	echo        bool
	contentType string
	anyReplyTo  bool
	count       int

	fixed bool // --body was given, perhaps as ""
}

func (p *Program) reply() *cobra.Command {
	s := &service{connection: connection{program: p}}
	cmd := &cobra.Command{
		Use:   "reply [flags] DESTINATION",
		Short: "Answer each message",
		Long: `Subscribe to a destination and answer each message that has a reply-to header: with the
output of a command (--exec), which gets the body on its standard input, with a fixed text
(--body), or with the body itself (--echo). An answer has the correlation-id of its message.

Messages are answered one after another, in order. Start several of hoofbeat reply on one
queue to share its messages. A message is acknowledged when the broker has accepted the
answer. If the command fails or the message cannot be answered, reply says so on stderr and
refuses the message (NACK): the broker delivers it again, and after queues.attempts
deliveries makes it a dead letter.

Only a reply-to that begins with ` + replyPrefix + ` is answered: those are private
destinations of who asked. --any-reply-to answers to every destination that a sender names,
with the rights of this login.

reply prints "subscribed to DESTINATION" on stderr when it is ready. It runs until Ctrl-C, or
until it has sent --count answers.

` + connectHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat reply /queue/upper --exec 'tr a-z A-Z'
  hoofbeat reply /queue/jobs --exec ./job.sh --exec-timeout 5m --login worker
  hoofbeat reply /topic/who-is-there --body "$(hostname)"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			s.fixed = cmd.Flags().Changed("body")
			return s.run(cmd.Context(), args[0])
		},
	}
	s.connection.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&s.exec, "exec", "", "command for the shell: its output is the answer")
	f.DurationVar(&s.execTimeout, "exec-timeout", 30*time.Second, "end the command after this time")
	f.StringVar(&s.body, "body", "", "answer with this text")
	f.BoolVar(&s.echo, "echo", false, "answer with the body of the message")
	f.StringVarP(&s.contentType, "content-type", "t", "", "content-type header of the answers; --echo keeps that of the message")
	f.BoolVar(&s.anyReplyTo, "any-reply-to", false, "answer to any destination that a sender names")
	f.IntVarP(&s.count, "count", "n", 0, "stop after this number of answers, 0 = never")
	return cmd
}

func (s *service) run(ctx context.Context, destination string) error {
	ways := 0
	for _, given := range []bool{s.exec != "", s.fixed, s.echo} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return usagef("say how to answer with one of --exec, --body and --echo")
	case s.count < 0:
		return usagef("--count %d is negative", s.count)
	case strings.HasPrefix(destination, "/temp-queue/"):
		return usagef("only this connection could send to %s: want a destination that others can send to, such as /queue/requests", oneLine(destination))
	case s.execTimeout <= 0:
		return usagef("--exec-timeout %v is not positive", s.execTimeout)
	}
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	in := s.newFeed(ctx, 1, 0)
	// One message at a time, so that the others go to those who are free.
	err = in.subscribe(ctx, conn, destination, stomp.AckClientIndividual, stomp.SubscribeOpt.Header("prefetch-count", "1"))
	if err == nil {
		err = s.serve(ctx, conn, in)
	}
	in.end(err)
	return leave(ctx, conn, err)
}

// serve answers until there were enough, the user has enough, or the connection
// ends.
func (s *service) serve(ctx context.Context, conn *client.Conn, in *feed) error {
	for answered := 0; s.count == 0 || answered < s.count; {
		select {
		case <-ctx.Done():
			return s.interrupted(answered)
		case c := <-in.confirmed:
			in.confirm(c)
		case <-conn.Done():
			return lost(conn)
		case m := <-in.messages:
			if m.Err != nil {
				return explain(conn, m.Err)
			}
			err := s.answer(ctx, conn, m)
			switch {
			case err == nil:
				answered++
				continue
			case errors.As(err, new(unanswered)) && ctx.Err() == nil:
				fmt.Fprintf(s.program.Err, "hoofbeat: %v: the message is refused\n", err)
				err = await(ctx, conn, func() error { return conn.Nack(m) })
			}
			if ctx.Err() != nil {
				return s.interrupted(answered)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *service) interrupted(answered int) error {
	if s.count > 0 {
		return fmt.Errorf("%w after %d of %d answers", errInterrupted, answered, s.count)
	}
	return nil
}

// unanswered is why a message is refused.
type unanswered struct{ error }

// answer answers one message and acknowledges it.
func (s *service) answer(ctx context.Context, conn *client.Conn, m *stomp.Message) error {
	switch to := m.Header.Get(stomp.ReplyToHeader); {
	case to == "":
		return unanswered{errors.New("a message has no reply-to header")}
	case !s.anyReplyTo && !strings.HasPrefix(to, replyPrefix):
		return unanswered{fmt.Errorf("a message wants its answer at %s, which needs --any-reply-to", oneLine(to))}
	}
	body, contentType := []byte(s.body), s.contentType
	switch {
	case s.echo:
		body = m.Body
		if contentType == "" {
			contentType = m.ContentType
		}
	case s.exec != "":
		var err error
		if body, err = s.runCommand(ctx, m.Body); err != nil {
			return unanswered{fmt.Errorf("the command failed: %w", err)}
		}
	}
	if err := s.send(ctx, conn, m, contentType, body); err != nil {
		return err
	}
	return await(ctx, conn, func() error { return conn.Ack(m) })
}

// send sends one answer and waits for its receipt.
func (s *service) send(ctx context.Context, conn *client.Conn, m *stomp.Message, contentType string, body []byte) error {
	options := []func(*frame.Frame) error{stomp.SendOpt.Receipt}
	if id, ok := m.Header.Contains(correlation); ok {
		options = append(options, stomp.SendOpt.Header(correlation, id))
	}
	return await(ctx, conn, func() error {
		return conn.Send(m.Header.Get(stomp.ReplyToHeader), contentType, body, options...)
	})
}

// maxAnswer bounds the output of a command. The frame limit of the server is
// usually smaller.
const maxAnswer = 64 << 20

var errLongOutput = fmt.Errorf("more than %d bytes of output", maxAnswer)

// boundedOutput is the output of a command. The buffer is not embedded, because
// io.Copy would call its ReadFrom instead of Write.
type boundedOutput struct {
	b       bytes.Buffer
	tooLong bool
}

func (o *boundedOutput) Write(p []byte) (int, error) {
	if o.b.Len()+len(p) > maxAnswer {
		o.tooLong = true
		return 0, errLongOutput
	}
	return o.b.Write(p)
}

// runCommand runs --exec with a body as its input and returns its output.
func (s *service) runCommand(ctx context.Context, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.execTimeout, fmt.Errorf("it ran longer than %v (--exec-timeout)", s.execTimeout))
	defer cancel()
	cmd := shell(ctx, s.exec)
	cmd.WaitDelay = time.Second // a child of the command may keep its output open
	out := new(boundedOutput)
	cmd.Env = slices.DeleteFunc(slices.Clone(s.program.Env), func(entry string) bool { return strings.HasPrefix(entry, config.EnvPasscode+"=") })
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(body), out, s.program.Err
	err := cmd.Run()
	switch {
	case out.tooLong: // and the command was ended by a broken pipe
		err = errLongOutput
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return out.b.Bytes(), err
}
