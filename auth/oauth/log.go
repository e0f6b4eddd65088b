package oauth

import (
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

// warn logs what a request has caused. Anybody can make requests that fail, so there is at most one line a second for each
// text and network of clients, with the number of those that were left out, and 50 a second in all.
func (c *Client) warn(r *http.Request, text string, err error) {
	from := c.o.ClientAddress(r)
	suppressed, ok := c.quiet.Allow(time.Now(), loglimit.Key{Kind: text, Network: loglimit.Network(from)})
	if !ok {
		return
	}
	attributes := []any{"error", err, "remote", from.String()}
	if suppressed > 0 {
		attributes = append(attributes, "suppressed", suppressed)
	}
	c.o.Logger.WarnContext(r.Context(), text, attributes...)
}
