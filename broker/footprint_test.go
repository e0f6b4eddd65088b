//go:build !race

package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/selector"
)

// A session that subscribes as expensively as it can makes the broker hold little
// more than the limit, and one that subscribes as people do is far from it.
func TestSubscriptionsHoldWhatTheyCount(t *testing.T) {
	const limit = 2 << 20
	letters := "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	branches := func(n int) string { // of a binary tree: no child is an only one
		s := "/topic/*"
		for bit := range 10 {
			s += fmt.Sprintf("/%d", n>>bit&1)
		}
		return s
	}
	selecting := func(expression func(n int) string) func(n int) []string {
		return func(n int) []string {
			return []string{"id", fmt.Sprint(n), "destination", "/topic/a", "selector", expression(n)}
		}
	}
	to := func(destination func(n int) string) func(n int) []string {
		return func(n int) []string { return []string{"id", fmt.Sprint(n), "destination", destination(n)} }
	}
	cut := func(s string, n int) string { return s[:min(n, len(s))] }
	for _, tc := range []struct {
		name     string
		ordinary bool
		headers  func(n int) []string
	}{
		{"masks", false, to(func(n int) string {
			return cut(fmt.Sprintf("/topic/%d", n)+strings.Repeat("/?"+letters[:31], 30), 1020)
		})},
		{"wide characters", false, to(func(n int) string {
			s := fmt.Sprintf("/topic/%d", n)
			for i := range 8 {
				s += "/?"
				for j := range 30 {
					s += string(rune(0x4e00 + 100*i + j))
				}
			}
			return s
		})},
		{"levels", false, to(func(n int) string { return fmt.Sprintf("/topic/%d", n) + strings.Repeat("/*", 29) })},
		{"starred levels", false, to(func(n int) string { return fmt.Sprintf("/topic/%d", n) + strings.Repeat("/*a", 29) })},
		{"branches", false, to(branches)},
		{"ids", false, func(n int) []string {
			return []string{"id", fmt.Sprintf("%d", n) + strings.Repeat("i", 6900), "destination", fmt.Sprintf("/topic/%d", n) + strings.Repeat("d", 990)}
		}},
		{"ids in the worst size for the allocator", false, func(n int) []string {
			return []string{"id", fmt.Sprintf("%05d", n) + strings.Repeat("i", 4096-4), "destination", "/topic/a"}
		}},
		{"negations", false, selecting(func(n int) string { return strings.Repeat("!", 900) + fmt.Sprintf("(headers.a=='%d')", n) })},
		{"truths", false, selecting(func(n int) string { return strings.Repeat("true&&", 160) + fmt.Sprintf("headers.a=='%d'", n) })},
		{"lists of texts", false, selecting(func(n int) string {
			return fmt.Sprintf("headers.a%d in ['a'", n) + strings.Repeat(",'b'", 240) + "]"
		})},
		{"lists of numbers", false, selecting(func(n int) string {
			return fmt.Sprintf("headers.a%d in [1", n) + strings.Repeat(",2", 480) + "]"
		})},
		{"comparisons", false, selecting(func(n int) string {
			return fmt.Sprintf("headers.a%d!='x'", n) + strings.Repeat(" or headers.a!=headers.b", 15)
		})},
		{"names", true, to(func(n int) string { return fmt.Sprintf("/topic/%033d", n) })},
		{"destinations for answers", true, to(func(n int) string { return fmt.Sprintf("/temp-queue/%d", n) })},
		{"simple patterns", true, to(func(n int) string { return fmt.Sprintf("/topic/orders.%d/*/lines", n) })},
		{"simple selectors", true, selecting(func(n int) string { return fmt.Sprintf("headers.user == 'u%d'", n) })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{Selector: selector.Compile, Limits: broker.Limits{SubscriptionBytes: limit, SlowPatterns: -1, SlowPatternsPerUser: -1, SelectorsPerUser: -1, ReplyDestinations: -1}})
			fill := func(c *brokertest.Client, most int) (taken int) {
				for taken < most {
					c.Send("SUBSCRIBE", "", append(tc.headers(taken), "receipt", "r")...)
					f, err := c.Receive()
					if err != nil {
						t.Fatal(err)
					}
					if f.Command != "RECEIPT" {
						if m := f.Get("message"); !strings.Contains(m, fmt.Sprintf("more than %d bytes in subscriptions (limits.subscription_bytes)", limit)) {
							t.Fatalf("the refusal says %q", m)
						}
						break
					}
					taken++
				}
				return taken
			}
			first := brokertest.Connect(t, b)
			n := fill(first, 1000)
			first.Close()
			brokertest.Eventually(t, "the first is gone", func() bool { return b.Stats().Sessions == 0 && b.Stats().Subscriptions == 0 })
			if tc.ordinary && n < 1000 {
				t.Fatalf("only %d such subscriptions fit", n)
			}
			c := brokertest.Connect(t, b)
			before := testkit.Heap()
			fill(c, n)
			held := testkit.Heap() - before
			t.Logf("%d subscriptions hold %d bytes", n, held)
			if held > limit*3/2 {
				t.Errorf("%d subscriptions hold %d bytes, the limit is %d", n, held, limit)
			}
			c.Sync(t)
		})
	}
}
