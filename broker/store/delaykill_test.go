//go:build unix

package store_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

// childDelays has the child delay messages and move them.
const childDelays = "HOOFBEAT_TEST_DELAYS"

func workWithDelays(q *store.Queues, run string) error {
	// What is due may come before OpenDelays returns.
	var mu sync.Mutex
	var r broker.DelayReader
	mu.Lock()
	r = q.OpenDelays(func(list []broker.StoredDelay) {
		mu.Lock()
		r := r
		mu.Unlock()
		for _, m := range list {
			put := m.QueuePut
			put.Queue = queue
			r.Move(m.Sequence, put, func(err error) {
				if err != nil {
					say("error", err.Error())
					return
				}
				say("moved", string(m.Message.Body))
			})
		}
	})
	mu.Unlock()
	for i := 0; ; {
		window := make(chan struct{}, 20)
		for range cap(window) {
			i++
			body := fmt.Sprint(run, ".", i)
			p := message("", body)
			p.Message.Destination, p.Once = queue, "once-"+body
			due := time.Now().Add(time.Duration(i%30) * time.Millisecond)
			var list []broker.QueuePut
			if i%5 == 0 {
				list = append(list, message("/queue/second", body))
			}
			q.Delay([]broker.DelayPut{{QueuePut: p, Due: due}}, list, func(err error) {
				if err == nil {
					say("stored", body)
				}
				window <- struct{}{}
			})
		}
		for range cap(window) {
			select {
			case <-window:
			case <-time.After(patience):
				return errors.New("a call has no end")
			}
		}
	}
}

// What is delayed is in its queue once, or waits, whenever the process is killed.
func TestKilledWithDelays(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	stored := make(map[string]bool)
	runs := 4
	if testing.Short() {
		runs = 2
	}
	for run := range runs {
		p := process.Start(t, process.Options{Binary: exe, Env: []string{childDir + "=" + dir, childDelays + "=1", "HOOFBEAT_TEST_RUN=" + strconv.Itoa(run)}})
		until(t, "the child does not work", func() bool { return strings.Count(p.Stdout(), "moved ") >= 150+113*run })
		p.Kill(t)
		lines := strings.Split(p.Stdout(), "\n")
		for _, line := range lines[:len(lines)-1] { // the last may be cut
			switch what, body, _ := strings.Cut(line, " "); what {
			case "stored":
				stored[body] = true
			case "moved":
			default:
				t.Error(line)
			}
		}
	}
	r := open(t, dir)
	second := make(map[string]bool)
	for _, m := range browse(t, r, "/queue/second") {
		second[m] = true
	}
	found := make(map[string]int)
	for _, body := range append(browse(t, r, queue), r.waiting()...) {
		found[body]++
		if found[body] > 1 {
			t.Errorf("%s is there twice", body)
		}
		if _, i, _ := strings.Cut(body, "."); (i[len(i)-1] == '0' || i[len(i)-1] == '5') != second[body] {
			t.Errorf("%s was stored without the message of its transaction", body)
		}
	}
	for body := range stored {
		if found[body] == 0 {
			t.Errorf("%s is lost", body)
		}
	}
	for body := range second {
		if found[body] == 0 {
			t.Errorf("the delayed message of %s is lost", body)
		}
	}
	t.Logf("%d stored, %d waiting, %d ids known", len(stored), len(r.waiting()), known(r))
	if n, waiting := r.stream(t, "hb.w.>"), len(r.waiting()); n != waiting {
		t.Errorf("the stream has %d messages for %d", n, waiting)
	}
	for body := range stored {
		p := message("/queue/third", body)
		p.Once = "once-" + body
		if err := r.tryPut(t, p); err != broker.ErrDuplicate { //nolint:errorlint // as documented
			t.Fatalf("%s is stored again: %v", body, err)
		}
	}
}

func known(r *rig) (n int) {
	for range r.Remembered() {
		n++
	}
	return n
}

func browse(t *testing.T, r *rig, queue string) []string {
	t.Helper()
	list, err := r.Browse(within(t), queue, 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	return bodies(list)
}
