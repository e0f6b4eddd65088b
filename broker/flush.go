package broker

import "sync"

// drain is one pass over an outbox: the list taken from it, and the bytes
// gathered from the list that the socket has not accepted yet.
type drain struct {
	segs *segments
	next int32   // first segment of segs not gathered yet
	most int32   // bytes to write at once: maxBatch, or wideBatch if buf is a wide one
	buf  *buffer // pooled
	out  []byte  // gathered bytes, or one large or single segment without a copy
}

// chunk returns the bytes to write next, at most maxBatch or wideBatch of them.
// It returns no bytes at the end of the list.
func (d *drain) chunk() []byte {
	if len(d.out) == 0 {
		d.gather()
	}
	return d.out[:min(len(d.out), int(d.most))]
}

// widen makes d gather into a wide buffer if bytes do not fit into another one.
func (d *drain) widen(bytes int) {
	if d.buf == nil && bytes > maxBatch {
		d.most = wideBatch
	}
}

func (d *drain) pool() *sync.Pool {
	if d.most == wideBatch {
		return &widePool
	}
	return &bufferPool
}

func (d *drain) gather() {
	if d.segs == nil {
		return
	}
	list := d.segs.list
	if left := len(list) - int(d.next); left == 0 {
		return
	} else if left == 1 || len(list[d.next]) >= direct {
		d.out = list[d.next]
		d.next++
		return
	}
	if d.buf == nil {
		d.buf = d.pool().Get().(*buffer)
	}
	b := d.buf.b[:0]
	for ; int(d.next) < len(list); d.next++ {
		seg := list[d.next]
		if len(b)+len(seg) > int(d.most) || len(seg) >= direct {
			break
		}
		b = append(b, seg...)
	}
	d.out = b
}

// Chunk, Wrote and Frames make d a [wire.Source].
func (d *drain) Chunk() []byte { return d.chunk() }

func (d *drain) Wrote(n int) { d.out = d.out[n:] }

func (d *drain) Frames() [][]byte {
	if len(d.out) > 0 {
		p := d.out
		d.out = nil
		return [][]byte{p}
	}
	if d.segs == nil {
		return nil
	}
	list := d.segs.list[d.next:]
	d.next = int32(len(d.segs.list))
	return list
}

func (d *drain) release() {
	if d.segs != nil {
		d.segs.release()
	}
	d.releaseBuffer()
	*d = drain{}
}

func (d *drain) releaseBuffer() {
	if d.buf != nil {
		d.buf.b = d.buf.b[:0]
		d.pool().Put(d.buf)
		d.buf = nil
	}
}

// narrow returns the wide buffer, so that a client that does not read holds
// none. What is left of the gathered bytes is taken from their segments again.
func (d *drain) narrow() {
	if d.most == maxBatch {
		return
	}
	if d.next > 0 { // otherwise out is a control frame
		left := len(d.out)
		for left > 0 {
			d.next--
			left -= len(d.segs.list[d.next])
		}
		d.out = nil
		if left < 0 {
			d.out = d.segs.list[d.next][-left:]
			d.next++
		}
	}
	d.releaseBuffer()
	d.most = maxBatch
}

// take moves the pending segments into d. It reports false if there are none;
// the caller then calls written. The caller holds the lock.
func (o *outbox) take(d *drain) bool {
	o.cut = false // the segments taken now are the final frames
	if d.buf == nil {
		d.most = maxBatch
	}
	if o.control != nil {
		d.out, o.control = o.control, nil
		o.bytes += len(d.out)
		d.segs, o.pending = o.pending, nil
		d.next = 0
		return true
	}
	if o.pending == nil {
		return false
	}
	d.segs, o.pending = o.pending, nil
	d.next = 0
	return true
}

// flush writes the pending bytes that the socket accepts without blocking and
// leaves the rest to a writer goroutine. Any goroutine may call it at any time.
func (o *outbox) flush(bt *batch) {
	b := o.s.b
	o.mu.Lock()
	o.queued = false
	if o.writing {
		o.mu.Unlock()
		return
	}
	o.writing = true
	if !o.wire.CanTry() {
		o.blocked, o.progress = true, b.now()
		o.mu.Unlock()
		o.startWriter(drain{})
		return
	}
	var d drain
	for o.take(&d) {
		d.widen(o.bytes)
		o.mu.Unlock()
		for p := d.chunk(); len(p) > 0; p = d.chunk() {
			n, err := o.wire.TryWrite(p)
			if err != nil {
				d.release()
				o.fail(bt)
				return
			}
			d.out = d.out[n:]
			if n < len(p) {
				d.narrow()
			}
			o.mu.Lock()
			o.bytes -= n
			o.shorten(&d)
			if n < len(p) {
				o.blocked, o.progress = true, b.now()
				o.mu.Unlock()
				o.startWriter(d)
				return
			}
			o.mu.Unlock()
		}
		if d.segs != nil {
			d.segs.release()
			d.segs = nil
		}
		o.mu.Lock()
		o.lastWrite = b.now()
	}
	o.written(bt)
	d.release()
}

// shorten drops the frames of d that are not partly written, if the outbox was
// closed with the request to drop them. The caller holds the lock.
func (o *outbox) shorten(d *drain) {
	if !o.cut || d.segs == nil {
		return
	}
	o.cut = false
	left := d.segs.list[d.next:]
	for _, seg := range left {
		o.bytes -= len(seg)
	}
	clear(left)
	d.segs.list = d.segs.list[:d.next]
}

// written ends the writing state after the outbox became empty. The caller
// holds the lock; written releases it.
func (o *outbox) written(bt *batch) {
	if o.final {
		o.final = false
		o.mu.Unlock()
		o.s.finish() // before the writing state ends and another goroutine may shut the wire
		o.mu.Lock()
	}
	resume := o.starved && !o.closed
	o.starved = o.starved && !resume
	charged := o.charged
	o.charged = 0
	o.rest()
	o.mu.Unlock()
	o.s.b.budget.give(charged)
	if resume {
		o.s.resumeConsumers(bt)
	}
}

// fail ends the session after its connection has broken.
func (o *outbox) fail(bt *batch) {
	o.s.lost(bt)
	o.mu.Lock()
	o.rest()
	o.mu.Unlock()
}

// startWriter continues with d on a goroutine that may block. The outbox is in
// its writing state.
func (o *outbox) startWriter(d drain) {
	b := o.s.b
	b.sweeper.Schedule(o.s, b.now()+int64(b.o.WriteDeadline))
	if !b.spawn(func() { o.writer(&d) }) {
		d.release()
		o.s.abort()
		o.mu.Lock()
		o.rest()
		o.mu.Unlock()
	}
}

func (o *outbox) writer(d *drain) {
	b := o.s.b
	bt := b.newBatch()
	defer bt.release()
	defer d.release()
	for {
		for {
			n, err := o.wire.Write(d)
			if err != nil {
				o.fail(bt)
				bt.flush()
				return
			}
			if n == 0 {
				break
			}
			o.mu.Lock()
			o.bytes -= n
			o.shorten(d)
			o.progress = b.now()
			o.lastWrite = o.progress
			o.mu.Unlock()
		}
		if d.segs != nil {
			d.segs.release()
			d.segs = nil
		}
		o.mu.Lock()
		if o.take(d) {
			o.mu.Unlock()
			continue
		}
		o.written(bt)
		bt.flush()
		return
	}
}
