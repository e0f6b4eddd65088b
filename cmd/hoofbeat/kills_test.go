//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// everything that is kept, at once, while the broker is killed at random
// moments: publishers and consumers of queues, pages that wait, tickets,
// revocations. HOOFBEAT_KILLS is how long, such as 10m; 4s by default.
func TestX16EverythingSurvivesKills(t *testing.T) {
	t.Parallel()
	lasts := 4 * time.Second
	if text := os.Getenv("HOOFBEAT_KILLS"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	conf := write(t, "hoofbeat.yaml", "rules:\n  - {allow: [send, subscribe], destination: /queue/**, roles: [worker]}\n")
	s := serveWith(t, process.Options{Restartable: true, Env: []string{
		"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_AUTH_TICKETS_TTL=1h", "HOOFBEAT_AUTH_TICKETS_RATE=off", "HOOFBEAT_AUTH_TICKETS_PER_SUBJECT=off", "HOOFBEAT_LIMITS_ADDRESS_FAILURES=off",
		"HOOFBEAT_WEBFLOW_TTL=1h", "HOOFBEAT_ADMIN_TOKEN=" + testToken,
	}, Args: []string{"-c", conf, "--store-dir", filepath.Join(t.TempDir(), "store")}})
	r := &killRun{s: s, sent: make(map[string]bool), got: make(map[string]bool), settled: make(map[string]time.Time), fresh: make(map[string]bool)}
	pressure, stop := context.WithCancel(t.Context())
	readers, end := context.WithCancel(t.Context())
	var writing, reading sync.WaitGroup
	t.Cleanup(func() { stop(); end(); testkit.Wait(t, &writing); testkit.Wait(t, &reading) })
	for k := range 4 {
		writing.Go(func() { r.publish(pressure, k) })
		writing.Go(func() { r.wait(pressure, k) })
	}
	for range 2 {
		writing.Go(func() { r.tickets(pressure) })
		reading.Go(func() { r.consume(readers) })
	}
	writing.Go(func() { r.revoke(pressure) })

	var restarts []time.Duration
	for began := time.Now(); time.Since(began) < lasts || !r.happened() && time.Since(began) < lasts+2*time.Minute; {
		pause(t.Context(), 300*time.Millisecond+rand.N(min(lasts/4, 5*time.Second))) // a random moment
		s.Kill(t)
		since := time.Now()
		s = &server{s.Restart(t), s.url, s.admin, s.tcp}
		restarts = append(restarts, time.Since(since))
	}
	stop()
	testkit.Wait(t, &writing)
	if !r.happened() {
		t.Error("something has not happened at all")
	}
	brokertest.Eventually(t, "everything that was sent is consumed", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.unread()) == 0
	})
	end()
	testkit.Wait(t, &reading)

	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(restarts)
	t.Logf("%v with %d kills; the broker was ready again after %v, at most %v", lasts, len(restarts),
		restarts[len(restarts)/2].Round(time.Millisecond), restarts[len(restarts)-1].Round(time.Millisecond))
	t.Logf("%d messages confirmed, %d delivered, %d of them again, %d settled; %d waits; %d tickets, %d of them used after a kill or later; %d revocations",
		len(r.sent), len(r.got), r.again, len(r.settled), r.waits, r.minted, r.used, r.revocations)
	for _, v := range r.violations {
		t.Error(v)
	}
	for _, id := range r.unread() {
		t.Errorf("%s has its receipt and was never delivered", id)
	}
}

// killRun is what the clients of a broker that is killed know.
type killRun struct {
	s *server // its addresses stay

	mu      sync.Mutex
	sent    map[string]bool      // messages with a receipt
	got     map[string]bool      // delivered
	fresh   map[string]bool      // delivered without redelivered:true
	settled map[string]time.Time // when it was confirmed that they are acknowledged

	again, waits, minted, used, revocations int

	violations []string
}

func (r *killRun) violated(format string, args ...any) {
	if len(r.violations) < 20 {
		r.violations = append(r.violations, fmt.Sprintf(format, args...))
	}
}

// happened reports whether everything has been tried, however slow the machine.
func (r *killRun) happened() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.settled) > 0 && r.waits > 0 && r.used > 0 && r.revocations > 0
}

