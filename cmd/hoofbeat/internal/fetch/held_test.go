package fetch

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// The answers that are kept take what limits.fetched_answers allows, and 512
// bytes for each user and resource, however large the answers and their headers
// are and however many users there are.
func TestFetchedAnswersHoldWhatIsDocumented(t *testing.T) {
	const maxKept, each = 1 << 20, 512
	for name, test := range map[string]struct {
		users      int
		kind, body string
		kept       bool
	}{
		"small":        {20_000, "application/json", `1`, true},
		"large":        {300, "application/json", `"` + strings.Repeat("a", 20_000) + `"`, true},
		"odd sizes":    {300, "application/json", `"` + strings.Repeat("a", 16_400) + `"`, true},
		"parameters":   {1000, "application/x+json; p=" + strings.Repeat("p", 20_000), `1`, true},
		"long type":    {300, "application/" + strings.Repeat("x", 20_000) + "+json", `1`, false},
		"longest type": {1000, "application/" + strings.Repeat("x", maxType-17) + "+json", `1`, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(site)
			users := make([]string, test.users)
			for i := range users {
				users[i] = fmt.Sprintf("user%d", i)
			}
			s.set(answer(200, test.kind, test.body), users...)
			f := New(Options{
				Sources: []Source{source("mail")}, Grants: s, MaxBody: 32 << 10, MaxKept: maxKept, Logger: slog.New(slog.DiscardHandler),
				Publish: func(context.Context, string, string, Answer) error { return nil },
			})
			before := testkit.Heap()
			for _, user := range f.due(t.Context(), f.o.Sources[0]) {
				f.fetch(t.Context(), f.o.Sources[0], user)
			}
			s.mu.Lock()
			s.asked, s.hosts = nil, nil // of the test's own
			s.mu.Unlock()
			held, most := testkit.Heap()-before, maxKept*5/4+int64(test.users)*each+64<<10
			t.Logf("%d bytes are held, at most %d may be", held, most)
			if held > most {
				t.Errorf("%d bytes are held, at most %d may be", held, most)
			}
			if _, ok := f.Last("mail", "user0"); ok != test.kept {
				t.Errorf("an answer is kept: %t, want %t", ok, test.kept)
			}
			runtime.KeepAlive(f)
			runtime.KeepAlive(users)
		})
	}
}
