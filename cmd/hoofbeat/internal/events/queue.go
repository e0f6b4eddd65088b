package events

import (
	"slices"
	"strconv"
	"time"
)

// maxBatch is the maximum number of bytes of a request with several events.
// Frameworks accept a body of 100 KB or more without being configured. An event
// that is larger has a request of its own.
const maxBatch = 64 << 10

// queue holds the events that wait, the oldest first. The lock of its Sender
// guards it.
type queue struct {
	maxEvents, maxBytes int // 0 = no limit
	list                []entry
	bytes               int    // of memory, with the request that is being sent
	number              uint64 // of the latest event
	missing             int    // events that are dropped since the latest request was made
	dropped             int    // at the bound, since events were accepted after a failure
	warned              time.Time

	sending   int       // events in the request that is being sent
	failing   time.Time // when it failed first; zero if it has not
	delivered int64     // events that were accepted
	lost      int64     // events that were dropped or given up
}

// entry is an event that waits.
type entry struct {
	number uint64
	text   []byte // the JSON object without its first brace
}

// entryCost is the memory of an entry besides its text, with the room that the
// list has to grow.
const entryCost = 80

func (e entry) cost() int { return cap(e.text) + entryCost }

// size is at least the length of the event in a request.
func (e entry) size() int { return len(e.text) + 80 }

// add adds an event. It reports false if one was dropped for it, or if it was
// dropped itself because there is no room even without all others.
func (q *queue) add(text []byte) (all bool) {
	q.number++
	e := entry{q.number, text[1:]}
	all = true
	for q.full(e) && len(q.list) > 0 {
		q.bytes -= q.list[0].cost()
		q.list[0] = entry{}
		q.list = q.list[1:]
		q.drop()
		all = false
	}
	if q.full(e) {
		q.drop()
		return false
	}
	q.list = append(q.list, e)
	q.bytes += e.cost()
	return all
}

// drop counts an event that is dropped at the bound.
func (q *queue) drop() {
	q.missing++
	q.dropped++
	q.lost++
}

func (q *queue) full(e entry) bool {
	return q.maxBytes > 0 && q.bytes+e.cost() > q.maxBytes || q.maxEvents > 0 && len(q.list) >= q.maxEvents
}

// batchSize is the maximum number of bytes of a request with several events. It
// leaves room for later events while the request is repeated.
func (q *queue) batchSize() int {
	if q.maxBytes > 0 {
		return min(maxBatch, q.maxBytes/2)
	}
	return maxBatch
}

// enough reports whether more events would not fit into one request.
func (q *queue) enough() bool {
	size, most := 0, q.batchSize()
	for _, e := range q.list {
		if size += e.size(); size > most {
			return true
		}
	}
	return false
}

// request is one POST. It is repeated as it is.
type request struct {
	events  []entry // nil when body is made
	n       int     // events in body
	missing int     // what its first event says
	cost    int     // in queue.bytes until it is accepted or given up
	body    []byte
}

// take removes the events of the next request: several, if batch is set.
func (q *queue) take(batch bool) *request {
	n, size, most := 0, 0, q.batchSize()
	for n < len(q.list) && (n == 0 || batch && size+q.list[n].size() <= most) {
		size += q.list[n].size()
		n++
	}
	if n == 0 {
		return nil
	}
	r := &request{events: slices.Clone(q.list[:n]), n: n, missing: q.missing}
	for i := range r.events {
		r.cost += r.events[i].cost()
	}
	clear(q.list[:n])
	q.list = q.list[n:]
	if len(q.list) == 0 {
		q.list = nil
	}
	q.missing, q.sending = 0, n
	return r
}

// encode makes the body. run begins the ids.
func (r *request) encode(run string, batch bool) {
	size := 2
	for _, e := range r.events {
		size += e.size()
	}
	b := make([]byte, 0, size)
	if batch {
		b = append(b, '[')
	}
	for i, e := range r.events {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, `{"id":"`...), run...)
		b = append(strconv.AppendUint(b, e.number, 10), `",`...)
		if i == 0 && r.missing > 0 {
			b = append(strconv.AppendInt(append(b, `"missing":`...), int64(r.missing), 10), ',')
		}
		b = append(b, e.text...)
	}
	if batch {
		b = append(b, ']')
	}
	r.body, r.events = b, nil
}
