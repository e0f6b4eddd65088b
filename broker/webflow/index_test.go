package webflow

import (
	"slices"
	"testing"
)

// Ids with one hash are still different ids.
func TestIndex(t *testing.T) {
	for name, hash := range map[string]func(string) uint64{
		"usual": nil, "all collide": func(string) uint64 { return 1 }, "some collide": func(id string) uint64 { return uint64(id[0] % 2) },
	} {
		t.Run(name, func(t *testing.T) {
			x := newIndex[*Record]()
			if hash != nil {
				x.hash = hash
			}
			want := map[string]*Record{}
			check := func() {
				t.Helper()
				all := slices.Collect(x.all())
				if x.size() != len(want) || len(all) != len(want) {
					t.Fatalf("it has %d, %d, want %d", x.size(), len(all), len(want))
				}
				for _, id := range []string{"a", "b", "c", "d"} {
					if got := x.get(id); got != want[id] {
						t.Fatalf("%s: got %v, want %v", id, got, want[id])
					}
				}
			}
			for _, step := range []string{"+a", "+b", "+b", "-c", "+c", "-a", "+c", "+d", "+a", "-b", "+b", "-c", "-d", "-b", "-a"} {
				id := step[1:]
				if step[0] == '+' {
					want[id] = &Record{WebSocketID: id}
					x.put(want[id])
				} else {
					delete(want, id)
					x.remove(id)
				}
				check()
			}
			x.put(&Record{WebSocketID: "a"})
			x.clear()
			check()
		})
	}
}
