package cli

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/app"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

func (p *Program) config() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check the configuration, print its defaults and documentation",
		Long: `The configuration is one YAML file. HOOFBEAT_* variables override the file, and flags
override both.

` + exitHelp,
		Example: `  hoofbeat config default > hoofbeat.yaml
  hoofbeat config check -c hoofbeat.yaml
  hoofbeat config docs`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		p.configCheck(),
		&cobra.Command{
			Use: "default", Short: "Print a commented file with every key at its default",
			RunE: func(*cobra.Command, []string) error { return config.WriteDefault(p.Out) },
		},
		&cobra.Command{
			Use: "env", Short: "Print every variable with its default, as an environment file",
			RunE: func(*cobra.Command, []string) error { return config.WriteEnv(p.Out) },
		},
		&cobra.Command{
			Use: "docs", Short: "Print every key as a Markdown table",
			RunE: func(*cobra.Command, []string) error { return config.WriteDocs(p.Out) },
		},
	)
	return cmd
}

func (p *Program) configCheck() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check [flags]",
		Short: "Check the configuration",
		Long: `Read the file, the HOOFBEAT_* variables and the flags as the broker does, and
the files of users, certificates and keys that they name. If there are errors,
print each with its place and exit with 2, as serve does; errors in other files
and in rules appear only when the keys are correct. Otherwise exit with 0:
standard error gets warnings about risks and about keys and rules that have no
effect, standard output what store.disk must have room for, and the settings
that differ from the defaults, including those that compatibility sets.`,
		Example: `  hoofbeat config check -c hoofbeat.yaml
  HOOFBEAT_LIMITS_FRAME=1MiB hoofbeat config check -c hoofbeat.yaml --listen :8080`,
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	flags := config.AddFlags(cmd.Flags())
	cmd.RunE = func(*cobra.Command, []string) error {
		c, err := config.Load(config.Sources{File: file, Env: p.Env, Flags: flags})
		if err != nil {
			return configError{err}
		}
		if err := app.Check(c); err != nil {
			return configError{err}
		}
		note := ""
		if c.Development() {
			note = " (development mode: any client on this machine can connect as anyone)"
		}
		if _, err = fmt.Fprintf(p.Out, "%s: good%s\n", cmp.Or(file, "configuration"), note); err != nil {
			return err
		}
		if c.Store.Dir != "" {
			for _, need := range c.StoreNeeds() {
				if _, err = fmt.Fprintf(p.Out, "store.disk: of %s, %s\n", c.Store.Disk, need); err != nil {
					return err
				}
			}
			if _, err = fmt.Fprintf(p.Out, "store.disk: of %s, %s in all\n", c.Store.Disk, c.StoreNeeded()); err != nil {
				return err
			}
		}
		for _, text := range app.Warnings(c) {
			if _, err = fmt.Fprintf(p.Err, "warning: %s\n", text); err != nil {
				return err
			}
		}
		return config.WriteEffective(p.Out, c)
	}
	return cmd
}
