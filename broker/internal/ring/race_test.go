package ring

import (
	"sync"
	"testing"
)

// Readers that run beside writers see each message that is kept, in order, and
// are told of each that they missed.
func TestReadersBesideWriters(t *testing.T) {
	s := New[int](Limits{Messages: 50, Bytes: 40_000})
	const writers, each = 4, 5000
	var group, writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				s.Append("/topic/"+string(rune('a'+w)), i, 10, int64(i))
			}
		})
	}
	ended := make(chan struct{})
	for i := range 8 {
		group.Go(func() {
			sel := Selection{Name: "/topic/" + string(rune('a'+i%4))}
			if i >= 4 {
				sel = Selection{Match: func(string) bool { return true }}
			}
			r, _ := s.Reader(sel, Start{From: First})
			next := make(map[string]int)
			for {
				over := false
				select {
				case <-ended:
					over = true
				default:
				}
				list, lost, done := r.Next(nil, 7, 1000)
				for _, m := range list {
					if want, known := next[m.Destination]; known && m.Value != want && !lost || m.Value < want {
						t.Errorf("%s: %d, want %d", m.Destination, m.Value, want)
						return
					}
					next[m.Destination] = m.Value + 1
				}
				if done && over {
					break
				}
			}
			for d, n := range next {
				if n != each {
					t.Errorf("%s: the last one was %d", d, n-1)
				}
			}
		})
	}
	group.Go(func() { // the limits change meanwhile
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			default:
				s.SetLimits(Limits{Messages: 5 + i%3*30, Bytes: 20_000 + int64(i%2)*20_000}, 0)
			}
		}
	})
	writing.Wait()
	close(ended)
	group.Wait()
}
