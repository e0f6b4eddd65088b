package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// the disk fails while messages are sent to a queue. No receipt comes
// for what is sent after that, and the ERROR does within two seconds. When the
// broker is back, everything is sent again with the same message-dedup-id, and
// each message is there once: those with a receipt, because they were not lost,
// and those without. HOOFBEAT_POWERCUT is how often, 1 by default.
func TestX15X35QueuesOnADiskThatFails(t *testing.T) {
	for range cuts(t) {
		queuesOnADiskThatFails(t)
	}
}

func queuesOnADiskThatFails(t *testing.T) {
	t.Helper()
	d := newDisk(t)
	conf := write(t, "hoofbeat.yaml", "rules:\n  - {allow: [send, subscribe], destination: /queue/**, roles: [worker]}\n")
	s := serveWith(t, process.Options{Restartable: true, Env: []string{
		"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_ADMIN_TOKEN=" + testToken,
	}, Args: []string{"-c", conf, "--store-dir", filepath.Join(d.dir, "store"), "--store-reserve", "4MiB"}})
	worker := func() *client.Conn {
		t.Helper()
		return connectAs(t, "worker", s.url+"?ticket="+adminTicket(t, s, `{"user":"worker","roles":["worker"]}`), client.Options{})
	}
	send := func(conn *client.Conn, id string) error {
		return conn.Send("/queue/work", "text/plain", []byte(id), stomp.SendOpt.Receipt, stomp.SendOpt.Header("message-dedup-id", id))
	}
	const publishers = 4
	var (
		mu      sync.Mutex
		receipt = make(map[string]bool) // by id, whether it came
		cut     time.Time
		late    time.Duration
		sending sync.WaitGroup
	)
	for k := range publishers {
		conn := worker()
		sending.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d", k, n)
				err := send(conn, id)
				mu.Lock()
				receipt[id] = err == nil
				if err != nil && !cut.IsZero() {
					late = max(late, time.Since(cut))
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	brokertest.Eventually(t, "messages are stored", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(receipt) > 100
	})
	freeze(t, s)
	if err := d.cut(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	cut = time.Now()
	mu.Unlock()
	s.Thaw(t)
	testkit.Wait(t, &sending)
	if late > 2*time.Second {
		t.Errorf("an ERROR came %v after the disk had failed", late)
	}
	s.Kill(t)
	d.restore(t)
	next := s.Restart(t)
	s = &server{next, next.URL, next.Admin, next.TCP}

	conn, without := worker(), 0
	for id, came := range receipt {
		if !came {
			without++
		}
		if err := send(conn, id); err != nil {
			t.Fatalf("%s again: %v", id, err)
		}
	}
	// A RECEIPT would wait behind messages that nobody takes yet.
	if err := send(conn, "last"); err != nil {
		t.Fatal(err)
	}
	sub, err := conn.Subscribe("/queue/work", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for got["last"] == 0 {
		select {
		case m := <-sub.C:
			if m == nil || m.Err != nil {
				t.Fatalf("%v", m)
			}
			got[string(m.Body)]++
		case <-ctx.Done():
			t.Fatal("the last message does not come")
		}
	}
	t.Logf("%d messages with a receipt, %d without, the last ERROR %v after the disk failed", len(receipt)-without, without, late.Round(time.Millisecond))
	for id, came := range receipt {
		if got[id] != 1 {
			t.Errorf("%s (receipt: %v) is there %d times", id, came, got[id])
		}
	}
	s.Kill(t) // the disk is unmounted
}
