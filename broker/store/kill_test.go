//go:build unix

package store_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

const childDir = "HOOFBEAT_TEST_STORE"

// child runs if this process is to be killed: it stores and consumes, and writes
// what is certain to its standard output.
func child() bool {
	dir := os.Getenv(childDir)
	if dir == "" {
		return false
	}
	if err := work(dir, os.Getenv("HOOFBEAT_TEST_RUN")); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	return true
}

func work(dir, run string) error {
	engine, err := embedded.Start(context.Background(), embedded.Options{Dir: dir})
	if err != nil {
		return err
	}
	var conns [2]*nats.Conn
	for i := range conns {
		if conns[i], err = engine.Connect(); err != nil {
			return err
		}
	}
	q, err := store.OpenQueues(context.Background(), store.Options{Data: conns[0], Control: conns[1], SyncAlways: true, Timeout: patience})
	if err != nil {
		return err
	}
	if os.Getenv(childDelays) != "" {
		return workWithDelays(q, run)
	}
	go func() {
		for i := 0; ; {
			window := make(chan struct{}, 50)
			for range cap(window) {
				i++
				list := []broker.QueuePut{message(queue, fmt.Sprint(run, ".", i))}
				if i%10 == 0 {
					list = append(list, message("/queue/second", fmt.Sprint(run, ".", i)))
				}
				q.Append(list, func(err error) {
					if err == nil {
						say("stored", string(list[0].Message.Body), strconv.Itoa(len(list)))
					}
					window <- struct{}{}
				})
			}
			for range cap(window) {
				select {
				case <-window:
				case <-time.After(patience):
					say("error", "a call has no end")
					return
				}
			}
			time.Sleep(20 * time.Millisecond) // no more than the queue may hold
		}
	}()
	f := new(childFeed)
	if f.reader, err = q.Open(queue, f); err != nil {
		return err
	}
	f.reader.Want(100, 1<<20)
	select {}
}

// say writes a line at once: what is in the pipe survives this process.
func say(parts ...string) {
	output.Lock()
	defer output.Unlock()
	if _, err := os.Stdout.WriteString(strings.Join(parts, " ") + "\n"); err != nil {
		os.Exit(1)
	}
}

var output sync.Mutex

type childFeed struct {
	reader broker.QueueReader
}

func (f *childFeed) Failed(err error) { say("error", err.Error()) }

func (f *childFeed) Messages(list []broker.StoredMessage) {
	for _, m := range list {
		body := string(m.Message.Body)
		say("got", body)
		if m.Sequence%3 == 0 {
			continue // held until the end
		}
		say("acking", body)
		f.reader.Ack([]uint64{m.Sequence}, func(err error) {
			if err == nil {
				say("acked", body)
			}
		})
	}
	go f.reader.Want(20, 1<<20)
}

// What was stored is there, what was acknowledged does not come again, and what
// a consumer may have seen says so, whenever the process is killed.
func TestKilledAtAnyMoment(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	stored, acking, acked, got := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	second := map[string]bool{}
	runs := 4
	if testing.Short() {
		runs = 2
	}
	for run := range runs {
		p := process.Start(t, process.Options{Binary: exe, Env: []string{childDir + "=" + dir, "HOOFBEAT_TEST_RUN=" + strconv.Itoa(run)}})
		for end := time.Now().Add(3 * patience); strings.Count(p.Stdout(), "acked ") < 10+7*run; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the child does not work")
			}
		}
		p.Kill(t)
		lines := strings.Split(p.Stdout(), "\n")
		for _, line := range lines[:len(lines)-1] { // the last may be cut
			what, rest, _ := strings.Cut(line, " ")
			body, n, _ := strings.Cut(rest, " ")
			switch what {
			case "stored":
				stored[body] = true
				if n == "2" {
					second[body] = true
				}
			case "acking":
				acking[body] = true
			case "acked":
				acked[body] = true
			case "got":
				got[body] = true
			default:
				t.Error(line)
			}
		}
	}
	r := open(t, dir)
	check := func(queue string, stored, acking, acked map[string]bool) map[string]bool {
		t.Helper()
		n := r.counts()[queue][0]
		found := make(map[string]bool)
		k := r.take(t, queue, 1000)
		last := ""
		for range n {
			m := k.next(1)[0]
			body := string(m.Message.Body)
			if acked[body] {
				t.Errorf("%s was acknowledged and comes again", body)
			}
			if found[body] {
				t.Errorf("%s comes twice", body)
			}
			if got[body] && !m.Redelivered {
				t.Errorf("%s is not redelivered", body)
			}
			if !later(last, body) {
				t.Errorf("%s comes after %s", body, last)
			}
			last = body
			found[body] = true
			k.reader.Want(100, 1<<20)
		}
		lost := 0
		for body := range stored {
			if !found[body] && !acking[body] {
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("%d of %d are lost", lost, len(stored))
		}
		t.Logf("%s: %d stored, %d acknowledged, %d there", queue, len(stored), len(acked), n)
		return found
	}
	first := check(queue, stored, acking, acked)
	for body := range check("/queue/second", second, nil, nil) {
		if !first[body] && !acking[body] {
			t.Errorf("of two messages that were stored together, only the second is there: %s", body)
		}
	}
}

func later(a, b string) bool {
	if a == "" {
		return true
	}
	ar, an, _ := strings.Cut(a, ".")
	br, bn, _ := strings.Cut(b, ".")
	if ar != br {
		return ar < br
	}
	x, _ := strconv.Atoi(an)
	y, _ := strconv.Atoi(bn)
	return x < y
}
