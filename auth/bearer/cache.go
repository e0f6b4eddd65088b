package bearer

import (
	"container/list"
	"time"
)

// cache is a map with a maximum size, in which each value has its own expiry
// time. When it is full, a new value replaces the oldest; all values live about
// equally long, so the oldest is also the next to expire. It is not safe for
// concurrent use.
type cache[V any] struct {
	size    int
	entries map[digest]*list.Element
	order   list.List // of *entry[V], the oldest first
}

type entry[V any] struct {
	key   digest
	value V
	until time.Time
}

func newCache[V any](size int) *cache[V] {
	return &cache[V]{size: size, entries: make(map[digest]*list.Element)}
}

// get returns the value of key if it has not expired at now.
func (c *cache[V]) get(key digest, now time.Time) (value V, ok bool) {
	e := c.entries[key]
	if e == nil {
		return value, false
	}
	found := e.Value.(*entry[V])
	if !now.Before(found.until) {
		c.drop(e)
		return value, false
	}
	return found.value, true
}

// put stores a value until the given time, and removes expired values.
func (c *cache[V]) put(key digest, value V, until, now time.Time) {
	c.remove(key)
	for e := c.order.Front(); e != nil && (c.order.Len() >= c.size || !now.Before(e.Value.(*entry[V]).until)); e = c.order.Front() {
		c.drop(e)
	}
	if c.size > 0 && now.Before(until) {
		c.entries[key] = c.order.PushBack(&entry[V]{key, value, until})
	}
}

// remove removes a key.
func (c *cache[V]) remove(key digest) {
	if e := c.entries[key]; e != nil {
		c.drop(e)
	}
}

func (c *cache[V]) drop(e *list.Element) {
	delete(c.entries, e.Value.(*entry[V]).key)
	c.order.Remove(e)
}
