package oauth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// A pending login keeps only what it needs, and not the request, however long
// that was.
func TestPendingLoginsHoldWhatIsDocumented(t *testing.T) {
	const n, most = 500, 3 << 10
	s := newStandin()
	c := newClient(t, s, nil)
	start := func(i int) {
		r := httptest.NewRequest("GET", fmt.Sprintf("/oauth/login?junk=%s&return_to=/%s%d", strings.Repeat("j", 14_000), strings.Repeat("r", 500), i), nil)
		w := httptest.NewRecorder()
		c.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusFound && w.Code != http.StatusSeeOther {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	start(0) // fetches the metadata
	before := testkit.Heap()
	for i := range n {
		start(i + 1)
	}
	if held := (testkit.Heap() - before) / n; held > most {
		t.Errorf("a pending login holds %d bytes, at most %d may be held", held, most)
	}
	runtime.KeepAlive(c)
}
