package checker

import (
	"strings"
	"sync"
	"time"
)

// Options are what a Checker has to know about the broker. The zero value is
// right for Hoofbeat in its default configuration.
type Options struct {
	// Queue reports whether a destination of a SEND is a queue: each message for
	// one consumer. Default: it begins with /queue/.
	Queue func(destination string) bool
	// Match reports whether a subscription of a user to subscribed gets what is
	// sent to sent. Default: [Match].
	Match func(subscribed, user, sent string) bool
	// Entitled reports whether a user may see what is sent to a destination,
	// however it subscribed. Default: everybody may see everything.
	Entitled func(user, sent string) bool
	// Grace is how long after the RECEIPT of a SEND a subscription that its client
	// ends must have got it. Default 0: only a later message or the end of
	// the run proves a loss.
	Grace time.Duration
	// Violations is how many a report lists; the rest is counted. Default 1,000.
	Violations int
	// Now is the clock. Default: the time since New. Equal and earlier times are
	// made later than what was before.
	Now func() time.Duration
}

// Checker records a run. Make one with [New].
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
	found        []Violation                // what was seen at once
	foundMore    int
	sends, moved int // SENDs, MESSAGEs
}

// New returns a checker that has seen nothing yet.
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

// tick returns the time of an event, with the lock held. It is never 0, which
// means never.
func (c *Checker) tick() time.Duration {
	c.last = max(c.last+1, c.o.Now())
	return c.last
}

// number returns the number of a destination, with the lock held.
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

// Drained says that consumers have taken all that a queue will give, so that
// what was not delivered until now is lost.
func (c *Checker) Drained(queue string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drained[c.number(queue)] = c.tick()
}

// MemoryLost says that a node has ended without being asked and kept nothing:
// what was sent there before is not lost by a fault.
func (c *Checker) MemoryLost(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memoryLost[node] = append(c.memoryLost[node], c.tick())
}

// Counts are how much a checker was told.
type Counts struct{ Sends, Receipted, Messages int }

// Counts returns how many SENDs and MESSAGEs there were, so that a run that
// tested nothing is noticed.
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
