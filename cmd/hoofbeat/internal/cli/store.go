package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/app"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

func (p *Program) store() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Check, export or import the store on disk, change its key",
		Long: `Commands for the directory of the store (store.dir) while no broker uses it. They read
the configuration as serve does. Only export can also ask a running broker.

` + exitHelp,
		Example: `  hoofbeat store check -c hoofbeat.yaml
  hoofbeat store check --store-dir /var/lib/hoofbeat
  hoofbeat store rekey -c hoofbeat.yaml
  hoofbeat store export -c hoofbeat.yaml backup.age
  hoofbeat store import --store-dir /var/lib/hoofbeat/new backup.age`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.storeCheck(), p.storeRekey(), p.storeExport(), p.storeImport())
	return cmd
}

func (p *Program) storeCheck() *cobra.Command {
	var load func() (*config.Config, error)
	cmd := &cobra.Command{
		Use:   "check [flags]",
		Short: "Read everything in the store",
		Long: `Open the directory of the store as the broker does, read all messages, and print what
there is. Exit with 1 if the directory cannot be opened or a message cannot be read.`,
		Example: `  hoofbeat store check --store-dir /var/lib/hoofbeat`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load()
			if err != nil {
				return configError{err}
			}
			r, err := app.CheckStore(cmd.Context(), c)
			if err != nil {
				return storeFailure(err)
			}
			if err := printReport(p.Out, c.Store.Dir, r); err != nil {
				return err
			}
			if r.Damaged() {
				return errors.New("the store is damaged: restore the whole directory from a backup")
			}
			return nil
		},
	}
	load = p.settings(cmd)
	return cmd
}

func (p *Program) storeRekey() *cobra.Command {
	var load func() (*config.Config, error)
	cmd := &cobra.Command{
		Use:   "rekey [flags]",
		Short: "Encrypt the store with another key",
		Long: `Encrypt the directory of the store, which store.old_key opens, with store.key. If it is
interrupted, run it again. Afterwards remove store.old_key. serve does the same at its
start if both keys are given.

The messages are not written anew: each file has a random key of its own, and these are
encrypted with store.key. Who has the old key and a copy of the files from before can
still read them, and what is added to the same files.`,
		Example: `  hoofbeat store rekey -c hoofbeat.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load()
			if err != nil {
				return configError{err}
			}
			changed, err := app.RekeyStore(cmd.Context(), c)
			if err != nil {
				return storeFailure(err)
			}
			text := "is encrypted with store.key now: remove store.old_key"
			if !changed {
				text = "was encrypted with store.key already: remove store.old_key"
			}
			_, err = fmt.Fprintf(p.Out, "%s %s\n", c.Store.Dir, text)
			return err
		},
	}
	load = p.settings(cmd)
	return cmd
}

// settings adds the flags of the broker's settings to cmd, and returns what
// reads the configuration.
func (p *Program) settings(cmd *cobra.Command) func() (*config.Config, error) {
	file := cmd.Flags().StringP("config", "c", "", "configuration file")
	flags := config.AddFlags(cmd.Flags())
	return func() (*config.Config, error) {
		return config.Load(config.Sources{File: *file, Env: p.Env, Flags: flags})
	}
}

// storeFailure tells a wrong configuration from a store that cannot be opened.
func storeFailure(err error) error {
	if closed := (*app.StoreError)(nil); errors.As(err, &closed) {
		return err
	}
	return configError{err}
}

func printReport(w io.Writer, dir string, r *embedded.Report) error {
	encrypted := "not encrypted"
	if r.Key {
		encrypted = "encrypted"
	}
	_, err := fmt.Fprintf(w, "%s: format %d, node %s, started %d times, %s\n", dir, r.Format, r.Node, r.Runs, encrypted)
	for _, s := range r.Streams {
		damaged := ""
		if s.Damaged > 0 {
			damaged = fmt.Sprintf(", %d of them damaged", s.Damaged)
		}
		if err == nil {
			_, err = fmt.Fprintf(w, "%s: %d messages%s, %d bytes, numbers %d to %d, %d consumers\n", s.Name, s.Messages, damaged, s.Bytes, s.First, s.Last, s.Consumers)
		}
	}
	return err
}
