//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// The limits on patterns that are slow to compare and on selectors come from
// the configuration, their refusals name them, and a reload changes them for
// those who are connected.
func TestSharedLimitsOfSubscriptions(t *testing.T) {
	for _, tc := range []struct {
		key    string
		others string // limits that must not be met first
		what   string // the problem, as the client is told
	}{
		{"slow_patterns", "slow_patterns_per_user: 50", "too many patterns that are slow to compare"},
		{"slow_patterns_per_user", "slow_patterns: 50", "too many patterns that are slow to compare, of this user or address"},
		{"selectors_per_user", "slow_patterns: 50", "too many different selectors of this user or address"},
	} {
		t.Run(tc.key, func(t *testing.T) {
			t.Parallel()
			conf := write(t, "hoofbeat.yaml", "")
			say := func(limit int) {
				t.Helper()
				text := fmt.Sprintf("selectors: true\nlimits: {%s: %d, %s}\n", tc.key, limit, tc.others)
				if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			say(2)
			s := serve(t, nil, "-c", conf)
			// subscribe makes the ith different subscription that counts.
			subscribe := func(c *client.Conn, i int) error {
				t.Helper()
				destination, selector := fmt.Sprintf("/topic/a%d*b", i), stomp.SubscribeOpt.Header("x", "y")
				if tc.key == "selectors_per_user" {
					destination, selector = "/topic/a", stomp.SubscribeOpt.Header("selector", fmt.Sprintf("headers['n'] == '%d'", i))
				}
				_, receipt, err := c.SubscribeWithReceipt(destination, stomp.AckAuto, selector)
				if err != nil {
					t.Fatal(err)
				}
				return waitReceipt(t, receipt)
			}
			fill := func(c *client.Conn, from, to int) {
				t.Helper()
				for i := from; i < to; i++ {
					if err := subscribe(c, i); err != nil {
						t.Fatalf("subscription %d: %v", i, err)
					}
				}
			}
			refuses := func(c *client.Conn, i, limit int) {
				t.Helper()
				var e *client.ErrorFrame
				want := fmt.Sprintf("%s: limits.%s is %d", tc.what, tc.key, limit)
				if err := subscribe(c, i); !errors.As(err, &e) || e.Message != want || e.Close == nil || e.Close.Code != 4429 {
					t.Fatalf("subscription %d: %v, want %q and 4429", i, err, want)
				}
			}
			connect := func() *client.Conn {
				t.Helper()
				c, err := dial(t, s.url, client.Options{Login: "ann"})
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			first := connect()
			fill(first, 0, 2)
			second := connect()
			fill(second, 1, 2) // the same as the first has
			refuses(second, 2, 2)

			say(3)
			s.Signal(t, syscall.SIGHUP)
			if changed := s.Logged(t, "reloaded", 1)["changed"]; changed != "limits."+tc.key {
				t.Errorf("changed %q", changed)
			}
			fill(first, 2, 3) // it is connected since before
			third := connect()
			refuses(third, 3, 3)
			if e := s.Logged(t, "refused by a limit", 1); e["limit"] != "limits."+tc.key {
				t.Errorf("the log names %v", e["limit"])
			}
		})
	}
}

// The limit on what waits to be read by a client has its key in the ERROR, and
// frames that are too big name theirs.
func TestFrameLimitsNameTheirKeys(t *testing.T) {
	s := serve(t, nil, "-c", write(t, "hoofbeat.yaml", "limits: {frame: 2KiB, unauthenticated_frame: 1KiB, headers: 30, header_bytes: 1KiB}\n"))
	many := make([]string, 0, 40)
	for i := range 40 {
		many = append(many, "--header", fmt.Sprintf("h%d:x", i))
	}
	for want, args := range map[string][]string{
		"frame larger than 2048 bytes (limits.frame)":          {strings.Repeat("x", 3000)},
		"headers larger than 1024 bytes (limits.header_bytes)": {"x", "--header", "h:" + strings.Repeat("x", 1100)},
		"more than 30 headers (limits.headers)":                append([]string{"x"}, many...),
	} {
		p := run(t, 1, nil, append([]string{"pub", "-u", s.url, "/topic/a"}, args...)...)
		if !strings.Contains(p.Stderr(), want) {
			t.Errorf("told %q, want %q", p.Stderr(), want)
		}
	}
	p := run(t, 3, nil, "pub", "-u", s.url, "/topic/a", "x", "--login", strings.Repeat("x", 1100))
	if want := "frame larger than 1024 bytes (limits.unauthenticated_frame)"; !strings.Contains(p.Stderr(), want) {
		t.Errorf("told %q, want %q", p.Stderr(), want)
	}
}
