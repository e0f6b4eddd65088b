package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// clusterNode is one item of the list of the admin API.
type clusterNode struct {
	Name, ID, Role   string
	Self             bool
	Live, Ready      bool
	Reasons, Leads   []string
	Lag, Dropped     uint64
	Interests        int
	Version, Address string
}

func (p *Program) cluster() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cluster",
		Short:   "Show the nodes of a cluster",
		Long:    "Several brokers can serve the same clients: docs/cluster.md says how.\n\n" + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat cluster status --admin http://127.0.0.1:9091`,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	a := &adminCall{program: p}
	var asJSON bool
	status := &cobra.Command{
		Use:   "status [flags]",
		Short: "List the nodes of the cluster of a running broker",
		Long: `List the nodes of the cluster that a running broker is part of, as that one knows them: *
is the broker itself. LEADS is what a node is the leader of, LAG how many records it has
not confirmed yet, DROPPED how many messages between nodes it has lost, and WHY why it is
not live, or takes no new clients.

` + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat cluster status --admin http://127.0.0.1:9091
  hoofbeat cluster status --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return clusterList.print(cmd.Context(), a, nil, asJSON) },
	}
	a.addFlags(status)
	status.Flags().BoolVar(&asJSON, "json", false, "print the nodes as JSON, one a line")
	cmd.AddCommand(status)
	return cmd
}

var clusterList = list[clusterNode]{
	path:   "/api/v1/cluster",
	header: "NODE\tROLE\tLIVE\tREADY\tLEADS\tLAG\tINTERESTS\tDROPPED\tVERSION\tADDRESS\tID\tWHY",
	row: func(w io.Writer, n *clusterNode) error {
		name := dash(n.Name)
		if n.Self {
			name += "*"
		}
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", name, n.Role, yes(n.Live), yes(n.Ready), dash(strings.Join(n.Leads, ",")),
			n.Lag, n.Interests, n.Dropped, dash(n.Version), dash(n.Address), dash(n.ID), oneLine(strings.Join(n.Reasons, "; ")))
		return err
	},
	none: errors.New("the broker is not part of a cluster: cluster.listen is not set"),
}
