package topics

import "math/bits"

// cells finds the entries of one shard. It is a hash table with open
// addressing. Eight slots form a group, which has one word of tags: each byte
// holds seven bits of the hash of one slot's entry. A search therefore reads
// one word of tags, one slot and one entry, and seldom more. A map with its own
// keys reads from more places and takes three times the memory. The zero value
// is empty.
type cells[S comparable] struct {
	tags  []uint64 // one word per group; the length is a power of two
	slots []*entry[S]
	live  int // number of entries
	gone  int // number of slots with tagGone
}

// Tags of slots without an entry. The tag of an entry has the high bit set.
const (
	tagFree = 0
	tagGone = 1 // had an entry once, so a search must go on past it
)

const (
	lowBits  = 0x0101010101010101
	highBits = lowBits << 7
)

func tagOf(hash uint64) uint64 { return 0x80 | hash>>57 }

// equalTags sets the high bit of each byte of w that equals tag. It may set it
// for other entries too; the caller compares the keys.
func equalTags(w, tag uint64) uint64 {
	x := w ^ tag*lowBits
	return (x - lowBits) &^ x & highBits
}

// hasFree reports whether a byte of w is tagFree, which ends a search.
func hasFree(w uint64) bool { return (w-lowBits)&^w&highBits != 0 }

func slotOf(group int, bit uint64) int { return group*8 + bits.TrailingZeros64(bit)/8 }

// home returns the group where the search for a hash begins. It does not use
// the lowest bits, which selected the shard.
func (c *cells[S]) home(hash uint64) int { return int(hash/shardCount) & (len(c.tags) - 1) }

// find returns the slot of a key, or -1.
func (c *cells[S]) find(hash uint64, k key) int {
	if c.live == 0 {
		return -1
	}
	for g := c.home(hash); ; g = (g + 1) & (len(c.tags) - 1) {
		w := c.tags[g]
		for m := equalTags(w, tagOf(hash)); m != 0; m &= m - 1 {
			if i := slotOf(g, m); c.slots[i].key() == k {
				return i
			}
		}
		if hasFree(w) {
			return -1
		}
	}
}

// put adds an entry with a new key.
func (c *cells[S]) put(hash uint64, e *entry[S]) {
	if 8*(c.live+c.gone+1) > 7*len(c.slots) {
		c.rebuild(c.live + 1)
	}
	g := c.home(hash)
	for c.tags[g]&highBits == highBits {
		g = (g + 1) & (len(c.tags) - 1)
	}
	i := slotOf(g, ^c.tags[g]&highBits)
	if c.tag(i) == tagGone {
		c.gone--
	}
	c.setTag(i, tagOf(hash))
	c.slots[i] = e
	c.live++
}

// drop empties a slot.
func (c *cells[S]) drop(i int) {
	if hasFree(c.tags[i/8]) {
		c.setTag(i, tagFree)
	} else {
		c.setTag(i, tagGone)
		c.gone++
	}
	c.slots[i] = nil
	c.live--
	// Release memory after a burst of clients or an attack.
	if len(c.slots) > 64 && 8*c.live < len(c.slots) {
		c.rebuild(c.live)
	}
}

// rebuild moves all entries to a table with room for n and some spare, so that
// the next rebuild is not soon.
func (c *cells[S]) rebuild(n int) {
	old := c.slots
	size := 8
	for 3*size < 4*n {
		size *= 2
	}
	*c = cells[S]{tags: make([]uint64, size/8), slots: make([]*entry[S], size)}
	for _, e := range old {
		if e != nil {
			c.put(e.key().hash(), e)
		}
	}
}

func (c *cells[S]) tag(i int) uint64 { return c.tags[i/8] >> (i % 8 * 8) & 0xff }

func (c *cells[S]) setTag(i int, tag uint64) {
	shift := i % 8 * 8
	c.tags[i/8] = c.tags[i/8]&^(0xff<<shift) | tag<<shift
}
