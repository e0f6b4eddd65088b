package bench

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// flow is the messages from one publisher to one destination.
type flow struct {
	id        uint32
	publisher *publisher
	template  *template
	sent      atomic.Uint64
	lane      *lane
	expected  int // subscribers that should receive each message
}

// publisher is a sending connection. Its flows take turns.
type publisher struct {
	conn  *conn
	flows []*flow
	next  int
	batch []byte
}

// batchFrames is the maximum number of SEND frames in one write.
const batchFrames = 16

// flow adds a flow to the publisher with the given number.
func (t *traffic) flow(number int, destination string, l *lane, expected int) {
	for len(t.publishers) <= number {
		t.publishers = append(t.publishers, &publisher{})
	}
	p := t.publishers[number]
	f := &flow{id: uint32(len(t.flows)), publisher: p, template: newTemplate(destination, t.Size, t.Headers), lane: l, expected: expected}
	t.flows, p.flows = append(t.flows, f), append(p.flows, f)
}

// publish sends messages as fast as the lane allows, until stop is closed.
func (t *traffic) publish(p *publisher, messages int64, stop <-chan struct{}) {
	l := p.flows[0].lane
	for messages > 0 {
		n := l.claim(min(batchFrames, messages), stop)
		if n == 0 {
			return
		}
		messages -= n
		p.batch = p.batch[:0]
		for range n {
			f := p.flows[p.next]
			p.next = (p.next + 1) % len(p.flows)
			p.batch = t.append(p.batch, p.conn, f, t.clock.now())
		}
		if !t.flush(p) {
			return
		}
	}
}

// append appends the next message of a flow.
func (t *traffic) append(dst []byte, c *conn, f *flow, due int64) []byte {
	stamp{run: t.id, flow: f.id, sequence: f.sent.Load(), due: due}.put(f.template.body)
	f.sent.Add(1)
	return c.wrap(dst, f.template.frame)
}

func (t *traffic) flush(p *publisher) bool {
	err := p.conn.write(p.batch)
	if err != nil && !p.conn.closing.Load() {
		t.fail(t.writeFailed(fmt.Errorf("connection %d ended: %w", p.conn.number, plain(err))))
	}
	return err == nil
}

// pace sends at the fixed rate; the publishers take turns. Each message carries
// the time at which it was due, so delays by the generator or by a full socket
// count as latency. Otherwise a pause of the server would count only once, and
// not as often as real senders would see it.
func (t *traffic) pace() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sharpenSleep()
	start, interval := t.clock.now(), float64(time.Second)/t.rate
	for n := 0; ; n++ {
		due := start + int64(float64(n)*interval)
		for {
			select {
			case <-t.stop:
				return
			default:
			}
			left := due - t.clock.now()
			if left <= 0 {
				break
			}
			sleep(min(time.Duration(left), 100*time.Millisecond))
		}
		p := t.publishers[n%len(t.publishers)]
		f := p.flows[p.next]
		p.next = (p.next + 1) % len(p.flows)
		t.noteLag(due)
		p.batch = t.append(p.batch[:0], p.conn, f, due)
		if !t.flush(p) {
			return
		}
	}
}

// noteLag records how late a message is. It uses the lock of a place.
func (t *traffic) noteLag(due int64) {
	p := t.places[0]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.measuring && p.counts(due) {
		t.lag.add(t.clock.now() - due)
	}
}

// probe sends a message that only tests whether it arrives. Nothing else is
// sent yet.
func (f *flow) probe(run uint16) error {
	stamp{probe: true, run: run, flow: f.id}.put(f.template.body)
	return f.publisher.conn.send(f.template.frame)
}
