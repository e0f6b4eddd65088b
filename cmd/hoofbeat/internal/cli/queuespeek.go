package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// queuedMessage is a message that the admin API shows.
type queuedMessage struct {
	Sequence    uint64
	MessageID   string `json:"message_id"`
	Headers     map[string]string
	Body        string
	BodyBase64  string `json:"body_base64"`
	BodyBytes   int    `json:"body_bytes"`
	Truncated   bool
	Put         *time.Time
	Expires     *time.Time
	Attempts    int
	Redelivered bool
	Held        bool
}

// wholeBody is how much of a body the admin API shows at most.
const wholeBody = 16 << 20

func (p *Program) peekQueue() *cobra.Command {
	a := &adminCall{program: p}
	var o output
	var after uint64
	var count, body int
	var full bool
	cmd := &cobra.Command{
		Use:   "peek [flags] QUEUE",
		Short: "Show messages of a queue and leave them there",
		Long: `Show messages of QUEUE, the oldest first, and leave them there: the sequence, the message-id,
and the beginning of the body, as text or in base64. If there are more, the last line on
standard error says how to go on.

` + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat queues peek /queue/DLQ.orders
  hoofbeat queues peek --verbose --full --count 1 /queue/orders
  hoofbeat queues peek --after 17 --json /queue/orders`,
	}
	a.addFlags(cmd)
	f := cmd.Flags()
	f.Uint64Var(&after, "after", 0, "begin after the message with this sequence")
	f.IntVar(&count, "count", 10, "show at most so many")
	f.IntVar(&body, "body", 1024, "show at most so many bytes of each body")
	f.BoolVar(&full, "full", false, "show whole bodies")
	o.addFlags(f)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := queuePath(args[0])
		if err != nil {
			return err
		}
		switch {
		case full:
			body = wholeBody
		case body < 0 || body > wholeBody:
			return usagef("--body %d: want 0 to %d", body, wholeBody)
		}
		if count < 1 {
			return usagef("--count %d: want 1 or more", count)
		}
		if err := o.check(); err != nil {
			return err
		}
		q := url.Values{"body": {strconv.Itoa(body)}}
		for left := count; ; {
			q.Set("after", strconv.FormatUint(after, 10))
			q.Set("limit", strconv.Itoa(min(left, 1000)))
			var page struct {
				Next  uint64
				Items []json.RawMessage
			}
			if err := a.call(cmd.Context(), http.MethodGet, path+"/messages", q, nil, &page); err != nil {
				return err
			}
			for _, item := range page.Items {
				if err := o.printQueued(p.Out, item); err != nil {
					return err
				}
			}
			after = page.Next
			if left -= len(page.Items); left <= 0 || after == 0 || len(page.Items) == 0 {
				break
			}
		}
		if after != 0 {
			fmt.Fprintf(p.Err, "There may be more: --after %d\n", after)
		}
		return nil
	}
	return cmd
}

// printQueued prints a message as it came, or for a person.
func (o *output) printQueued(w io.Writer, item json.RawMessage) error {
	if o.json {
		_, err := fmt.Fprintf(w, "%s\n", item)
		return err
	}
	var m queuedMessage
	if err := json.Unmarshal(item, &m); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d  %s", m.Sequence, oneLine(m.MessageID))
	if m.Put != nil {
		fmt.Fprintf(&b, "  %s", m.Put.Format(time.RFC3339))
	}
	if m.Expires != nil {
		fmt.Fprintf(&b, "  expires %s", m.Expires.Format(time.RFC3339))
	}
	if m.Attempts > 0 {
		fmt.Fprintf(&b, "  failed %d times", m.Attempts)
	} else if m.Redelivered {
		b.WriteString("  redelivered")
	}
	if m.Held {
		b.WriteString("  held by a consumer")
	}
	b.WriteByte('\n')
	if o.verbose {
		for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
			fmt.Fprintf(&b, "  %s: %s\n", oneLine(name), oneLine(m.Headers[name]))
		}
	}
	shown := len(m.Body)
	if m.BodyBase64 != "" {
		shown = len(strings.TrimRight(m.BodyBase64, "=")) * 3 / 4
		fmt.Fprintf(&b, "base64: %s\n", m.BodyBase64)
	} else {
		for line := range strings.Lines(m.Body + "\n") {
			fmt.Fprintf(&b, "%s\n", oneLine(strings.TrimSuffix(line, "\n")))
		}
	}
	if m.Truncated {
		fmt.Fprintf(&b, "(%d of %d bytes)\n", shown, m.BodyBytes)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
