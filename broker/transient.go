package broker

import (
	"strings"

	"github.com/hoofbeat/hoofbeat/topics"
)

// compileTransient prepares the patterns of Queues.Transient.
func compileTransient(list []string, names *topics.Names) ([]*topics.Pattern, error) {
	var patterns []*topics.Pattern
	for _, text := range list {
		d, err := names.Parse(text)
		_, dead := names.DeadLettersOf(text)
		switch {
		case err != nil:
			return nil, badOption("Queues.Transient", "%q: %v", text, err)
		case d.Kind != topics.Queue:
			return nil, badOption("Queues.Transient", "%q does not begin with %s/", text, strings.Join(names.Prefixes().Queue, "/ or "))
		case dead:
			return nil, badOption("Queues.Transient", "%q: dead letters are always kept", text)
		}
		p, err := topics.Compile(text)
		if err != nil {
			return nil, badOption("Queues.Transient", "%q: %v", text, err)
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

// workQueue reports whether d is a queue whose messages are kept and shared out;
// any other queue is routed as a topic. The queues of a pattern, which only a
// subscription can name, may be of both sorts, so they count as kept. And so do
// those of dead letters, which are put there without asking here: who reads them
// must look in the same place.
func (b *Broker) workQueue(d topics.Destination) bool {
	q := &b.o.Queues
	if d.Kind != topics.Queue || q.Mode != QueueWork {
		return false
	}
	if len(q.transient) == 0 || d.Pattern {
		return true
	}
	if _, dead := b.o.names.DeadLettersOf(d.Path); dead {
		return true
	}
	for _, p := range q.transient {
		if p.Match(d.Path) {
			return false
		}
	}
	return true
}
