//go:build !race

package bearer

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// The answers that are remembered take what Options.CacheSize says, however
// large the claims are that a provider puts into them, and whether the tokens
// are valid or not.
func TestMemoryOfCachedAnswers(t *testing.T) {
	objects := `"a":[` + strings.Repeat(`{"b":1},`, 500) + `0]` // 4 KB of text, 200 KB of memory
	for name, test := range map[string]struct {
		claims   func(token string) string
		accepted bool
		tokens   int
		most     int64
	}{
		"usual": {func(token string) string {
			return fmt.Sprintf(`"sub":%q,"scope":"profile mail","roles":["user"],"exp":4000000000,"iss":"https://login.example.com"`, token)
		}, true, 2 * DefaultCacheSize, DefaultCacheSize * answerBytes},
		"large, of many users": {func(token string) string {
			return fmt.Sprintf(`"sub":%q,%s`, token, objects)
		}, true, 1000, DefaultCacheSize * answerBytes},
		"large, of one user": {func(string) string {
			return `"sub":"ann",` + objects
		}, true, 1000, DefaultCacheSize * answerBytes / sharesOfCache},
		"scopes": {func(token string) string {
			return fmt.Sprintf(`"sub":%q,"scope":%q`, token, strings.Repeat("a ", 7000))
		}, true, 1000, DefaultCacheSize * answerBytes},
		"too large": {func(token string) string {
			return fmt.Sprintf(`"sub":%q,"a":[%s0]`, token, strings.Repeat(`{"b":1},`, 1000))
		}, false, 300, 300 * 320},
		"invalid": {func(string) string {
			return `"sub":false`
		}, false, 2 * DefaultCacheSize, DefaultCacheSize * 320},
	} {
		t.Run(name, func(t *testing.T) {
			v := introspecting(t, answering(test.claims))
			before := testkit.Heap()
			for i := range test.tokens {
				p, err := v.Verify(context.Background(), fmt.Sprintf("token-%d", i))
				if (err == nil) != test.accepted {
					t.Fatalf("%v, %v", p, err)
				}
			}
			e := v.endpoints[0]
			held := testkit.Heap() - before
			t.Logf("%d and %d answers hold %d bytes, %d are counted", e.good.order.Len(), e.bad.order.Len(), held, e.good.bytes)
			if most := test.most*5/4 + 256<<10; held > most {
				t.Errorf("%d bytes are held, at most %d may be", held, most)
			}
			if test.accepted && (e.good.order.Len() == 0 || held < e.good.bytes/2 || held > e.good.bytes*5/4+256<<10) {
				t.Errorf("%d bytes are held for %d answers, %d are counted", held, e.good.order.Len(), e.good.bytes)
			}
			runtime.KeepAlive(v)
		})
	}
}
