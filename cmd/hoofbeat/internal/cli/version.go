package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func (p *Program) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.Out, version())
			return err
		},
	}
}

// version describes this binary from what the Go tool put into it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return describe(info)
}

func describe(info *debug.BuildInfo) string {
	release := strings.Trim(info.Main.Version, "()")
	if release == "" {
		release = "devel"
	}
	setting := make(map[string]string)
	for _, s := range info.Settings {
		setting[s.Key] = s.Value
	}
	parts := []string{"hoofbeat " + release}
	if revision := setting["vcs.revision"]; revision != "" {
		revision = revision[:min(len(revision), 12)]
		if setting["vcs.modified"] == "true" {
			revision += " modified"
		}
		parts = append(parts, strings.TrimSpace(revision+" "+setting["vcs.time"]))
	}
	parts = append(parts, runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
	return strings.Join(parts, ", ")
}
