package oauth

import (
	"log/slog"
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

// warn logs a failure that a request caused. Any client can cause such
// failures, so warn limits the log to one line a second for each text and
// client network, with the number of omitted lines, and to 50 lines a second in
// all.
func (c *Client) warn(r *http.Request, text string, err error) {
	from := c.o.ClientAddress(r)
	key := loglimit.Key{Kind: text, Network: loglimit.Network(from)}
	c.quiet.Log(r.Context(), c.o.Logger, slog.LevelWarn, key, "error", err, "remote", from.String())
}
