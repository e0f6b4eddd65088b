package ring

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// model is a Set without every cleverness: it never forgets a message.
type model struct {
	limits Limits
	all    []*kept
	now    int64
}

type kept struct {
	number  uint64
	dest    string
	at      int64
	size    int
	dropped string // "", "age" or "limit"
	when    int    // operation in which it was dropped
}

func (m *model) alive(match func(string) bool) (list []*kept) {
	for _, k := range m.all {
		if k.dropped == "" && match(k.dest) {
			list = append(list, k)
		}
	}
	return list
}

func every(string) bool { return true }

func is(dest string) func(string) bool { return func(d string) bool { return d == dest } }

func (m *model) bytes() (n int64) {
	seen := make(map[string]bool)
	for _, k := range m.alive(every) {
		n += int64(k.size) + recordOverhead
		if !seen[k.dest] {
			seen[k.dest] = true
			n += ringSize(k.dest)
		}
	}
	return n
}

// enforce applies the limits. op is the number of the operation.
func (m *model) enforce(op int) {
	drop := func(k *kept, why string) { k.dropped, k.when = why, op }
	dests := make(map[string]int)
	for _, k := range slices.Backward(m.alive(every)) {
		if dests[k.dest]++; dests[k.dest] > m.limits.Messages && m.limits.Messages > 0 {
			drop(k, "limit")
		}
	}
	for _, k := range m.alive(every) {
		if m.limits.Age > 0 && k.at <= m.now-m.limits.Age {
			drop(k, "age")
		}
	}
	for m.limits.Bytes > 0 && m.bytes() > m.limits.Bytes {
		drop(m.alive(every)[0], "limit")
	}
}

func (m *model) append(op int, dest string, size int) uint64 {
	k := &kept{number: uint64(len(m.all) + 1), dest: dest, at: m.now, size: size}
	m.all = append(m.all, k)
	if l := m.limits.Bytes; l > 0 && int64(size)+recordOverhead+ringSize(dest) > l {
		for _, k := range m.alive(is(dest)) {
			k.dropped, k.when = "limit", op
		}
	}
	m.enforce(op)
	return k.number
}

// follower is a Reader with what the model expects of it.
type follower struct {
	name   string
	r      *Reader[int]
	match  func(string) bool
	begun  int    // operation
	begins uint64 // messages after this number
	latest uint64
	since  int64
	got    []uint64
	lost   bool
	proven bool
	one    bool // of one destination
}

// wants reports whether f should return k if it is still kept.
func (f *follower) wants(m *model, k *kept) bool {
	if k.number <= f.begins || !f.match(k.dest) || k.at < f.since {
		return false
	}
	if k.number > f.latest {
		return true
	}
	for _, o := range m.all {
		if o.dest == k.dest && o.number > k.number && o.number <= f.latest {
			return false
		}
	}
	return true
}

func TestSetAgainstModel(t *testing.T) {
	runs := 60
	if os.Getenv("HOOFBEAT_FAULTS") == "long" {
		runs = 3000
	}
	for seed := range runs {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { againstModel(t, rand.New(rand.NewPCG(uint64(seed), 7))) }) {
			return
		}
	}
}

