package checker

import (
	"strings"
	"sync"
	"time"
)

// Options tells a Checker what it must know about the broker. The zero value is
// right for Hoofbeat in its default configuration.
type Options struct {
	// Queue reports whether the destination of a SEND is a queue, where each
	// message is for one consumer. Default: it begins with /queue/.
	Queue func(destination string) bool
	// Match reports whether the subscription of a user to subscribed gets
	// messages sent to sent. Default: [Match].
	Match func(subscribed, user, sent string) bool
	// Entitled reports whether a user may see messages sent to a destination,
	// whatever the subscription. Default: everyone may see everything.
	Entitled func(user, sent string) bool
	// Grace is how long after the RECEIPT of a SEND a subscription must have
	// received the message, if its client then ends the subscription. Default
	// 0: only a later message or the end of the run proves a loss.
	Grace time.Duration
	// Violations is how many violations a report lists; the rest are counted.
	// Default 1,000.
	Violations int
	// Now is the clock. Default: the time since New. The checker moves equal or
	// earlier times to just after the previous one.
	Now func() time.Duration
}

// Checker records a run. Create one with [New].
type Checker struct {
	o Options

	mu           sync.Mutex
	last         time.Duration
	names        []string // destinations, by number
	numbers      map[string]uint32
	queue        []bool // by number of the destination
	sessions     []*Session
	subs         []*Subscription
	drained      map[uint32]time.Duration
	memoryLost   map[string][]time.Duration // by node
	found        []Violation                // violations detected immediately
	foundMore    int
	sends, moved int // numbers of SENDs and MESSAGEs
}

// New returns a checker with an empty record.
func New(o Options) *Checker {
	if o.Queue == nil {
		o.Queue = func(d string) bool { return strings.HasPrefix(d, "/queue/") }
	}
	if o.Match == nil {
		o.Match = Match
	}
	if o.Entitled == nil {
		o.Entitled = func(string, string) bool { return true }
	}
	if o.Violations == 0 {
		o.Violations = 1000
	}
	if o.Now == nil {
		start := time.Now()
		o.Now = func() time.Duration { return time.Since(start) }
	}
	return &Checker{
		o: o, numbers: make(map[string]uint32), drained: make(map[uint32]time.Duration),
		memoryLost: make(map[string][]time.Duration),
	}
}

// tick returns the time of an event, never 0, which means never. The caller has
// the lock.
func (c *Checker) tick() time.Duration {
	c.last = max(c.last+1, c.o.Now())
	return c.last
}

// number returns the number of a destination. The caller has the lock.
func (c *Checker) number(destination string) uint32 {
	n, ok := c.numbers[destination]
	if !ok {
		n = uint32(len(c.names))
		destination = strings.Clone(destination)
		c.numbers[destination] = n
		c.names = append(c.names, destination)
		c.queue = append(c.queue, c.o.Queue(destination))
	}
	return n
}

// Drained declares that consumers have taken everything that a queue will
// deliver, so that messages not delivered by now are lost.
func (c *Checker) Drained(queue string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drained[c.number(queue)] = c.tick()
}

// MemoryLost declares that a node ended without a shutdown and kept nothing:
// messages sent to it before are not lost by a fault.
func (c *Checker) MemoryLost(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memoryLost[node] = append(c.memoryLost[node], c.tick())
}

// Counts are the numbers of recorded frames.
type Counts struct{ Sends, Receipted, Messages int }

// Counts returns the numbers of SENDs and MESSAGEs, to detect a run that tested
// nothing.
func (c *Checker) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := Counts{Sends: c.sends, Messages: c.moved}
	for _, s := range c.sessions {
		for i := range s.sends {
			if _, receipted := s.settled(&s.sends[i]); receipted != 0 {
				n.Receipted++
			}
		}
	}
	return n
}
