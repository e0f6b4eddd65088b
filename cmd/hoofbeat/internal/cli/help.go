package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// helpWidth is the longest line of the list of flags.
const helpWidth = 80

// commonSettings are the flags of the configuration that --help shows. There
// are too many for a screen: `hoofbeat config docs` explains all of them.
var commonSettings = []string{
	"listen", "admin", "tcp", "tls-cert", "tls-key", "websocket-origins", "auth-users-file", "auth-anonymous",
	"compatibility", "log-level",
}

const moreSettings = `
Every key of the configuration is a flag: limits.frame is --limits-frame.
All of them, with their defaults: hoofbeat config docs
`

// usage writes the usage of a command, which follows its description in --help.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s [command]\n", cmd.CommandPath())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nAvailable Commands:\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() || c.Name() == "help" {
				fmt.Fprintf(&b, "  %-*s %s\n", cmd.NamePadding(), c.Name(), c.Short)
			}
		}
	}
	own, settings := splitFlags(cmd.LocalFlags())
	if own.HasAvailableFlags() {
		b.WriteString("\nFlags:\n" + own.FlagUsagesWrapped(helpWidth))
	}
	if settings.HasAvailableFlags() {
		b.WriteString("\nThe usual settings:\n" + settings.FlagUsagesWrapped(helpWidth) + moreSettings)
	}
	if inherited := cmd.InheritedFlags(); inherited.HasAvailableFlags() {
		b.WriteString("\nGlobal Flags:\n" + inherited.FlagUsagesWrapped(helpWidth))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n%s [command] --help says more about a command.\n", cmd.CommandPath())
	}
	_, err := fmt.Fprint(cmd.OutOrStderr(), b.String())
	return err
}

// splitFlags returns the flags of a command, and the usual ones of the
// configuration with the first sentence of their documentation.
func splitFlags(all *pflag.FlagSet) (own, settings *pflag.FlagSet) {
	own, settings = pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	settings.SortFlags = false
	all.VisitAll(func(f *pflag.Flag) {
		if !config.IsSetting(f) {
			own.AddFlag(f)
		}
	})
	for _, name := range commonSettings {
		f := all.Lookup(name)
		if f == nil || !config.IsSetting(f) {
			continue
		}
		short := *f
		if first, _, more := strings.Cut(f.Usage, ". "); more {
			short.Usage = first + "."
		}
		settings.AddFlag(&short)
	}
	return own, settings
}
