package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// teach makes the errors of a command and of all below it say what is missing,
// and which command or flag was probably meant. The arguments that a command
// takes are those of its usage line.
func teach(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(flagError)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if cmd.HasSubCommands() && len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		return checkArguments(cmd, args)
	}
	for _, c := range cmd.Commands() {
		teach(c)
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var known []string
	for _, c := range cmd.Commands() {
		known = append(known, c.Name())
	}
	return fmt.Errorf("unknown command %q for %q%s", name, cmd.CommandPath(), didYouMean(config.Nearest(name, known)))
}

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return ", did you mean " + name + "?"
}

// checkArguments compares the arguments with the usage line, such as
// "pub [flags] DESTINATION [BODY]" or "sub [flags] DESTINATION...".
func checkArguments(cmd *cobra.Command, args []string) error {
	left := args
	for _, word := range strings.Fields(cmd.Use)[1:] {
		name := strings.Trim(word, "[].")
		switch {
		case word == "[flags]":
			continue
		case len(left) == 0 && !strings.HasPrefix(word, "["):
			return fmt.Errorf("%s is missing", name)
		case strings.HasSuffix(word, "..."):
			return nil
		case len(left) > 0:
			left = left[1:]
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("unexpected argument %q", left[0])
	}
	return nil
}

// flagError explains an error about a flag.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		near := ""
		if name := unknown.GetSpecifiedName(); len(name) > 1 {
			near = config.Nearest(name, known)
		}
		if near != "" {
			near = "--" + near
		}
		return fmt.Errorf("%w%s", err, didYouMean(near))
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		f := invalid.GetFlag()
		if want := wanted[f.Value.Type()]; want != "" {
			return fmt.Errorf("invalid argument %q for --%s: want %s", invalid.GetValue(), f.Name, want)
		}
	}
	return err
}

// wanted says in words what the types of package pflag accept.
var wanted = map[string]string{
	"int": "a whole number", "int64": "a whole number", "uint": "a whole number that is not negative",
	"float64": "a number", "bool": "true or false", "duration": "a duration such as 500ms, 5s or 1m",
}
