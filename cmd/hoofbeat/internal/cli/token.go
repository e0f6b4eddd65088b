package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"
)

func (p *Program) token() *cobra.Command {
	a := &adminCall{program: p}
	cmd := &cobra.Command{
		Use:   "token [flags]",
		Short: "Print the token of the admin API",
		Long: `Print the token that requests to the admin API must have. It comes from
HOOFBEAT_ADMIN_TOKEN, from --token-file or HOOFBEAT_ADMIN_TOKEN_FILE, or from the file in
which a broker of the same user keeps it. The broker creates that file when it first starts.

` + exitHelp,
		Example: `  curl -H "Authorization: Bearer $(hoofbeat token)" http://127.0.0.1:8081/api/v1/stats`,
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVar(&a.tokenFile, "token-file", "", "file with the token of the admin API")
	cmd.RunE = func(*cobra.Command, []string) error {
		token, err := a.token()
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: a broker makes it when it starts; one with admin_token_file or HOOFBEAT_ADMIN_TOKEN keeps it there", err)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.Out, token)
		return err
	}
	return cmd
}
