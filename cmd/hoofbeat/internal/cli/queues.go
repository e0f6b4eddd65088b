package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// queuesPath is the path of the queues in the admin API.
const queuesPath = "/api/v1/queues"

// queueInfo is one item of the list of the admin API.
type queueInfo struct {
	Name           string
	Messages       int
	Bytes          int64
	Unacknowledged int
	Consumers      int
	DeadLettersOf  string `json:"dead_letters_of"`
	Oldest         *float64
}

func (p *Program) queues() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queues",
		Short: "List the work queues of a running broker, look into them, repair them",
		Long: `List the work queues of a running broker, show their messages without removing them, move
messages, above all dead letters back to their queue, and remove messages.

A queue exists while it has messages or consumers. What a consumer has and has not
acknowledged stays there, whatever these commands do.

` + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat queues ls
  hoofbeat queues peek /queue/DLQ.orders
  hoofbeat queues move /queue/DLQ.orders
  hoofbeat queues rm --seq 17 /queue/orders
  hoofbeat queues purge /queue/orders`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.listQueues(), p.peekQueue(), p.moveMessages(), p.removeMessages(), p.purgeQueue())
	return cmd
}

// queuePath returns the path of one queue, which has to be named in full.
func queuePath(queue string) (string, error) {
	if strings.Trim(queue, "./") == "" {
		return "", usagef("QUEUE %q: want a whole name such as /queue/orders", queue)
	}
	return queuesPath + "/" + segment(queue), nil
}

func (p *Program) listQueues() *cobra.Command {
	a := &adminCall{program: p}
	var prefix, sort, order string
	var dead, asJSON bool
	cmd := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List the queues that have messages or consumers",
		Long: `List the queues that have messages or consumers: how many messages, how many of them
consumers have and have not acknowledged, their size, the age of the oldest, and whose
dead letters they are.

` + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat queues ls
  hoofbeat queues ls --sort messages --prefix /queue/orders
  hoofbeat queues ls --dead-letters --json`,
	}
	a.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&prefix, "prefix", "", "only queues whose names begin with this")
	f.StringVar(&sort, "sort", "", "name (default), messages, bytes, consumers, unacknowledged or oldest")
	f.StringVar(&order, "order", "", "asc or desc; by default asc for names, desc for figures")
	f.BoolVar(&dead, "dead-letters", false, "only queues of dead letters")
	f.BoolVar(&asJSON, "json", false, "print each queue as a JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		parameters := map[string]string{"prefix": prefix, "sort": sort, "order": order}
		if dead {
			parameters["dead_letters"] = "true"
		}
		return queueList.print(cmd.Context(), a, parameters, asJSON)
	}
	return cmd
}

var queueList = list[queueInfo]{
	path:   queuesPath,
	header: "NAME\tMESSAGES\tUNACKNOWLEDGED\tCONSUMERS\tBYTES\tOLDEST\tDEAD LETTERS OF",
	row: func(w io.Writer, q *queueInfo) error {
		oldest := "-"
		if q.Oldest != nil {
			oldest = seconds(*q.Oldest).String()
		}
		_, err := fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", oneLine(q.Name), q.Messages, q.Unacknowledged, q.Consumers, q.Bytes, oldest, dash(q.DeadLettersOf))
		return err
	},
}

