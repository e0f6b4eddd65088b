package webhook

import (
	"container/list"
	"time"
)

// cache is a map of verdicts with a maximum size, in which each verdict has its
// own expiry time. When it is full, a new verdict replaces the least recently
// used. It is not safe for concurrent use.
type cache struct {
	size    int
	entries map[digest]*list.Element
	order   list.List // of *entry, the most recently used first
}

type entry struct {
	key     digest
	verdict verdict
	until   time.Time
}

func newCache(size int) *cache {
	return &cache{size: size, entries: make(map[digest]*list.Element)}
}

// get returns the verdict of key if it has not expired at now.
func (c *cache) get(key digest, now time.Time) (verdict, bool) {
	e := c.entries[key]
	if e == nil {
		return verdict{}, false
	}
	found := e.Value.(*entry)
	if !now.Before(found.until) {
		c.remove(e)
		return verdict{}, false
	}
	c.order.MoveToFront(e)
	return found.verdict, true
}

// put stores a verdict until the given time, if that is after now.
func (c *cache) put(key digest, v verdict, until, now time.Time) {
	if e := c.entries[key]; e != nil {
		c.remove(e)
	}
	if c.size <= 0 || !now.Before(until) {
		return
	}
	for c.order.Len() >= c.size {
		c.remove(c.order.Back())
	}
	c.entries[key] = c.order.PushFront(&entry{key, v, until})
}

func (c *cache) remove(e *list.Element) {
	delete(c.entries, e.Value.(*entry).key)
	c.order.Remove(e)
}
