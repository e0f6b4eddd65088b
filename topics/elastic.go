package topics

import "maps"

// elastic is a map that releases memory after most of its entries were deleted,
// for example after a burst of clients or an attack; a plain map never does.
// The zero value is empty. Read from all directly.
type elastic[K comparable, V any] struct {
	all  map[K]V
	peak int // maximum number of entries since all was allocated
}

// worthShrinking is the number of entries from which on releasing memory pays.
const worthShrinking = 256

func (m *elastic[K, V]) set(key K, v V) {
	if m.all == nil {
		m.all = make(map[K]V)
	}
	m.all[key] = v
	m.peak = max(m.peak, len(m.all))
}

func (m *elastic[K, V]) delete(key K) {
	delete(m.all, key)
	if n := len(m.all); m.peak >= worthShrinking && n <= m.peak/8 {
		fresh := make(map[K]V, n)
		maps.Copy(fresh, m.all)
		m.all, m.peak = fresh, n
	}
}
