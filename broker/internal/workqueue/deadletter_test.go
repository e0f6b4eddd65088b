package workqueue

import "testing"

func TestDeadLetterAfterAttempts(t *testing.T) {
	var letters []string
	dead := func(m int, queue string, attempts int) (string, int, int) {
		letters = append(letters, queue)
		if attempts != 3 {
			t.Errorf("dead letter after %d deliveries, want 3", attempts)
		}
		return "/queue/DLQ.a", m * 10, 7
	}
	s := New[int, *calls](Limits{Attempts: 3}, dead)
	r := &desk{room: plenty}
	k := consume(t, s, "/queue/a", r, 0, false)
	put(t, s, "/queue/a", 1, 2)
	r.got[0].Nack(&calls{})
	r.got[2].Nack(&calls{})
	if got := r.got[3]; got.Message() != 1 || got.Attempt() != 3 {
		t.Fatalf("third delivery is message %d, attempt %d", got.Message(), got.Attempt())
	}
	if !r.got[3].Nack(&calls{}) {
		t.Fatal("the last Nack settles like any other")
	}
	wantMessages(t, "consumer", r, 1, 2, 1, 1)
	if len(letters) != 1 || letters[0] != "/queue/a" {
		t.Fatalf("dead letters from %v, want one from /queue/a", letters)
	}
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 1, Bytes: 1, Unsettled: 1, Consumers: 1})
	wantQueue(t, s, QueueStats{Name: "/queue/DLQ.a", Messages: 1, Bytes: 7})
	if got := s.bytes.Load(); got != 8 {
		t.Fatalf("total is %d bytes, want 8", got)
	}

	undertaker := &desk{room: plenty}
	kd := consume(t, s, "/queue/DLQ.a", undertaker, 0, false)
	wantMessages(t, "the reader of dead letters", undertaker, 10)
	if d := undertaker.got[0]; d.Redelivered() || d.Attempt() != 1 {
		t.Fatal("a dead letter is a new message of its queue")
	}
	undertaker.got[0].Ack(&calls{})
	r.got[1].Ack(&calls{})
	k.Close(&calls{})
	kd.Close(&calls{})
	wantEmpty(t, s)
}

func TestDeadLetterAtClose(t *testing.T) {
	s := New[int, *calls](Limits{Attempts: 2}, deadLetters)
	put(t, s, "/queue/a", 1, 2, 3, 4)
	first := &desk{room: 2}
	consume(t, s, "/queue/a", first, 0, false).Close(&calls{}) // 1 used one attempt
	second := &desk{room: plenty}
	k := consume(t, s, "/queue/a", second, 0, false)
	wantMessages(t, "second", second, 1, 2, 3, 4)
	k.Close(&calls{})
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 3, Bytes: 3})
	dead, rest := &desk{room: plenty}, &desk{room: plenty}
	consume(t, s, "/queue/DLQ.a", dead, 0, true)
	consume(t, s, "/queue/a", rest, 0, true)
	wantMessages(t, "the reader of dead letters", dead, 1)
	wantMessages(t, "the rest", rest, 2, 3, 4)
}

func TestDeadLettersAreNeverDeadAgain(t *testing.T) {
	for name, s := range map[string]*testStore{
		"no dead queue":    New[int, *calls](Limits{Attempts: 2}, deadLetters),
		"no dead function": New[int, *calls](Limits{Attempts: 2}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			r := &desk{room: plenty}
			k := consume(t, s, "/queue/DLQ.a", r, 1, false)
			put(t, s, "/queue/DLQ.a", 1, 2)
			for i := range 10 {
				if d := r.got[i]; d.Message() != 1 || d.Attempt() != i+1 || !d.Nack(&calls{}) {
					t.Fatalf("delivery %d: message %d, attempt %d", i, d.Message(), d.Attempt())
				}
			}
			k.Close(&calls{})
			rest := &desk{room: plenty}
			consume(t, s, "/queue/DLQ.a", rest, 0, true)
			wantMessages(t, "the next", rest, 1, 2)
		})
	}
}

// A full dead-letter queue loses nothing: the message goes to the end of its
// queue and is delivered again.
func TestDeadLetterWithoutRoom(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
	}{
		{"messages", Limits{Attempts: 1, Messages: 2}},
		{"bytes", Limits{Attempts: 1, Bytes: 2}},
		{"queues", Limits{Attempts: 1, Queues: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New[int, *calls](tt.limits, deadLetters)
			blocker := "/queue/DLQ.a"
			if tt.limits.Queues > 0 {
				blocker = "/queue/other"
			}
			put(t, s, blocker, 8, 9)
			r := &desk{room: plenty}
			k := consume(t, s, "/queue/a", r, 1, false)
			put(t, s, "/queue/a", 1, 2)
			r.got[0].Nack(&calls{})
			wantMessages(t, "consumer", r, 1, 2)
			wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 2, Bytes: 2, Unsettled: 1, Consumers: 1})
			r.got[1].Ack(&calls{})
			wantMessages(t, "consumer", r, 1, 2, 1)
			if d := r.got[2]; d.Attempt() != 2 || !d.Redelivered() {
				t.Fatalf("the message came round with attempt %d", d.Attempt())
			}

			free := consume(t, s, blocker, &desk{room: plenty}, 0, true)
			free.Close(&calls{})
			r.got[2].Nack(&calls{})
			wantQueue(t, s, QueueStats{Name: "/queue/DLQ.a", Messages: 1, Bytes: 1})
			k.Close(&calls{})
			consume(t, s, "/queue/DLQ.a", &desk{room: plenty}, 0, true).Close(&calls{})
			wantEmpty(t, s)
		})
	}
}

// The dead letter takes over the bytes of its message, so it fits even into a
// store that is full by bytes.
func TestDeadLetterInAFullStore(t *testing.T) {
	s := New[int, *calls](Limits{Attempts: 1, TotalBytes: 2}, deadLetters)
	r := &desk{room: plenty}
	consume(t, s, "/queue/a", r, 0, false)
	put(t, s, "/queue/a", 1, 2)
	wantFull(t, s.Put(&calls{}, "/queue/b", 3, 1), LimitTotalBytes, 2)
	r.got[0].Nack(&calls{})
	wantQueue(t, s, QueueStats{Name: "/queue/DLQ.a", Messages: 1, Bytes: 1})
	wantFull(t, s.Put(&calls{}, "/queue/b", 3, 1), LimitTotalBytes, 2)
}

// A dead letter may go to its own queue, and two queues may feed each other.
func TestDeadLetterCycle(t *testing.T) {
	other := map[string]string{"/queue/a": "/queue/b", "/queue/b": "/queue/a", "/queue/c": "/queue/c"}
	s := New[int, *calls](Limits{Attempts: 1}, func(m int, queue string, _ int) (string, int, int) {
		return other[queue], m, 1
	})
	r := &desk{room: plenty}
	for name := range other {
		consume(t, s, name, r, 0, false)
	}
	put(t, s, "/queue/a", 1)
	put(t, s, "/queue/c", 2)
	for i := range 10 {
		r.got[i].Nack(&calls{})
	}
	if got := s.Stats(); got.Messages != 2 || got.Unsettled != 2 || s.bytes.Load() != 2 {
		t.Fatalf("after ten rounds the store holds %+v", got)
	}
}
