package workqueue

import (
	"fmt"
	"testing"
)

// An owner that has used up its share gets nothing more, but others do.
// Settling frees its share.
func TestOwnerQueues(t *testing.T) {
	s := New[int, *calls](Limits{Queues: 10, OwnerQueues: 3}, deadLetters)
	var ann, bob Owner
	for i := range 3 {
		if err := s.PutOne(&calls{}, Put[int]{Owner: &ann, Queue: fmt.Sprint("/queue/", i), Message: 1, Size: 1}); err != nil {
			t.Fatal(err)
		}
	}
	wantFull(t, s.PutOne(&calls{}, Put[int]{Owner: &ann, Queue: "/queue/more", Message: 1, Size: 1}), LimitOwnerQueues, 3)
	_, err := s.ConsumeFor(&ann, "/queue/more", &desk{}, 0, false)
	wantFull(t, err, LimitOwnerQueues, 3)
	if err := s.PutOne(&calls{}, Put[int]{Owner: &ann, Queue: "/queue/0", Message: 1, Size: 1}); err != nil {
		t.Fatalf("a queue that is there: %v", err)
	}
	if err := s.PutOne(&calls{}, Put[int]{Owner: &bob, Queue: "/queue/more", Message: 1, Size: 1}); err != nil {
		t.Fatalf("another's share: %v", err)
	}
	put(t, s, "/queue/nobody", 1)
	if n := s.queues.Load(); n != 5 {
		t.Errorf("%d queues, want 5", n)
	}
	consume(t, s, "/queue/0", &desk{room: plenty}, 0, true).Close(&calls{})
	k, err := s.ConsumeFor(&ann, "/queue/again", &desk{}, 0, false)
	if err != nil {
		t.Fatalf("a queue that has gone gives its place back: %v", err)
	}
	k.Close(&calls{})
	for q := range s.Queues() {
		if _, ok := s.Purge(q.Name); !ok {
			t.Errorf("%s is not there", q.Name)
		}
	}
	wantEmpty(t, s)
	if !ann.Empty() || !bob.Empty() {
		t.Errorf("shares of %d queues, %d bytes and %d, %d are left", ann.queues.Load(), ann.bytes.Load(), bob.queues.Load(), bob.bytes.Load())
	}
}

// Bytes count against the message's owner from Put until it is settled,
// whatever happens to it, including as a dead letter.
func TestOwnerBytes(t *testing.T) {
	s := New[int, *calls](Limits{Attempts: 1, OwnerBytes: 100, TotalBytes: 150}, func(m int, queue string, _ int) (string, int, int) {
		if queue != "/queue/a" {
			return "", 0, 0
		}
		return "/queue/DLQ.a", m, 60
	})
	var ann, bob Owner
	fill := func(o *Owner, queue string, size int) error {
		return s.PutOne(&calls{}, Put[int]{Owner: o, Queue: queue, Message: 1, Size: size})
	}
	if err := fill(&ann, "/queue/a", 50); err != nil {
		t.Fatal(err)
	}
	if err := fill(&ann, "/queue/b", 50); err != nil {
		t.Fatal(err)
	}
	wantFull(t, fill(&ann, "/queue/c", 1), LimitOwnerBytes, 100)
	wantFull(t, fill(&bob, "/queue/c", 51), LimitTotalBytes, 150)
	if !bob.Empty() {
		t.Errorf("%d bytes are left of what was refused", bob.bytes.Load())
	}
	if err := fill(&bob, "/queue/c", 40); err != nil {
		t.Fatal(err)
	}

	r := &desk{room: 1}
	k := consume(t, s, "/queue/a", r, 0, false)
	r.got[0].Nack(&calls{}) // the dead letter would be larger than the share
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 1, Bytes: 50, Consumers: 1})
	if n, ok := s.Purge("/queue/b"); n != 1 || !ok {
		t.Fatalf("Purge removed %d, %v", n, ok)
	}
	r.room = 1
	k.Resume(&calls{})
	r.got[1].Nack(&calls{})
	wantQueue(t, s, QueueStats{Name: "/queue/DLQ.a", Messages: 1, Bytes: 60})
	if n := ann.bytes.Load(); n != 60 {
		t.Errorf("the dead letter counts %d bytes, want 60", n)
	}
	k.Close(&calls{})
	for _, name := range []string{"/queue/DLQ.a", "/queue/c"} {
		s.Purge(name)
	}
	wantEmpty(t, s)
	if !ann.Empty() || !bob.Empty() {
		t.Error("something is left of a share")
	}
}

// Purge removes waiting messages, fresh or returned, and leaves those that
// consumers hold.
func TestPurge(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	if n, ok := s.Purge("/queue/a"); n != 0 || ok {
		t.Fatalf("Purge of no queue: %d, %v", n, ok)
	}
	put(t, s, "/queue/a", 1, 2, 3, 4)
	consume(t, s, "/queue/a", &desk{room: 2}, 0, false).Close(&calls{})
	r := &desk{room: 1}
	k := consume(t, s, "/queue/a", r, 0, false)
	if n, ok := s.Purge("/queue/a"); n != 3 || !ok {
		t.Fatalf("Purge removed %d, %v, want 3", n, ok)
	}
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 1, Bytes: 1, Unsettled: 1, Consumers: 1})
	if n, ok := s.Purge("/queue/a"); n != 0 || !ok {
		t.Fatalf("Purge again: %d, %v", n, ok)
	}
	r.got[0].Ack(&calls{})
	k.Close(&calls{})
	put(t, s, "/queue/b", 1)
	s.Purge("/queue/b")
	wantEmpty(t, s)
}
