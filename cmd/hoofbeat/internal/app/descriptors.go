package app

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// fit returns a copy of the configuration with limits that fit this process.
func fit(c *config.Config, log *slog.Logger) *config.Config {
	fitted := *c
	fitted.Limits = fitLimits(c.Limits, openFiles(), log)
	return &fitted
}

// fitLimits returns a copy of the limits in which the defaults fit the number
// of files that this process may open; 0 means no limit. An eighth of the files
// stays in reserve, for the admin listener, requests to third parties and
// files. A quarter is for HTTP. One address gets at most half of anything.
// Limits that the configuration sets do not change.
func fitLimits(l config.Limits, files int, log *slog.Logger) config.Limits {
	if files <= 0 {
		return l
	}
	def := config.Default().Limits
	var lower []string
	fit := func(key string, v *int, def, most int) {
		if *v != def || def <= most {
			return
		}
		*v = max(most, 1)
		lower = append(lower, fmt.Sprintf("%s=%d", key, *v))
	}
	connections, waiting := files/4, files/8
	sessions := files - files/8 - connections - waiting
	fit("limits.connections", &l.Connections, def.Connections, connections)
	fit("limits.connections_per_address", &l.ConnectionsPerAddress, def.ConnectionsPerAddress, connections/2)
	fit("limits.unauthenticated", &l.Unauthenticated, def.Unauthenticated, waiting)
	fit("limits.unauthenticated_per_address", &l.UnauthenticatedPerAddress, def.UnauthenticatedPerAddress, waiting/2)
	fit("limits.sessions", &l.Sessions, def.Sessions, sessions)
	fit("limits.sessions_per_address", &l.SessionsPerAddress, def.SessionsPerAddress, sessions/2)
	if len(lower) > 0 {
		log.Info("defaults are lower here, since this process may open few files", "limits", strings.Join(lower, " "), "files", files)
	}
	return l
}
