package config

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Flags are the command line's settings. A flag is checked when it is parsed.
type Flags struct {
	given map[string]string // by path
}

// AddFlags registers a flag for every key that may be given on the command line.
func AddFlags(fs *pflag.FlagSet) *Flags {
	f := &Flags{given: make(map[string]string)}
	for _, k := range Keys() {
		if k.Flag() == "" {
			continue
		}
		// Package pflag takes what is between back quotes for the name of the value.
		doc := strings.ReplaceAll(k.Doc, "`", "")
		flag := fs.VarPF(&flagValue{value: k.value, path: k.Path, flags: f}, k.Flag(), "", doc)
		if k.Type() == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
	return f
}

// IsSetting reports whether a flag is one of those that AddFlags registered.
func IsSetting(f *pflag.Flag) bool {
	_, ok := f.Value.(*flagValue)
	return ok
}

// flagValue remembers the text of a flag that was given.
type flagValue struct {
	value
	path  string
	flags *Flags
}

func (v *flagValue) Set(s string) error {
	if err := v.value.Set(s); err != nil {
		return err
	}
	v.flags.given[v.path] = s
	return nil
}

func (f *Flags) apply(keys []Key, places map[string]string) []error {
	if f == nil {
		return nil
	}
	var problems []error
	for _, k := range keys {
		if text, ok := f.given[k.Path]; ok {
			places[k.Path] = "command line"
			if err := k.value.Set(text); err != nil {
				problems = append(problems, &KeyError{"command line", "--" + k.Flag(), err.Error()})
			}
		}
	}
	return slices.Clip(problems)
}