func againstModel(t *testing.T, rnd *rand.Rand) {
	l := Limits{Messages: rnd.IntN(6)}
	if rnd.IntN(2) == 0 {
		l.Age = int64(1 + rnd.IntN(200))
	}
	if rnd.IntN(2) == 0 {
		l.Bytes = int64(2000 + rnd.IntN(20000))
	}
	dests := 1 + rnd.IntN(12)
	dest := func() string { return fmt.Sprintf("/topic/%c/%d", 'a'+rnd.IntN(2), rnd.IntN(dests)) }
	s, m := New[int](l), &model{limits: l}
	var open []*follower
	step := func(op int, f *follower) {
		list, lost, done := f.r.Next(nil, 1+rnd.IntN(5), 1+rnd.IntN(400))
		last := f.begins
		if len(f.got) > 0 {
			last = f.got[len(f.got)-1]
		}
		if lost && !f.lost && l.Bytes == 0 && l.Age == 0 && f.one && m.missed(f) == nil { // other losses are known less exactly
			t.Fatalf("op %d, %s: a gap was reported and nothing is missing", op, f.name)
		}
		f.lost = f.lost || lost
		for _, r := range list {
			k := m.all[r.Number-1]
			if r.Number <= last || k.dropped != "" || !f.wants(m, k) || r.Value != int(r.Number) || r.Destination != k.dest {
				t.Fatalf("op %d, %s: returned %+v after %d, of %+v", op, f.name, r, last, *k)
			}
			last = r.Number
			f.got = append(f.got, last)
		}
		if k := m.missed(f); k != nil && k.number <= last && !f.lost {
			t.Fatalf("op %d, %s: %+v was dropped unread, and %d followed without a sign", op, f.name, *k, last)
		}
		if !done {
			return
		}
		for _, k := range m.all {
			if f.wants(m, k) && k.dropped == "" && !slices.Contains(f.got, k.number) {
				t.Fatalf("op %d, %s: done without %+v", op, f.name, *k)
			}
		}
	}
	for op := range 400 {
		switch n := rnd.IntN(20); {
		case n < 10:
			m.now += int64(rnd.IntN(5))
			d, size := dest(), rnd.IntN(300)
			if rnd.IntN(50) == 0 {
				size = 30000
			}
			want := m.append(op, d, size)
			if got := s.Append(d, int(want), size, m.now); got != want {
				t.Fatalf("op %d: number %d, want %d", op, got, want)
			}
		case n == 10:
			m.now += int64(rnd.IntN(50))
			m.enforce(op)
			s.Expire(m.now)
		case n == 11 && rnd.IntN(10) == 0: // lower or higher, of the same kinds
			m.limits.Messages = rnd.IntN(8)
			if l.Age > 0 {
				m.limits.Age = int64(1 + rnd.IntN(200))
			}
			if l.Bytes > 0 {
				m.limits.Bytes = int64(2000 + rnd.IntN(20000))
			}
			m.enforce(op)
			s.SetLimits(m.limits, m.now)
		case n < 15:
			open = append(open, m.open(t, s, rnd, op, dest()))
		default:
			if len(open) > 0 {
				step(op, open[rnd.IntN(len(open))])
			}
		}
		st := s.Stats()
		if alive := m.alive(every); st.Messages != len(alive) || st.Bytes != m.bytes() || s.Last() != uint64(len(m.all)) {
			t.Fatalf("op %d: %+v, want %d messages and %d bytes", op, st, len(alive), m.bytes())
		}
		if s.log.n > 2*st.Messages+6*chunkSize {
			t.Fatalf("op %d: the log has %d places for %d messages", op, s.log.n, st.Messages)
		}
	}
	for _, f := range open {
		for f.r.At() < s.Last() {
			step(400, f)
		}
	}
}

// missed returns a message that a limit dropped after f began and before f read
// it, and that f should have returned.
func (m *model) missed(f *follower) *kept {
	for _, k := range m.all {
		if k.dropped == "limit" && k.when >= f.begun && k.number > f.latest && f.wants(m, k) && !slices.Contains(f.got, k.number) {
			return k
		}
	}
	return nil
}

func (m *model) open(t *testing.T, s *Set[int], rnd *rand.Rand, op int, dest string) *follower {
	f := &follower{begun: op}
	var sel Selection
	switch rnd.IntN(3) {
	case 0:
		sel.Name = dest
		f.match, f.one = is(dest), true
	case 1:
		sel.Match = func(d string) bool { return strings.HasPrefix(d, "/topic/a/") }
		f.match = sel.Match
	default:
		sel.Match = every
		f.match = every
	}
	last := uint64(len(m.all))
	alive := m.alive(f.match)
	start := Start{From: From(rnd.IntN(6))}
	f.name = fmt.Sprintf("reader %d of %q from op %d", start.From, sel.Name, op)
	switch start.From {
	case Latest:
		f.latest = last
	case Next:
		f.begins = last
	case Since:
		start.At = m.now - int64(rnd.IntN(100))
		f.since = start.At
	case After:
		start.Number = uint64(rnd.IntN(int(last) + 2))
		if start.Number <= last {
			f.begins = start.Number
		}
	case Back:
		n := rnd.IntN(6)
		start.Number = uint64(n)
		if n <= len(alive) && len(alive) > 0 {
			f.begins = last
			if n > 0 {
				f.begins = alive[len(alive)-n].number - 1
			}
		} else if n == 0 {
			f.begins = last
		}
	}
	f.r, f.proven = s.Reader(sel, start)
	hole := start.Number > last
	for _, k := range m.all {
		if k.dropped == "limit" && f.match(k.dest) && k.number > start.Number {
			hole = true
		}
	}
	if f.proven && (hole || start.From != After) {
		t.Fatalf("op %d, %s: recovery of what follows %d is claimed, but there is a hole", op, f.name, start.Number)
	}
	return f
}
