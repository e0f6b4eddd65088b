package workqueue

import (
	"math"
	"testing"
)

func TestLimitsDefaults(t *testing.T) {
	tests := []struct {
		name string
		in   Limits
		want bounds
	}{
		{"zero", Limits{}, bounds{10_000, 64 << 20, 1_000, 1 << 30, 250, 256 << 20, 5}},
		{"set", Limits{1, 2, 3, 4, 5, 6, 7}, bounds{1, 2, 3, 4, 5, 6, 7}},
		{"negative", Limits{-1, -1, -1, -1, -1, -1, -1},
			bounds{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.in.bounds(); got != tt.want {
				t.Errorf("bounds %+v, want %+v", got, tt.want)
			}
		})
	}
}

// A limit admits exactly its number and refuses the next without a change. It
// has room again after an Ack, but not after a mere delivery.
func TestLimitsAreExact(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		size   int
		fits   int
		spread bool // one queue per message
		limit  string
		max    int64
	}{
		{"messages", Limits{Messages: 3}, 1, 3, false, LimitMessages, 3},
		{"bytes", Limits{Bytes: 30}, 10, 3, false, LimitBytes, 30},
		{"bytes between", Limits{Bytes: 39}, 10, 3, false, LimitBytes, 39},
		{"total bytes", Limits{TotalBytes: 30}, 10, 3, true, LimitTotalBytes, 30},
		{"queues", Limits{Queues: 3}, 1, 3, true, LimitQueues, 3},
		{"huge", Limits{Bytes: 30}, math.MaxInt, 0, false, LimitBytes, 30},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New[int, *calls](tt.limits, nil)
			name := func(i int) string {
				if tt.spread {
					return "/queue/" + string(rune('a'+i))
				}
				return "/queue/a"
			}
			for i := range tt.fits {
				if err := s.Put(&calls{}, name(i), i, tt.size); err != nil {
					t.Fatalf("message %d: %v", i, err)
				}
			}
			before := s.Stats()
			wantFull(t, s.Put(&calls{}, name(tt.fits), 99, tt.size), tt.limit, tt.max)
			if after := s.Stats(); after != before {
				t.Fatalf("a refused Put changed %+v to %+v", before, after)
			}
			if tt.fits == 0 {
				wantEmpty(t, s)
				return
			}

			r := &desk{room: plenty}
			k := consume(t, s, name(0), r, 1, false)
			wantFull(t, s.Put(&calls{}, name(tt.fits), 99, tt.size), tt.limit, tt.max)
			r.got[0].Ack(&calls{})
			k.Close(&calls{})
			if err := s.Put(&calls{}, name(tt.fits), 99, tt.size); err != nil {
				t.Fatalf("after an Ack there is room again: %v", err)
			}
		})
	}
}

func TestNegativeLimitsNeverRefuse(t *testing.T) {
	s := New[int, *calls](Limits{-1, -1, -1, -1, -1, -1, -1}, deadLetters)
	for i := range 20_000 {
		if err := s.Put(&calls{}, "/queue/a", i, 64<<10); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2_000 {
		put(t, s, "/queue/"+string(rune('a'+i)), i)
	}
}

func TestConsumersCountAgainstQueues(t *testing.T) {
	s := New[int, *calls](Limits{Queues: 1}, nil)
	k := consume(t, s, "/queue/a", &desk{}, 0, false)
	_, err := s.Consume("/queue/b", &desk{}, 0, false)
	wantFull(t, err, LimitQueues, 1)
	again := consume(t, s, "/queue/a", &desk{}, 0, false)
	again.Close(&calls{})
	k.Close(&calls{})
	consume(t, s, "/queue/b", &desk{}, 0, false).Close(&calls{})
	wantEmpty(t, s)
}

func TestNegativeSizeCountsAsZero(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	if err := s.Put(&calls{}, "/queue/a", 1, -5); err != nil {
		t.Fatal(err)
	}
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 1})
}

func TestFullErrorText(t *testing.T) {
	tests := map[string]error{
		"queue limit reached: at most 10000 messages per queue":       &FullError{LimitMessages, 10_000},
		"queue limit reached: at most 67108864 bytes per queue":       &FullError{LimitBytes, 64 << 20},
		"queue limit reached: at most 1000 queues":                    &FullError{LimitQueues, 1_000},
		"queue limit reached: at most 1073741824 bytes in all queues": &FullError{LimitTotalBytes, 1 << 30},
	}
	for want, err := range tests {
		if err.Error() != want {
			t.Errorf("text %q, want %q", err.Error(), want)
		}
	}
}
