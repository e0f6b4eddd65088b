package bearer

import (
	"container/list"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/internal/weight"
)

// cache is a map with a maximum size, in which each value has its own expiry
// time. When it is full, a new value replaces the oldest; all values live about
// equally long, so the oldest is also the next to expire. It is not safe for
// concurrent use.
//
// A value may have a weight in bytes and an owner. All values together weigh at
// most budget, and those of one owner at most share: a value beyond that is not
// cached, so that one owner cannot displace the others.
type cache[V any] struct {
	size          int
	budget, share int64 // 0 if the values have no weight
	bytes         int64
	owners        map[string]int64 // bytes of each
	entries       map[digest]*list.Element
	order         list.List // of *entry[V], the oldest first
}

type entry[V any] struct {
	key   digest
	value V
	until time.Time
	owner string
	bytes int64
}

func newCache[V any](size int) *cache[V] {
	return &cache[V]{size: size, entries: make(map[digest]*list.Element)}
}

const (
	// answerBytes is the average weight of a valid token's answer for which a
	// cache has room: the cache of 10,000 answers weighs at most 40 MiB.
	answerBytes = 4 << 10
	// sharesOfCache is how many users with as many large answers as possible
	// fill the cache.
	sharesOfCache = 32
	// ownBytes is the weight of an answer without claims.
	ownBytes = 640
)

// newWeighedCache returns a cache of values with weights.
func newWeighedCache[V any](size int) *cache[V] {
	c := newCache[V](size)
	c.budget = int64(max(size, 0)) * answerBytes
	c.share = max(c.budget/sharesOfCache, weight.MaxClaims)
	c.owners = make(map[string]int64)
	return c
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

// put stores a value without a weight until the given time, and removes expired
// values.
func (c *cache[V]) put(key digest, value V, until, now time.Time) {
	c.putOf("", 0, key, value, until, now)
}

// putOf stores a value of an owner, which weighs that many bytes, as put does.
func (c *cache[V]) putOf(owner string, bytes int64, key digest, value V, until, now time.Time) {
	c.remove(key)
	for e := c.order.Front(); e != nil && !now.Before(e.Value.(*entry[V]).until); e = c.order.Front() {
		c.drop(e)
	}
	if c.size <= 0 || bytes > c.budget || c.owners[owner]+bytes > c.share || !now.Before(until) {
		return
	}
	for c.full(bytes) {
		c.drop(c.order.Front())
	}
	c.entries[key] = c.order.PushBack(&entry[V]{key, value, until, owner, bytes})
	if bytes > 0 {
		c.bytes += bytes
		c.owners[owner] += bytes
	}
}

// full reports whether there is no room for a further value of that weight.
func (c *cache[V]) full(bytes int64) bool {
	return c.order.Len() >= c.size || c.bytes+bytes > c.budget
}

// remove removes a key.
func (c *cache[V]) remove(key digest) {
	if e := c.entries[key]; e != nil {
		c.drop(e)
	}
}

func (c *cache[V]) drop(e *list.Element) {
	one := e.Value.(*entry[V])
	delete(c.entries, one.key)
	c.order.Remove(e)
	if one.bytes > 0 {
		c.bytes -= one.bytes
		if c.owners[one.owner] -= one.bytes; c.owners[one.owner] == 0 {
			delete(c.owners, one.owner)
		}
	}
}
