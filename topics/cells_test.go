package topics

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// check verifies that tags, slots and counts agree.
func (c *cells[S]) check(t *rapid.T) {
	t.Helper()
	live, gone := 0, 0
	for i, e := range c.slots {
		switch tag := c.tag(i); {
		case e != nil:
			live++
			if tag != tagOf(e.key().hash()) {
				t.Fatalf("slot %d of %q has the tag %#x", i, e.key(), tag)
			}
		case tag == tagGone:
			gone++
		case tag != tagFree:
			t.Fatalf("empty slot %d has the tag %#x", i, tag)
		}
	}
	if live != c.live || gone != c.gone {
		t.Fatalf("%d entries and %d gone, counted as %d and %d", live, gone, c.live, c.gone)
	}
	if n := len(c.slots); n > 0 && 8*(live+gone) > 7*n {
		t.Fatalf("%d of %d slots are taken: a search might not end", live+gone, n)
	}
}

// cells holds exactly what was added, while it grows, shrinks and stays full.
func TestCellsAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c cells[int]
		model := make(map[key]*entry[int])
		numbers := rapid.IntRange(0, 400)
		keyOf := func(i int) key { return key{strings.Repeat("s", i%3*20), name(i)} }
		put := func(i int) {
			k := keyOf(i)
			if model[k] == nil {
				model[k] = newEntry[int](k)
				c.put(k.hash(), model[k])
			}
		}
		drop := func(t *rapid.T, i int) {
			k := keyOf(i)
			slot := c.find(k.hash(), k)
			if model[k] == nil {
				if slot >= 0 {
					t.Fatalf("%q is found", k)
				}
				return
			}
			if slot < 0 || c.slots[slot] != model[k] {
				t.Fatalf("%q is not found, or another is: slot %d", k, slot)
			}
			c.drop(slot)
			delete(model, k)
		}
		t.Repeat(map[string]func(*rapid.T){
			"put":  func(t *rapid.T) { put(numbers.Draw(t, "i")) },
			"drop": func(t *rapid.T) { drop(t, numbers.Draw(t, "i")) },
			"putMany": func(t *rapid.T) {
				for i, n := numbers.Draw(t, "from"), numbers.Draw(t, "count"); n > 0; n-- {
					put(i + n)
				}
			},
			"dropMany": func(t *rapid.T) {
				for i, n := numbers.Draw(t, "from"), numbers.Draw(t, "count"); n > 0; n-- {
					drop(t, i+n)
				}
			},
			"churn": func(t *rapid.T) {
				for i, n := numbers.Draw(t, "from"), numbers.Draw(t, "count"); n > 0; n-- {
					put(10_000 + i + n)
					drop(t, 10_000+i+n)
				}
			},
			"": func(t *rapid.T) {
				c.check(t)
				if c.live != len(model) {
					t.Fatalf("%d entries, want %d", c.live, len(model))
				}
				for k, e := range model {
					if i := c.find(k.hash(), k); i < 0 || c.slots[i] != e {
						t.Fatalf("%q is not found", k)
					}
				}
			},
		})
	})
}

// Adding and removing does not make the table grow: slots with tagGone are
// reused or cleared.
func TestCellsChurnStaysSmall(t *testing.T) {
	var c cells[int]
	const standing = 700
	for i := range standing {
		k := key{name: name(i)}
		c.put(k.hash(), newEntry[int](k))
	}
	for i := range 20_000 {
		k := key{name: name(standing + i)}
		c.put(k.hash(), newEntry[int](k))
		c.drop(c.find(k.hash(), k))
	}
	if n := len(c.slots); n > 1024 {
		t.Errorf("%d entries have %d slots", c.live, n)
	}
}

// A missing key is not mistaken for one whose hash agrees in the bits that are
// compared.
func TestCellsEqualHashes(t *testing.T) {
	var c cells[int]
	a, b := key{name: "/topic/a"}, key{name: "/topic/b"}
	e := newEntry[int](a)
	c.put(a.hash(), e)
	if i := c.find(a.hash(), b); i >= 0 {
		t.Errorf("%q is found as %q", b, c.slots[i].key())
	}
	f := newEntry[int](b)
	c.put(a.hash(), f)
	for _, want := range []*entry[int]{e, f} {
		if i := c.find(a.hash(), want.key()); i < 0 || c.slots[i] != want {
			t.Errorf("%q is not found among equal hashes", want.key())
		}
	}
}
