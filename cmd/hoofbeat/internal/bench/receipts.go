package bench

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
)

// Receipts is clients that send messages to a destination without subscribers
// and wait for the receipts. It measures how long a server takes to confirm a
// message.
type Receipts struct {
	// Clients is the number of clients. Default 50.
	Clients int
	// Window is the number of messages of each client that wait for their
	// receipts. Default 1.
	Window int
}

// maxReceipts limits the window: the waiting receipts must fit into the buffers
// of the connection, or both sides could block, each waiting for the other to
// read.
const maxReceipts = 1000

func (o *Receipts) prepare(c *Config) (int, error) {
	err := positive("connections", &o.Clients, 50)
	if err == nil {
		err = positive("window", &o.Window, 1)
	}
	if err == nil && o.Window > maxReceipts {
		err = fmt.Errorf("%w: window %d: want at most %d", ErrOptions, o.Window, maxReceipts)
	}
	if c.Destination == "" {
		c.Destination = "/topic/bench"
	}
	return o.Clients, err
}

// asker is one client.
type asker struct {
	r         *run
	conn      *conn
	head      []byte // the SEND up to the number of the receipt
	tail      *template
	asked     []int64 // send times, by number modulo length
	frames    []byte
	out       []byte
	mu        sync.Mutex
	next      uint64 // number of the next message
	tally     tally
	counts    Check
	latency   histogram
	now       int64
	measuring bool
	stopped   bool
}

const receiptPrefix = "bench-"

func (o *Receipts) measure(ctx context.Context, r *run) error {
	res := r.result
	res.Scenario, res.Unit, res.Window = "receipts", "receipts", o.Window
	askers := make([]*asker, o.Clients)
	err := r.open(ctx, o.Clients, "0,0", func(c *conn) error {
		destination := r.destination() + "." + strconv.Itoa(c.number)
		a := &asker{r: r, conn: c, asked: make([]int64, 2*o.Window)}
		a.head = []byte("SEND\ndestination:" + escape(destination) + "\nreceipt:" + receiptPrefix)
		a.tail = finish(appendHeaders(appendHeader([]byte{'\n'}, "content-length", strconv.Itoa(r.Size)), r.Headers), r.Size)
		askers[c.number] = a
		r.receive(c, a, nil)
		return nil
	})
	if err != nil {
		return err
	}
	res.memoryBefore(r.ServerPID)
	for _, a := range askers {
		if err := a.start(o.Window); err != nil {
			r.fail(r.writeFailed(fmt.Errorf("connection %d ended: %w", a.conn.number, plain(err))))
		}
	}
	warm := r.last(ctx, "warming up", r.Warmup, nil)
	if err := r.failure(); err != nil {
		return err
	}
	if warm {
		for _, a := range askers {
			a.measure(true)
		}
		m := startMeter(r.ServerPID)
		r.last(ctx, "measuring", r.Duration, m.sample)
		var n uint64
		for _, a := range askers {
			a.measure(false)
			n += a.latency.count
		}
		m.stop(res, int64(n))
	}
	r.Progress.phase("waiting for the last receipts", 0)
	for _, a := range askers {
		a.stop()
	}
	r.poll(context.WithoutCancel(ctx), r.Patience, func() bool {
		return !slices.ContainsFunc(askers, func(a *asker) bool { return a.waiting() > 0 })
	})
	latency, check := new(histogram), new(Check)
	for _, a := range askers {
		check.Lost += a.waiting()
		a.mu.Lock()
		latency.merge(&a.latency)
		check.add(&a.counts)
		check.Expected += a.next
		a.mu.Unlock()
	}
	check.Lost -= min(check.Lost, check.Corrupted)
	res.Latency, res.Check = latency.latency(), check
	if err := r.failure(); err != nil {
		res.fail(err.Error())
	}
	return nil
}

// ask appends the next message. The caller holds the lock, or has exclusive
// access.
func (a *asker) ask(now int64) {
	stamp{run: a.r.id, flow: uint32(a.conn.number), sequence: a.next, due: now}.put(a.tail.body)
	a.frames = append(a.frames[:0], a.head...)
	a.frames = strconv.AppendUint(a.frames, a.next, 10)
	a.frames = append(a.frames, a.tail.frame...)
	a.out = a.conn.wrap(a.out, a.frames)
	a.asked[a.next%uint64(len(a.asked))] = now
	a.next++
}

func (a *asker) start(window int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.r.clock.now()
	for range window {
		a.ask(now)
	}
	err := a.conn.write(a.out)
	a.out = a.out[:0]
	return err
}

func (a *asker) begin(now int64) {
	a.mu.Lock()
	a.now = now
}

func (a *asker) frame(f *frame) {
	if string(f.command) != "RECEIPT" {
		return
	}
	digits, ok := bytes.CutPrefix(f.header("receipt-id"), []byte(receiptPrefix))
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if !ok || err != nil || n >= a.next {
		a.counts.Corrupted++
		return
	}
	a.counts.Received++
	switch a.tally.see(n) {
	case again:
		a.counts.Duplicated++
		return
	case late:
		a.counts.Reordered++
	}
	now := a.now
	if a.measuring {
		a.latency.add(now - a.asked[n%uint64(len(a.asked))])
	}
	if !a.stopped {
		a.ask(now)
	}
}

func (a *asker) end() error {
	defer a.mu.Unlock()
	if len(a.out) == 0 {
		return nil
	}
	err := a.conn.write(a.out)
	a.out = a.out[:0]
	return err
}

func (a *asker) measure(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.measuring = on
}

func (a *asker) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
}

// waiting returns how many receipts are missing.
func (a *asker) waiting() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tally.lost(a.next)
}
