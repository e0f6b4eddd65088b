package webflow

import (
	"runtime/debug"
	"sync"
)

// maxCallbacks is how many callbacks may queue before the goroutines that cause
// them must wait.
const maxCallbacks = 1024

// callbacks is a queue of pending callbacks. One goroutine calls them one at a
// time, in the order of their events; it exits when the queue is empty. Flow.mu
// guards everything.
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

// post queues a callback. The caller has the lock.
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

// waitForCallbacks blocks while the queue is too long, so that events do not
// outrun the program. The caller has the lock and must have left the state
// consistent, because Wait releases the lock.
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

// call runs one callback. It logs a panic and goes on: the event has happened
// anyway.
func (f *Flow) call(c *callback) {
	defer func() {
		if v := recover(); v != nil {
			f.o.Logger.Error("a webflow callback panicked", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	c.call(c.event)
}
