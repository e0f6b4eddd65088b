package oauth

import (
	"log/slog"
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

// warn logs what a request has caused. Anybody can make requests that fail, so there is at most one line a second for each
// text and network of clients, with the number of those that were left out, and 50 a second in all.
func (c *Client) warn(r *http.Request, text string, err error) {
	from := c.o.ClientAddress(r)
	key := loglimit.Key{Kind: text, Network: loglimit.Network(from)}
	c.quiet.Log(r.Context(), c.o.Logger, slog.LevelWarn, key, "error", err, "remote", from.String())
}
