package oauth

import (
	"container/list"
	"time"
)

// aging is a map with a fixed lifetime for its entries and a maximum size. When
// it is full, a new entry replaces the oldest. It is not safe for concurrent
// use.
type aging[K comparable, V any] struct {
	ttl     time.Duration
	max     int
	entries map[K]*list.Element
	order   list.List // of aged, oldest first
}

type aged[K comparable, V any] struct {
	key  K
	val  V
	born time.Time
}

func newAging[K comparable, V any](ttl time.Duration, max int) *aging[K, V] {
	return &aging[K, V]{ttl: ttl, max: max, entries: make(map[K]*list.Element)}
}

// put adds or replaces an entry.
func (a *aging[K, V]) put(k K, v V, now time.Time) {
	a.remove(k)
	for front := a.order.Front(); front != nil; front = a.order.Front() {
		oldest := front.Value.(aged[K, V])
		if len(a.entries) < a.max && now.Sub(oldest.born) < a.ttl {
			break
		}
		a.remove(oldest.key)
	}
	a.entries[k] = a.order.PushBack(aged[K, V]{k, v, now})
}

// get returns an entry that has not expired.
func (a *aging[K, V]) get(k K, now time.Time) (v V, ok bool) {
	element := a.entries[k]
	if element == nil {
		return v, false
	}
	entry := element.Value.(aged[K, V])
	if now.Sub(entry.born) >= a.ttl {
		return v, false
	}
	return entry.val, true
}

func (a *aging[K, V]) remove(k K) {
	if element := a.entries[k]; element != nil {
		a.order.Remove(element)
		delete(a.entries, k)
	}
}

func (a *aging[K, V]) len() int { return len(a.entries) }
