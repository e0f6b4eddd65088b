package topics

import "maps"

// elastic is a map that gives memory back after most of its entries went away, which a map alone never does:
// after a stampede of clients, or an attack, its size would stay. The zero value is empty. Read all directly.
type elastic[K comparable, V any] struct {
	all  map[K]V
	peak int // the most entries since all was made
}

// worthShrinking is the number of entries below which a map's memory does not matter.
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
