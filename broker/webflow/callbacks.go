package webflow

import (
	"runtime/debug"
	"sync"
)

// maxCallbacks is how many callbacks may wait for their turn before those who
// cause them wait too.
const maxCallbacks = 1024

// callbacks wait to be called, one after another and in the order of what they
// tell, by a goroutine that lives while there are any. It is guarded by Flow.mu.
type callbacks struct {
	queue   []callback
	active  bool
	room    sync.Cond
	running sync.WaitGroup
}

type callback struct {
	call  func(Event)
	event Event
}

// post has a callback called. The caller has the lock.
func (f *Flow) post(call func(Event), e Event) {
	c := &f.callbacks
	if call == nil || f.closed {
		return
	}
	c.queue = append(c.queue, callback{call, e})
	if !c.active {
		c.active = true
		c.running.Go(f.callBack)
	}
}

// waitForCallbacks slows down who causes more callbacks than the program takes.
// The caller has the lock, and nothing half done: it is let go meanwhile.
func (f *Flow) waitForCallbacks() {
	for len(f.callbacks.queue) > maxCallbacks && !f.closed {
		f.callbacks.room.Wait()
	}
}

func (f *Flow) callBack() {
	c := &f.callbacks
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(c.queue) > 0 {
		queue := c.queue
		c.queue = nil
		c.room.Broadcast()
		f.mu.Unlock()
		for i := range queue {
			f.call(&queue[i])
		}
		f.mu.Lock()
	}
	c.active = false
}

// call runs one callback. A panic is logged: what it was told has happened anyway.
func (f *Flow) call(c *callback) {
	defer func() {
		if v := recover(); v != nil {
			f.o.Logger.Error("a webflow callback panicked", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	c.call(c.event)
}
