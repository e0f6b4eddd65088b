package webhook

import (
	"container/list"
	"time"
)

// cache remembers a bounded number of verdicts, each until a time of its own. The one that was not asked for longest
// makes room for a new one. It is not safe for concurrent use.
type cache struct {
	size    int
	entries map[digest]*list.Element
	order   list.List // of *entry, the one asked for last in front
}

type entry struct {
	key     digest
	verdict verdict
	until   time.Time
}

func newCache(size int) *cache {
	return &cache{size: size, entries: make(map[digest]*list.Element)}
}

// get returns the verdict of key if it is still good at now.
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

// put remembers a verdict until a time, if that is after now.
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