// unread returns what was confirmed and not delivered. The caller has the lock.
func (r *killRun) unread() (ids []string) {
	for _, id := range slices.Sorted(maps.Keys(r.sent)) {
		if !r.got[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// insist repeats a request to the admin API until it is answered, and returns
// the status. A broker that is down or cannot store is no answer.
func (r *killRun) insist(ctx context.Context, method, path, body string, answer any) int {
	for ctx.Err() == nil {
		if status := try(ctx, r.s, method, path, body, answer); status != 0 && status != 503 {
			return status
		}
		pause(ctx, again)
	}
	return 0
}

// again is how long a client waits before it tries again.
const again = 20 * time.Millisecond

// pause lets others go on, or the moment come for a fault.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// ticket mints one that is confirmed.
func (r *killRun) ticket(ctx context.Context, body string) string {
	var answer struct{ Ticket string }
	if status := r.insist(ctx, "POST", "/api/v1/tickets", body, &answer); status != 201 && ctx.Err() == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.violated("no ticket: HTTP %d", status)
	}
	return answer.Ticket
}

// dial connects with a ticket. status is not 0 if it was refused.
func (r *killRun) dial(ctx context.Context, ticket string) (conn *client.Conn, status int) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := client.Dial(ctx, r.s.url+"?ticket="+ticket, client.Options{})
	if answer, ok := errors.AsType[*client.HTTPError](err); ok && answer.Status/100 == 4 {
		status = answer.Status
	}
	if err != nil {
		return nil, status
	}
	return conn, 0
}

// connect connects with new tickets until it succeeds, or ctx ends.
func (r *killRun) connect(ctx context.Context, body string) *client.Conn {
	for ctx.Err() == nil {
		if conn, _ := r.dial(ctx, r.ticket(ctx, body)); conn != nil {
			return conn
		}
		pause(ctx, again)
	}
	return nil
}

const killQueue = "/queue/work"

// publish sends numbered messages, each until it has its receipt.
func (r *killRun) publish(ctx context.Context, k int) {
	var conn *client.Conn
	defer func() { abort(conn) }()
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("%d-%d", k, n)
		for {
			if conn == nil {
				if conn = r.connect(ctx, `{"user":"publisher","roles":["worker"]}`); conn == nil {
					return
				}
			}
			err := conn.Send(killQueue, "text/plain", []byte(id), stomp.SendOpt.Receipt, stomp.SendOpt.Header("message-dedup-id", id))
			if err == nil {
				break
			}
			abort(conn)
			conn = nil
		}
		r.mu.Lock()
		r.sent[id] = true
		r.mu.Unlock()
		pause(ctx, time.Millisecond) // leave some of the machine to others
	}
}

func abort(conn *client.Conn) {
	if conn != nil {
		conn.Abort()
	}
}

// consume takes messages and now and then unsubscribes, whose receipt confirms
// the acknowledgements before it.
func (r *killRun) consume(ctx context.Context) {
	for ctx.Err() == nil {
		conn := r.connect(ctx, `{"user":"consumer","roles":["worker"]}`)
		for conn != nil && r.batch(ctx, conn) {
		}
		abort(conn)
	}
}

const killBatch = 50

// batch reports whether the connection is still good.
func (r *killRun) batch(ctx context.Context, conn *client.Conn) bool {
	since := time.Now()
	sub, err := conn.Subscribe(killQueue, stomp.AckClientIndividual, stomp.SubscribeOpt.Header("prefetch-count", "20"))
	if err != nil {
		return false
	}
	var acked []string
	for len(acked) < killBatch {
		select {
		case <-ctx.Done():
			return false
		case m, ok := <-sub.C:
			if !ok || m.Err != nil {
				return false
			}
			r.delivered(string(m.Body), m.Header, since)
			if conn.Ack(m) != nil {
				return false
			}
			acked = append(acked, string(m.Body))
		}
	}
	receipt, err := conn.UnsubscribeWithReceipt(sub)
	if err != nil {
		return false
	}
	for open := true; open; { // what is left comes again
		select {
		case <-ctx.Done():
			return false
		case m, ok := <-sub.C:
			if open = ok && m.Err == nil; open {
				r.delivered(string(m.Body), m.Header, since)
			}
		}
	}
	if receipt.Wait(ctx) != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range acked {
		r.settled[id] = time.Now()
	}
	return true
}

// delivered records a delivery. A client may read a message from its buffer after
// another one has got the same message again, so the order in which deliveries
// are recorded says nothing: of all deliveries of a message one may be without
// redelivered:true. A message that was sent again is no exception. since is when
// the subscription began.
func (r *killRun) delivered(id string, h *frame.Header, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh := h.Get("redelivered") != "true"
	if r.got[id] {
		r.again++
	}
	switch {
	case fresh && r.fresh[id]:
		r.violated("%s was delivered twice without redelivered:true", id)
	case !r.settled[id].IsZero() && r.settled[id].Before(since):
		r.violated("%s was delivered after its acknowledgement was confirmed", id)
	}
	r.got[id] = true
	r.fresh[id] = r.fresh[id] || fresh
}

