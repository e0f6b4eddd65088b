package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// grant is the request for a ticket.
type grant struct {
	User      string   `json:"user,omitempty"`
	Backend   bool     `json:"backend,omitempty"` // for nobody, with the role backend
	Roles     []string `json:"roles,omitempty"`
	TTL       int64    `json:"ttl,omitempty"` // seconds
	Operation string   `json:"operation,omitempty"`
	Origin    string   `json:"origin,omitempty"`
}

func (p *Program) ticket() *cobra.Command {
	a := &adminCall{program: p}
	var g grant
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "ticket [flags]",
		Short: "Get a ticket from a running broker",
		Long: `Ask the admin API of a running broker for a ticket and print it. One client can use it,
once, to connect as the user: ws://…/ws?ticket=TICKET. With --backend the ticket is for a
backend without a user name, with the role backend.

` + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat ticket --user ann
  hoofbeat ticket --user ann --role writer --ttl 30s
  hoofbeat ticket --backend
  hoofbeat sub -u "ws://127.0.0.1:8080/ws?ticket=$(hoofbeat ticket --user ann)" /user/queue/news`,
	}
	a.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&g.User, "user", "", "name of the user; required unless --backend")
	f.BoolVar(&g.Backend, "backend", false, "for a backend without a name, with the role backend")
	f.StringArrayVar(&g.Roles, "role", nil, "role of the user; may be repeated")
	f.DurationVar(&ttl, "ttl", 0, "lifetime of the ticket, default auth.tickets.ttl of the broker")
	f.StringVar(&g.Operation, "operation", "", "operation that the session is bound to")
	f.StringVar(&g.Origin, "origin", "", "only pages of this web origin can use it, such as https://app.example.com")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if g.Backend && (g.User != "" || len(g.Roles) > 0) {
			return usagef("--backend is for nobody in particular: leave out --user and --role")
		}
		if err := config.CheckName(g.User); !g.Backend && err != nil {
			return usagef("--user %w", err)
		}
		if ttl < 0 || ttl%time.Second != 0 {
			return usagef("--ttl %v: want whole seconds", ttl)
		}
		g.TTL = int64(ttl / time.Second)
		var answer struct{ Ticket string }
		if err := a.post(cmd.Context(), "/api/v1/tickets", g, &answer); err != nil {
			return err
		}
		_, err := fmt.Fprintln(p.Out, answer.Ticket)
		return err
	}
	return cmd
}
