package ticket

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
)

// The function that verifies a bearer token at the ticket endpoint gets the
// client's address.
func TestTicketEndpointSaysWhereACredentialComesFrom(t *testing.T) {
	proxied := netip.MustParseAddr("198.51.100.7")
	for name, test := range map[string]struct {
		client func(*http.Request) netip.Addr
		remote string
		want   netip.Addr
	}{
		"the peer":          {nil, "192.0.2.1:4711", netip.MustParseAddr("192.0.2.1")},
		"a peer without IP": {nil, "@", netip.Addr{}},
		"a proxy says so":   {func(*http.Request) netip.Addr { return proxied }, "192.0.2.1:4711", proxied},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			h := mustHandler(t, mustTickets(t, newState(), Options{}), HandlerOptions{
				ClientAddress: test.client,
				Bearer: func(ctx context.Context, _ string) (*auth.Principal, error) {
					asked++
					if got := auth.RemoteOf(ctx); got != test.want {
						t.Errorf("the token comes from %v, want %v", got, test.want)
					}
					return nil, auth.ErrNotMine
				},
			})
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/ws_ticket", nil)
			r.RemoteAddr = test.remote
			r.Header.Set("Authorization", "Bearer abc")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != http.StatusUnauthorized || asked != 1 {
				t.Errorf("answered %d after %d questions", w.Code, asked)
			}
		})
	}
}
