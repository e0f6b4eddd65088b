package app

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// fitting is the limits of a configuration as they fit this process.
type fitting struct {
	limits config.Limits
	files  int      // the number of files that this process may open; 0 means no limit
	lower  []string // defaults that were lowered, as key=value
	high   []string // values that the configuration sets and that do not fit, as key=value
}

// fitLimits lowers the defaults so that they fit the number of files that this
// process may open. An eighth of the files stays in reserve, for the admin
// listener, requests to third parties and files. A quarter is for HTTP. One
// address gets at most half of anything. Limits that the configuration sets do
// not change, whatever their value.
func fitLimits(c *config.Config, files int) fitting {
	f := fitting{limits: c.Limits, files: files}
	if files <= 0 {
		return f
	}
	def, l := config.Default().Limits, &f.limits
	fit := func(key string, v *int, def, total, most int) {
		switch {
		case *v != def || c.Given(key):
			if *v > total { // one that is off is the operator's will
				f.high = append(f.high, fmt.Sprintf("%s=%d", key, *v))
			}
		case def > most:
			*v = max(most, 1)
			f.lower = append(f.lower, fmt.Sprintf("%s=%d", key, *v))
		}
	}
	connections, waiting := files/4, files/8
	sessions := files - files/8 - connections - waiting
	fit("limits.connections", &l.Connections, def.Connections, connections, connections)
	fit("limits.connections_per_address", &l.ConnectionsPerAddress, def.ConnectionsPerAddress, connections, connections/2)
	fit("limits.unauthenticated", &l.Unauthenticated, def.Unauthenticated, waiting, waiting)
	fit("limits.unauthenticated_per_address", &l.UnauthenticatedPerAddress, def.UnauthenticatedPerAddress, waiting, waiting/2)
	fit("limits.sessions", &l.Sessions, def.Sessions, sessions, sessions)
	fit("limits.sessions_per_address", &l.SessionsPerAddress, def.SessionsPerAddress, sessions, sessions/2)
	return f
}

// apply returns a copy of the configuration with the limits that fit.
func (f fitting) apply(c *config.Config) *config.Config {
	fitted := *c
	fitted.Limits = f.limits
	return &fitted
}

// log tells the operator what differs from before, which is the zero value at
// the start: the same is not told twice.
func (f fitting) log(log *slog.Logger, before fitting) {
	if len(f.lower) > 0 && !slices.Equal(f.lower, before.lower) {
		log.Info("defaults are reduced because this process can open few files", "limits", strings.Join(f.lower, " "), "files", f.files)
	}
	if len(f.high) > 0 && !slices.Equal(f.high, before.high) {
		log.Warn("limits are higher than the number of files that this process can open: lower them, or raise ulimit -n",
			"limits", strings.Join(f.high, " "), "files", f.files)
	}
}
