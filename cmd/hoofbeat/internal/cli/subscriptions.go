package cli

import (
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// durableSubscription is one item of the list of the admin API.
type durableSubscription struct {
	User, Name, Destination string
	Connected               bool
	Messages                int
	Bytes                   int64
	Oldest                  float64
	Dropped                 int64
}

func (p *Program) subscriptions() *cobra.Command {
	a := &adminCall{program: p}
	var user string
	list := func(cmd *cobra.Command, _ []string) error { return p.listSubscriptions(cmd, a, user) }
	cmd := &cobra.Command{
		Use:   "subscriptions [flags]",
		Short: "List or delete the durable subscriptions of a running broker",
		Long: `List the durable subscriptions of a running broker: whose they are, whether their clients
are connected, how many messages wait, how old the oldest is, and how many were dropped
because of a limit or their age.

` + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat subscriptions
  hoofbeat subscriptions list --user ann
  hoofbeat subscriptions rm --user ann inbox
  hoofbeat subscriptions rm --user ann --all`,
		Args: cobra.NoArgs,
		RunE: list,
	}
	flags := func(cmd *cobra.Command, text string) *cobra.Command {
		a.addFlags(cmd)
		cmd.Flags().StringVar(&user, "user", "", text)
		return cmd
	}
	flags(cmd, "only those of this user")
	cmd.AddCommand(
		flags(&cobra.Command{Use: "list [flags]", Aliases: []string{"ls"}, Short: "List the durable subscriptions", Args: cobra.NoArgs, RunE: list}, "only those of this user"),
		flags(p.deleteSubscriptions(a, &user), "whose they are; required"),
	)
	return cmd
}

func (p *Program) listSubscriptions(cmd *cobra.Command, a *adminCall, user string) error {
	return subscriptionList.print(cmd.Context(), a, map[string]string{"user": user}, false)
}

var subscriptionList = list[durableSubscription]{
	path:   "/api/v1/subscriptions",
	header: "USER\tNAME\tDESTINATION\tCONNECTED\tMESSAGES\tBYTES\tOLDEST\tDROPPED",
	row: func(w io.Writer, s *durableSubscription) error {
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%t\t%d\t%d\t%v\t%d\n", oneLine(s.User), oneLine(s.Name), oneLine(s.Destination), s.Connected, s.Messages, s.Bytes, seconds(s.Oldest), s.Dropped)
		return err
	},
}

func (p *Program) deleteSubscriptions(a *adminCall, user *string) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "rm [flags] [NAME]...",
		Short: "Delete durable subscriptions with their messages",
		Long: `Delete durable subscriptions of a user with their messages. If a client uses one, its
subscription ends. A client that subscribes again gets a new one, which is empty.

` + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat subscriptions rm --user ann inbox
  hoofbeat subscriptions rm --user ann --all`,
	}
	cmd.Flags().BoolVar(&all, "all", false, "delete all of this user")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		if err := config.CheckName(*user); err != nil {
			return usagef("--user %w", err)
		}
		if all != (len(names) == 0) {
			return usagef("want names or --all")
		}
		path := "/api/v1/users/" + segment(*user) + "/subscriptions"
		if all {
			var answer struct{ Deleted int }
			if err := a.call(cmd.Context(), http.MethodDelete, path, nil, nil, &answer); err != nil {
				return err
			}
			_, err := fmt.Fprintln(p.Out, answer.Deleted, "deleted")
			return err
		}
		for _, name := range names {
			if err := a.call(cmd.Context(), http.MethodDelete, path+"/"+segment(name), nil, nil, nil); err != nil {
				return fmt.Errorf("%s: %w", oneLine(name), err)
			}
		}
		_, err := fmt.Fprintln(p.Out, len(names), "deleted")
		return err
	}
	return cmd
}
