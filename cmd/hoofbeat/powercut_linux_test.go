package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// confirmed is what clients were told to be stored.
type confirmed struct {
	mu      sync.Mutex
	tickets map[string]string // by user
	results []string          // ids of operations
	revoked map[string]string // tickets from before, by user
	late    time.Duration     // the longest answer after the disk had failed
	refused int               // answers that confirm nothing
}

func (c *confirmed) total() int { return len(c.tickets) + len(c.results) + len(c.revoked) }

// the power of the disk is cut at a random moment, under load. With
// sync: always nothing that was confirmed is lost, and what is asked for after
// the first failed write is refused within two seconds. HOOFBEAT_POWERCUT is the
// number of cuts, 1 by default. The disk is a file system on a loop device that
// loses whatever was not synced.
func TestX15X35PowerCut(t *testing.T) {
	for round := range cuts(t) {
		seen, lost := powerCut(t, "always")
		t.Logf("cut %d: %d tickets, %d results, %d revocations confirmed, %d requests refused, the last answer %v after the cut; lost: %d",
			round, len(seen.tickets), len(seen.results), len(seen.revoked), seen.refused, seen.late.Round(time.Millisecond), len(lost))
		for _, what := range lost {
			t.Errorf("confirmed and lost: %s", what)
		}
		if seen.late > 2*time.Second {
			t.Errorf("a request was answered %v after the disk had failed", seen.late)
		}
	}
	// The same without syncs loses something, or the cut is none.
	if seen, lost := powerCut(t, "10m"); len(lost) == 0 {
		t.Errorf("without syncs none of %d things is lost: this test proves nothing", seen.total())
	}
}

// cuts returns how often the power is to be cut.
func cuts(t *testing.T) int {
	t.Helper()
	text := os.Getenv("HOOFBEAT_POWERCUT")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// powerCut runs a broker on a disk until the power is cut, and returns what was
// confirmed and what of that is lost.
func powerCut(t *testing.T, sync string) (c *confirmed, lost []string) {
	t.Helper()
	d := newDisk(t)
	s := serveWith(t, process.Options{Restartable: true, Env: []string{
		"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_AUTH_TICKETS_TTL=1h", "HOOFBEAT_AUTH_TICKETS_RATE=off", "HOOFBEAT_LIMITS_ADDRESS_FAILURES=off",
		"HOOFBEAT_WEBFLOW_TTL=1h", "HOOFBEAT_ADMIN_TOKEN=" + testToken,
	}, Args: []string{"--store-dir", filepath.Join(d.dir, "store"), "--store-sync", sync, "--store-reserve", "4MiB"}})
	if sync != "always" { // what the engine writes at its start must be there
		if err := command("sync", "-f", d.dir); err != nil {
			t.Fatal(err)
		}
	}
	c = load(t, s, d)
	s.Kill(t)
	d.restore(t)
	next := s.Restart(t)
	s = &server{next, next.URL, next.Admin, next.TCP}
	lost = vanished(t, s, c)
	s.Kill(t) // the disk is unmounted
	return c, lost
}

// load sends requests of all kinds that are stored, and cuts the power
// meanwhile. It returns what was confirmed.
func load(t *testing.T, s *server, d *disk) *confirmed {
	t.Helper()
	c := &confirmed{tickets: make(map[string]string), revoked: make(map[string]string)}
	var cut time.Time
	var failed sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// Each worker ends with its first request that is refused after the cut.
	worker := func(work func(n int) (status int, keep func())) {
		failed.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				status, keep := work(n)
				now := time.Now()
				c.mu.Lock()
				switch {
				case status/100 == 2:
					keep()
				default:
					c.refused++
				}
				over := !cut.IsZero() && status/100 != 2
				if over {
					c.late = max(c.late, now.Sub(cut))
				}
				c.mu.Unlock()
				if over {
					return
				}
			}
		})
	}
	for i := range 3 {
		worker(func(n int) (int, func()) {
			user := fmt.Sprintf("u%d-%d", i, n)
			var answer struct{ Ticket string }
			status := try(ctx, s, "POST", "/api/v1/tickets", `{"user":"`+user+`"}`, &answer)
			return status, func() { c.tickets[user] = answer.Ticket }
		})
	}
	worker(func(n int) (int, func()) {
		id := fmt.Sprint("o", n)
		if status := try(ctx, s, "PUT", "/api/v1/operations/"+id, `{}`, nil); status/100 != 2 {
			return status, nil
		}
		return try(ctx, s, "POST", "/api/v1/operations/"+id+"/result", `{"result":"CONFIRMED"}`, nil), func() { c.results = append(c.results, id) }
	})
	worker(func(n int) (int, func()) {
		user := fmt.Sprint("gone", n)
		var answer struct{ Ticket string }
		if status := try(ctx, s, "POST", "/api/v1/tickets", `{"user":"`+user+`"}`, &answer); status/100 != 2 {
			return status, nil
		}
		return try(ctx, s, "POST", "/api/v1/revocations", `{"user":"`+user+`"}`, nil), func() { c.revoked[user] = answer.Ticket }
	})
	brokertest.Eventually(t, "requests are confirmed", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.total() >= 30 && len(c.results) > 0 && len(c.revoked) > 0
	})
	pause(ctx, rand.N(500*time.Millisecond)) // a random moment
	// A sync that is in the kernel while the power is cut can succeed without
	// having written anything, because no real machine would live on. So nothing
	// runs at that moment.
	freeze(t, s)
	if err := d.cut(); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	cut = time.Now()
	c.mu.Unlock()
	s.Thaw(t)
	testkit.Wait(t, &failed)
	return c
}

// freeze stops a process and waits until none of its threads runs.
func freeze(t *testing.T, s *server) {
	t.Helper()
	s.Freeze(t)
	stopped := regexp.MustCompile(`(?m)^State:\s+T`)
	brokertest.Eventually(t, "the broker is frozen", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.Pid()))
		return err == nil && !slices.ContainsFunc(threads, func(path string) bool {
			status, err := os.ReadFile(path)
			return err != nil || !stopped.Match(status)
		})
	})
}

// try sends a request to the admin API and returns the status, 0 without one.
// Other than call it does not end the test.
func try(ctx context.Context, s *server, method, path, body string, answer any) int {
	r, err := http.NewRequestWithContext(ctx, method, s.admin+path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header.Set("Authorization", "Bearer "+testToken)
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	if answer != nil && res.StatusCode/100 == 2 && json.NewDecoder(res.Body).Decode(answer) != nil {
		return 0
	}
	return res.StatusCode
}

// vanished returns what was confirmed and is not there.
func vanished(t *testing.T, s *server, c *confirmed) (lost []string) {
	t.Helper()
	for user, ticket := range c.tickets {
		conn, err := dial(t, s.url+"?ticket="+ticket, client.Options{})
		if err != nil {
			lost = append(lost, "the ticket of "+user)
			continue
		}
		conn.Abort()
	}
	for user, ticket := range c.revoked {
		if conn, err := dial(t, s.url+"?ticket="+ticket, client.Options{}); err == nil {
			lost = append(lost, "the revocation of "+user)
			conn.Abort()
		}
	}
	for _, id := range c.results {
		var o struct{ Result string }
		if status := s.call(t, "GET", "/api/v1/operations/"+id, "", &o); status != http.StatusOK || o.Result != "CONFIRMED" {
			lost = append(lost, "the result of "+id)
		}
	}
	return lost
}