// wait announces operations, waits for each as a page does and reports its
// result meanwhile.
func (r *killRun) wait(ctx context.Context, k int) {
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("wait-%d-%d", k, n)
		var opened struct {
			WebSocketID string `json:"websocket_id"`
		}
		if r.insist(ctx, "PUT", "/api/v1/operations/"+id, `{}`, &opened) != 201 {
			continue
		}
		value, other := "CONFIRMED", "CANCELED"
		if rand.N(2) == 0 {
			value, other = other, value
		}
		told := make(chan string, 1)
		var page sync.WaitGroup
		page.Go(func() { told <- r.page(ctx, id, opened.WebSocketID) })
		pause(ctx, rand.N(1500*time.Millisecond))
		status := r.insist(ctx, "POST", "/api/v1/operations/"+id+"/result", `{"result":"`+value+`"}`, nil)
		if status == 200 {
			status = r.insist(ctx, "POST", "/api/v1/operations/"+id+"/result", `{"result":"`+other+`"}`, nil)
		}
		page.Wait()
		got := <-told
		if ctx.Err() != nil {
			return
		}
		r.mu.Lock()
		r.waits++
		if status != 409 || got != result(opened.WebSocketID, `"`+value+`"`) {
			r.violated("%s: reported %s, a second result is answered with HTTP %d, the page was told %s", id, value, status, got)
		}
		r.mu.Unlock()
	}
}

// page registers until it is told a result.
func (r *killRun) page(ctx context.Context, operation, webSocketID string) string {
	for ctx.Err() == nil {
		conn := r.connect(ctx, `{"user":"visitor","operation":"`+operation+`"}`)
		if conn == nil {
			break
		}
		body := r.told(ctx, conn, webSocketID)
		abort(conn)
		if body != "" {
			return body
		}
	}
	return ""
}

func (r *killRun) told(ctx context.Context, conn *client.Conn, webSocketID string) string {
	sub, err := conn.Subscribe("/user/topic/authorization", stomp.AckClientIndividual)
	if err != nil || conn.Send("/app/registration", "application/json", []byte(`{"webSocketId":"`+webSocketID+`"}`)) != nil {
		return ""
	}
	select {
	case <-ctx.Done():
	case m, ok := <-sub.C:
		if ok && m.Err == nil {
			_ = conn.Ack(m) // without it the result comes again
			return string(m.Body)
		}
	}
	return ""
}

// tickets mints tickets and uses some at once, some later. Each is good once.
func (r *killRun) tickets(ctx context.Context) {
	var kept []string
	for ctx.Err() == nil {
		ticket := r.ticket(ctx, `{"user":"holder"}`)
		if ctx.Err() != nil {
			return
		}
		r.mu.Lock()
		r.minted++
		r.mu.Unlock()
		kept = append(kept, ticket)
		if len(kept) > 20 || rand.N(3) == 0 {
			i := rand.N(len(kept))
			ticket = kept[i]
			kept = slices.Delete(kept, i, i+1)
			r.use(ctx, ticket)
		}
		pause(ctx, again)
	}
}

func (r *killRun) use(ctx context.Context, ticket string) {
	conn, status := r.dial(ctx, ticket)
	abort(conn)
	if ctx.Err() != nil || conn == nil && status == 0 { // it may be used or not
		return
	}
	second, _ := r.dial(ctx, ticket)
	abort(second)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used++
	if conn == nil {
		r.violated("a ticket that was confirmed is refused: HTTP %d", status)
	}
	if second != nil {
		r.violated("a ticket is good twice")
	}
}

// revoke revokes users and tries their tickets.
func (r *killRun) revoke(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		user := fmt.Sprint("gone", n)
		ticket := r.ticket(ctx, `{"user":"`+user+`"}`)
		if r.insist(ctx, "POST", "/api/v1/revocations", `{"user":"`+user+`"}`, nil) != 200 {
			continue
		}
		pause(ctx, rand.N(time.Second))
		conn, _ := r.dial(ctx, ticket)
		abort(conn)
		r.mu.Lock()
		r.revocations++
		if conn != nil {
			r.violated("a ticket of %s, who was revoked, is good", user)
		}
		r.mu.Unlock()
	}
}
