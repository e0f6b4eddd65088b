package broker

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/internal/workqueue"
)

// What keeps the messages of queues can be replaced: the files of one
// implementation know the queues in memory, and those of the other one use them
// as its window. The lists of stored durable subscriptions are their own use of
// the same package.
func TestOneFileKnowsTheQueuesInMemory(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if slices.Contains([]string{"queuememory.go", "queuestored.go", "queuedelivery.go", "durablelist.go"}, name) || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), `"github.com/hoofbeat/hoofbeat/broker/internal/workqueue"`) {
			t.Errorf("%s imports workqueue", name)
		}
	}
}

// The interface costs a queue in memory nothing.
func TestQueueInterfaceAllocatesNothing(t *testing.T) {
	m := &Message{Destination: "/queue/jobs", Body: []byte("x")}
	cost := func(put func() error) float64 {
		return testing.AllocsPerRun(1000, func() {
			if err := put(); err != nil {
				t.Fatal(err)
			}
		})
	}
	direct := newMemoryQueues(workqueue.Limits{Messages: -1}, nil)
	var q queues = newMemoryQueues(workqueue.Limits{Messages: -1}, nil)
	want := cost(func() error { return direct.store().Put(nil, "/queue/jobs", m, 1) })
	got := cost(func() error {
		later, err := q.Put(nil, queuePut{queue: "/queue/jobs", message: m, size: 1})
		if later != nil {
			t.Fatal("a put in memory ends later")
		}
		return err
	})
	if got != want {
		t.Errorf("a put costs %v allocations, %v without the interface", got, want)
	}
}

// Removing one message costs no list of all the others, which would be made while
// the queue is locked.
func TestRemovingAMessageMakesNoList(t *testing.T) {
	const runs = 10
	q := newMemoryQueues(workqueue.Limits{Messages: -1}, nil)
	for range 10_000 {
		if _, err := q.Put(nil, queuePut{queue: "/queue/jobs", message: &Message{ID: "a"}, size: 1}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := q.Browse(t.Context(), "/queue/jobs", 0, runs+1)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	cost := testing.AllocsPerRun(runs, func() {
		s := QueueSelection{Sequences: []uint64{list[n].Sequence}}
		n++
		if out, err := q.Remove(t.Context(), "/queue/jobs", s.picker()); err != nil || out.Removed != 1 {
			t.Fatal(out, err)
		}
	})
	if cost > 15 {
		t.Errorf("removing a message costs %v allocations", cost)
	}
}
