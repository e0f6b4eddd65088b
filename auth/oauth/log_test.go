package oauth

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Failed requests cannot fill the log: one line a second for each network, with
// the number of omitted lines.
func TestLinesThatStrangersCauseAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var from netip.Addr
		c := newClient(t, newStandin(), func(o *Options) {
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			o.ClientAddress = func(*http.Request) netip.Addr { return from }
		})
		b := newBrowser(t, c)
		lines := func(address string, requests int) []string {
			log.Reset()
			from = netip.MustParseAddr(address)
			for range requests {
				b.post("/oauth/backchannel-logout", map[string][]string{"logout_token": {"junk"}})
			}
			return strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
		}
		if got := lines("192.0.2.1", 100); len(got) != 1 || !strings.Contains(got[0], "remote=192.0.2.1") {
			t.Errorf("%q", got)
		}
		if got := lines("192.0.2.2", 1); len(got) != 1 || !strings.Contains(got[0], "remote=192.0.2.2") {
			t.Errorf("%q", got)
		}
		time.Sleep(time.Second)
		if got := lines("192.0.2.1", 1); len(got) != 1 || !strings.Contains(got[0], "suppressed=99") {
			t.Errorf("%q", got)
		}
	})
}
