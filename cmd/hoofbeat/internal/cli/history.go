package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// historyPath is the path of the histories in the admin API.
const historyPath = "/api/v1/history"

// historyInfo is one item of the list of the admin API.
type historyInfo struct {
	Destination  string
	Entry        string
	LastValue    bool `json:"last_value"`
	Messages     int
	Bytes        int64
	Epoch        string
	OldestOffset uint64 `json:"oldest_offset"`
	NewestOffset uint64 `json:"newest_offset"`
	Oldest       float64
}

func (p *Program) history() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List what a running broker keeps of topics, and remove it",
		Long: `List the topics of which a running broker has a history, and remove the history of one.

` + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat history ls
  hoofbeat history rm /topic/prices/eu`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.listHistories(), p.removeHistory())
	return cmd
}

func (p *Program) listHistories() *cobra.Command {
	a := &adminCall{program: p}
	var prefix, entry, sort, order string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List the topics of which a history has messages",
		Long: `List the topics of which a history has messages: how many, their size, the age of the oldest,
the epoch and the numbers of their offsets, and the entry of the configuration that keeps
them; last value, if it keeps one message of each topic.

` + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat history ls
  hoofbeat history ls --sort bytes --prefix /topic/prices/
  hoofbeat history ls --entry '/topic/prices/**' --json`,
	}
	a.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&prefix, "prefix", "", "only topics whose names begin with this")
	f.StringVar(&entry, "entry", "", "only those of the entry of history with this destination")
	f.StringVar(&sort, "sort", "", "destination (default), messages, bytes or oldest")
	f.StringVar(&order, "order", "", "asc or desc; by default asc for names, desc for figures")
	f.BoolVar(&asJSON, "json", false, "print each as a JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		parameters := map[string]string{"prefix": prefix, "entry": entry, "sort": sort, "order": order}
		return historyList.print(cmd.Context(), a, parameters, asJSON)
	}
	return cmd
}

var historyList = list[historyInfo]{
	path:   historyPath,
	header: "DESTINATION\tMESSAGES\tBYTES\tOLDEST\tEPOCH\tOFFSETS\tENTRY\tKIND",
	row: func(w io.Writer, h *historyInfo) error {
		kind := "history"
		if h.LastValue {
			kind = "last value"
		}
		offsets := fmt.Sprint(h.OldestOffset)
		if h.NewestOffset != h.OldestOffset {
			offsets += fmt.Sprint("-", h.NewestOffset)
		}
		_, err := fmt.Fprintf(w, "%s\t%d\t%d\t%v\t%s\t%s\t%s\t%s\n", oneLine(h.Destination), h.Messages, h.Bytes, seconds(h.Oldest), oneLine(h.Epoch), offsets, oneLine(h.Entry), kind)
		return err
	},
}

func (p *Program) removeHistory() *cobra.Command {
	a := &adminCall{program: p}
	var yes bool
	cmd := &cobra.Command{
		Use:   "rm [flags] DESTINATION",
		Short: "Remove the history of a topic",
		Long: `Remove what is kept of DESTINATION, a topic. Its subscribers stay, and what is published from
now on is kept. All topics of the same entry of history get a new epoch: a client that comes
back to one of them with the offset of a message before is told that messages may be missing
(recovered:false), and gets what is kept.

On a terminal, the command asks for the name of the topic; elsewhere it needs --yes.

` + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat history rm /topic/prices/eu
  hoofbeat history rm --yes /topic/prices/eu`,
	}
	a.addFlags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if strings.Trim(args[0], "./") == "" {
			return usagef("DESTINATION %q: want a whole name such as /topic/prices/eu", args[0])
		}
		path := historyPath + "/" + segment(args[0])
		if !yes {
			if err := p.confirmRemoval(cmd, a, path, args[0]); err != nil {
				return err
			}
		}
		var answer struct{ Removed int }
		if err := a.call(cmd.Context(), http.MethodDelete, path, url.Values{"confirm": {"true"}}, nil, &answer); err != nil {
			return err
		}
		_, err := fmt.Fprintln(p.Out, answer.Removed, "removed")
		return err
	}
	return cmd
}

// confirmRemoval has a person type the name of the topic.
func (p *Program) confirmRemoval(cmd *cobra.Command, a *adminCall, path, name string) error {
	return p.confirm("topic", name, func() (string, error) {
		var h historyInfo
		if err := a.call(cmd.Context(), http.MethodGet, path, nil, nil, &h); err != nil {
			return "", err
		}
		return fmt.Sprintf("This removes %d messages of %s.", h.Messages, oneLine(name)), nil
	})
}