func (p *Program) moveMessages() *cobra.Command {
	a := &adminCall{program: p}
	var named namedMessages
	var count int
	cmd := &cobra.Command{
		Use:   "move [flags] QUEUE [TARGET]",
		Short: "Move messages to another queue, or dead letters back to theirs",
		Long: `Move the messages that wait in QUEUE to TARGET, the oldest first. Without TARGET, QUEUE must
be one of dead letters, such as /queue/DLQ.orders: those that came from /queue/orders return
to it, without the headers that made them dead letters, as if they had never failed. Others
stay. Nothing is moved that comes after the command began.

No message is lost or doubled. If TARGET is full the command ends with 1 and says how many
it moved; the others stay where they are.

` + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat queues move /queue/DLQ.orders
  hoofbeat queues move --count 10 /queue/DLQ.orders
  hoofbeat queues move --id 5f3a9c-17 /queue/orders /queue/repair`,
	}
	a.addFlags(cmd)
	named.addFlags(cmd, "move")
	cmd.Flags().IntVar(&count, "count", 0, "move at most so many")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := queuePath(args[0])
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("count") && count < 1 {
			return usagef("--count %d: want 1 or more", count)
		}
		body, err := named.body()
		if err != nil {
			return err
		}
		if len(args) > 1 {
			body["to"] = args[1]
		}
		moved, skipped, err := a.moveAll(cmd, path, body, count)
		if err != nil {
			return fmt.Errorf("%w (%d moved before)", err, moved)
		}
		text := fmt.Sprint(moved, " moved")
		if skipped > 0 {
			text += fmt.Sprintf(", %d stay because they did not come from a queue: name a target to move them", skipped)
		}
		if n := len(named.ids) + len(named.sequences); n > moved+skipped {
			text += fmt.Sprintf(", %d not found, or held by a consumer", n-moved-skipped)
		}
		_, err = fmt.Fprintln(p.Out, text)
		return err
	}
	return cmd
}

// moveAll repeats a request until everything is moved that was in the queue at
// the beginning, at most count messages. 0 means no limit.
func (a *adminCall) moveAll(cmd *cobra.Command, path string, body map[string]any, count int) (moved, skipped int, _ error) {
	var q queueInfo
	if err := a.call(cmd.Context(), http.MethodGet, path, nil, nil, &q); err != nil {
		return 0, 0, err
	}
	if count == 0 || count > q.Messages {
		count = max(q.Messages, 1)
	}
	for {
		const most = 1000 // in one request
		body["count"] = min(count-moved, most)
		var answer struct {
			Moved, Skipped int
			Next           uint64
		}
		err := a.call(cmd.Context(), http.MethodPost, path+"/moves", nil, body, &answer)
		if answered := (*statusError)(nil); errors.As(err, &answered) {
			moved += answered.moved
		}
		if err != nil {
			return moved, skipped, err
		}
		moved += answer.Moved
		skipped += answer.Skipped
		if answer.Next == 0 || moved >= count {
			return moved, skipped, nil
		}
		body["after"] = answer.Next
	}
}

// namedMessages are the flags that name messages.
type namedMessages struct {
	ids  []string
	text []string // sequences as they were given

	sequences []uint64
}

func (n *namedMessages) addFlags(cmd *cobra.Command, verb string) {
	f := cmd.Flags()
	f.StringArrayVar(&n.ids, "id", nil, verb+" the message with this message-id; may be repeated")
	f.StringSliceVar(&n.text, "seq", nil, verb+" the message with this sequence; may be repeated, or a list: 3,4")
}

// parse reads the sequences.
func (n *namedMessages) parse() error {
	n.sequences = nil
	for _, text := range n.text {
		s, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return usagef("--seq %q: want the sequence of a message, a whole number", text)
		}
		n.sequences = append(n.sequences, s)
	}
	if slices.Contains(n.ids, "") {
		return usagef("--id is empty")
	}
	if len(n.ids) > 1000 || len(n.sequences) > 1000 {
		return usagef("want at most 1000 messages")
	}
	return nil
}

// body returns the beginning of the body of a request.
func (n *namedMessages) body() (map[string]any, error) {
	if err := n.parse(); err != nil {
		return nil, err
	}
	body := make(map[string]any)
	if len(n.ids) > 0 {
		body["ids"] = n.ids
	}
	if len(n.sequences) > 0 {
		body["sequences"] = n.sequences
	}
	return body, nil
}

func (p *Program) removeMessages() *cobra.Command {
	a := &adminCall{program: p}
	var named namedMessages
	cmd := &cobra.Command{
		Use:   "rm [flags] QUEUE",
		Short: "Remove single messages",
		Long: `Remove single messages from QUEUE. They are not delivered and do not become dead letters.
A message that a consumer has stays, and the command ends with 1. peek prints sequences and
message-ids; purge removes all messages.

` + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat queues rm --seq 17 /queue/orders
  hoofbeat queues rm --id 5f3a9c-17 --id 5f3a9c-18 /queue/orders`,
	}
	a.addFlags(cmd)
	named.addFlags(cmd, "remove")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := queuePath(args[0])
		if err != nil {
			return err
		}
		if err := named.parse(); err != nil {
			return err
		}
		if len(named.ids)+len(named.sequences) == 0 {
			return usagef("want --seq or --id: which messages to remove")
		}
		removed := 0
		one := func(what, path string, q url.Values) error {
			var answer struct{ Removed int }
			if err := a.call(cmd.Context(), http.MethodDelete, path, q, nil, &answer); err != nil {
				return fmt.Errorf("%s: %w (%d removed before)", what, err, removed)
			}
			removed += answer.Removed
			return nil
		}
		for _, n := range named.sequences {
			if err := one(fmt.Sprint("message ", n), fmt.Sprint(path, "/messages/", n), nil); err != nil {
				return err
			}
		}
		for _, id := range named.ids {
			if err := one("message "+oneLine(id), path+"/messages", url.Values{"id": {id}}); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintln(p.Out, removed, "removed")
		return err
	}
	return cmd
}

func (p *Program) purgeQueue() *cobra.Command {
	a := &adminCall{program: p}
	var yes bool
	cmd := &cobra.Command{
		Use:   "purge [flags] QUEUE",
		Short: "Remove all messages that wait in a queue",
		Long: `Remove all messages that wait in QUEUE. They are not delivered and do not become dead
letters. On a terminal, the command asks for the name of the queue; elsewhere it needs --yes.

` + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat queues purge /queue/orders
  hoofbeat queues purge --yes /queue/orders`,
	}
	a.addFlags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := queuePath(args[0])
		if err != nil {
			return err
		}
		if !yes {
			if err := p.confirmPurge(cmd, a, path, args[0]); err != nil {
				return err
			}
		}
		var answer struct{ Removed int }
		if err := a.call(cmd.Context(), http.MethodDelete, path+"/messages", url.Values{"confirm": {"true"}}, nil, &answer); err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.Out, answer.Removed, "removed")
		return err
	}
	return cmd
}

// confirmPurge has a person type the name of the queue.
func (p *Program) confirmPurge(cmd *cobra.Command, a *adminCall, path, name string) error {
	return p.confirm("queue", name, func() (string, error) {
		var q queueInfo
		if err := a.call(cmd.Context(), http.MethodGet, path, nil, nil, &q); err != nil {
			return "", err
		}
		return fmt.Sprintf("This removes %d messages from %s.", q.Messages-q.Unacknowledged, oneLine(name)), nil
	})
}

// confirm has a person read what would be removed and type the name of the queue,
// or whatever it is.
func (p *Program) confirm(kind, name string, what func() (string, error)) error {
	if _, person := terminal(p.In); !person {
		return usagef("nothing was removed: want --yes, since there is no terminal to ask")
	}
	text, err := what()
	if err != nil {
		return err
	}
	fmt.Fprintf(p.Err, "%s\nType the name of the %s to go on: ", text, kind)
	line, err := bufio.NewReader(p.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading from the terminal: %w", err)
	}
	if strings.TrimRight(line, "\r\n") != name {
		return errors.New("nothing was removed: the name differs")
	}
	return nil
}
