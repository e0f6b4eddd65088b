package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hoofbeat/hoofbeat/auth"
)

func (p *Program) notify() *cobra.Command {
	a := &adminCall{program: p}
	cmd := &cobra.Command{
		Use:   "notify [flags] OPERATION RESULT",
		Short: "Tell the page that waits for an operation its result",
		Long: `Report the result of an operation to a running broker, which tells the page that waits
for it. It prints "delivered" if a page got the result, and "held" if the broker keeps
it for a page that has not registered or subscribed yet.

RESULT is CONFIRMED, CANCELED, AUTH_METHOD_FAILED, FAILED or DONE, which are final, or
AUTH_FAILED, AUTH_METHOD_CHOSEN, AUTH_METHOD_DOWNGRADE or CONTINUE, after which the page
continues to wait. webflow.results and webflow.interim of the broker replace these lists.

` + adminHelp + "\n\n" + exitHelp,
		Example: `  hoofbeat notify 7d2a-login CONFIRMED
  hoofbeat notify --admin https://broker.example.com:8081 7d2a-login CANCELED`,
	}
	a.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		operation, result := args[0], args[1]
		if operation == "" || len(operation) > auth.MaxOperationBytes {
			return usagef("OPERATION has %d bytes: want 1 to %d", len(operation), auth.MaxOperationBytes)
		}
		if result == "" {
			return usagef("RESULT is empty")
		}
		var answer struct{ Delivered bool }
		if err := a.post(cmd.Context(), "/api/v1/operations/"+segment(operation)+"/result", map[string]string{"result": result}, &answer); err != nil {
			return err
		}
		state := "held"
		if answer.Delivered {
			state = "delivered"
		}
		_, err := fmt.Fprintln(p.Out, state)
		return err
	}
	return cmd
}
