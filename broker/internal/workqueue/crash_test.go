package workqueue

import "testing"

// Messages that a consumer held but had not reached when it died are
// unaffected: five crashes with a prefetch of 100 make a dead letter only of
// the message that each had to answer first.
func TestCrashesCountForTheNextMessage(t *testing.T) {
	s := New[int, *calls](Limits{Attempts: 5}, deadLetters)
	for m := range 100 {
		put(t, s, "/queue/a", m)
	}
	for crash := range 5 {
		r := &desk{room: plenty}
		k := consume(t, s, "/queue/a", r, 100, false)
		if len(r.got) != 100 {
			t.Fatalf("crash %d: %d messages were given out", crash, len(r.got))
		}
		for i, d := range r.got {
			attempt := 1
			if i == 0 {
				attempt = crash + 1
			}
			if d.Message() != i || d.Attempt() != attempt || d.Redelivered() != (crash > 0) {
				t.Fatalf("crash %d: delivery %d is message %d, attempt %d, redelivered %v", crash, i, d.Message(), d.Attempt(), d.Redelivered())
			}
		}
		k.Close(&calls{})
	}
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 99, Bytes: 99})
	wantQueue(t, s, QueueStats{Name: "/queue/DLQ.a", Messages: 1, Bytes: 1})
}

// A consumer that works on several messages at once has passed over those older
// than one it answered.
func TestCrashesCountForWhatWasPassedOver(t *testing.T) {
	for name, answer := range map[string]func(*testDelivery){
		"ack":  func(d *testDelivery) { d.Ack(&calls{}) },
		"nack": func(d *testDelivery) { d.Nack(&calls{}) },
	} {
		t.Run(name, func(t *testing.T) {
			s := New[int, *calls](Limits{}, deadLetters)
			put(t, s, "/queue/a", 0, 1, 2, 3, 4, 5)
			r := &desk{room: 6}
			k := consume(t, s, "/queue/a", r, 0, false)
			answer(r.got[3])
			answer(r.got[1])
			k.Close(&calls{})
			got := map[int]int{}
			rest := &desk{room: plenty, saw: func(d *testDelivery) { got[d.Message()] = d.Attempt() }}
			consume(t, s, "/queue/a", rest, 0, false)
			want := map[int]int{0: 2, 2: 2, 4: 1, 5: 1}
			if name == "nack" {
				want[1], want[3] = 2, 2
			}
			for m, attempt := range want {
				if got[m] != attempt {
					t.Errorf("message %d comes as attempt %d, want %d", m, got[m], attempt)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%v came, want %v", got, want)
			}
		})
	}
}

// A refusal counts, whichever consumer had the message before.
func TestNackAfterCrashCounts(t *testing.T) {
	s := New[int, *calls](Limits{Attempts: 2}, deadLetters)
	put(t, s, "/queue/a", 0, 1)
	consume(t, s, "/queue/a", &desk{room: plenty}, 0, false).Close(&calls{})
	r := &desk{room: plenty}
	k := consume(t, s, "/queue/a", r, 0, false)
	r.got[1].Nack(&calls{})
	if d := r.got[2]; d.Message() != 1 || d.Attempt() != 2 || !d.Redelivered() {
		t.Fatalf("message %d, attempt %d, redelivered %v", d.Message(), d.Attempt(), d.Redelivered())
	}
	r.got[2].Nack(&calls{})
	k.Close(&calls{})
	wantQueue(t, s, QueueStats{Name: "/queue/a"})
	wantQueue(t, s, QueueStats{Name: "/queue/DLQ.a", Messages: 2, Bytes: 2})
}
